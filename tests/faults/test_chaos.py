"""The storm of tests/benchmarks/chaos.py, for ten seconds."""

from __future__ import annotations

from benchmarks.chaos import run


def test_ten_seconds_of_chaos() -> None:
    """Every fault at random, 200 clients: no unplanned status, balanced ledgers, nothing left over, a clean stop."""
    assert run(seconds=10, clients=200) == []
