"""A table of cases as one test: every case runs, and a failure names its case."""

from __future__ import annotations

import inspect

import pytest
from support.tables import for_each


def test_every_case_runs_and_failures_name_theirs() -> None:
    """Cases go on after one that fails; all failures are raised at the end, each with its case."""
    seen = []

    @for_each("divisor", [1, 0, 2])
    @for_each(("one", "two"), [(1, 2), (3, 4)])
    def divides(one: int, divisor: int, two: int, fixture: str) -> None:
        seen.append((one, divisor, two, fixture))
        assert one % divisor != 1

    assert list(inspect.signature(divides).parameters) == ["fixture"]
    with pytest.raises(ExceptionGroup, match="2 of 3 cases fail") as raised:
        divides(fixture="x")
    assert len(seen) == 6
    assert [each.__notes__ for each in raised.value.exceptions] == [["case: divisor=0"], ["case: divisor=2"]]
    (failure, _) = raised.value.exceptions[0].exceptions
    assert isinstance(failure, ZeroDivisionError)
    assert failure.__notes__ == ["case: one=1, two=2"]


async def test_coroutines() -> None:
    """A test may be a coroutine; what `pytest.fail` raises is a failure like any other."""

    @for_each("number", (1, 2))
    async def fails(number: int) -> None:
        if number == 2:
            pytest.fail("it is two")

    with pytest.raises(BaseExceptionGroup, match="1 of 2 cases fail"):
        await fails()


def test_no_cases() -> None:
    """A table without cases is a mistake: its test could not fail."""
    with pytest.raises(ValueError, match="no cases of number"):
        for_each("number", [])
