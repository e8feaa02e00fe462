"""Same seed, same requests: the same bytes, from one release to the next."""

from __future__ import annotations

import pytest
from conformance.recording import RECORDED, digest, record

from mockserver.spec.catalog import load_providers

PROVIDERS = {provider.name: provider for provider in load_providers()}


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_same_requests_give_the_same_bytes(name: str) -> None:
    """Every answer and every callback of a fixed sequence of requests is what was recorded."""
    first, *expected = (RECORDED / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    steps = record(PROVIDERS[name], first.removeprefix("faults: ").split())
    assert [digest(step) for step in steps] == expected
