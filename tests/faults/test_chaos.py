"""The storm of tests/benchmarks/chaos.py, for five seconds."""

from __future__ import annotations

import pytest
from benchmarks.chaos import run

pytestmark = pytest.mark.slow


def test_five_seconds_of_chaos() -> None:
    """Every fault at random, 100 clients: no unplanned status, balanced ledgers, nothing left over, a clean stop."""
    assert run(seconds=5, clients=100) == []
