"""The storm of tests/benchmarks/chaos.py, for three seconds."""

from __future__ import annotations

import pytest
from benchmarks.chaos import run

pytestmark = pytest.mark.slow(about_s=6)


def test_three_seconds_of_chaos() -> None:
    """Every fault at random, 100 clients: no unplanned status, balanced ledgers, nothing left over, a clean stop."""
    assert run(seconds=3, clients=100) == []
