"""A table of cases within one test: pytest spends more on a test of its own than most cases take."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_FAILURES = (Exception, pytest.fail.Exception)


def for_each(names: str | tuple[str, ...], cases: Iterable[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Call a test for each case, as `pytest.mark.parametrize` does, but as one test; a failure names its cases.

    Fixtures are made once for all cases, so this is for tests that leave them as they were.

    Raises:
        ValueError: there are no cases.
    """
    fields = (names,) if isinstance(names, str) else names
    table = [dict(zip(fields, (case,) if isinstance(names, str) else case, strict=True)) for case in cases]
    if not table:
        raise ValueError(f"there are no cases of {names}")

    def decorated(test: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(test):

            @wraps(test)
            async def whole(**fixtures: Any) -> None:
                failures = []
                for case in table:
                    try:
                        await test(**case, **fixtures)
                    except _FAILURES as failure:
                        failures.append(_named(failure, case))
                _judge(failures, len(table))

        else:

            @wraps(test)
            def whole(**fixtures: Any) -> None:
                failures = []
                for case in table:
                    try:
                        test(**case, **fixtures)
                    except _FAILURES as failure:
                        failures.append(_named(failure, case))
                _judge(failures, len(table))

        given = inspect.signature(test)
        fixtures = [each for name, each in given.parameters.items() if name not in fields]
        whole.__signature__ = given.replace(parameters=fixtures)  # type: ignore[attr-defined] # what pytest reads
        return whole

    return decorated


def _named(failure: BaseException, case: dict[str, Any]) -> BaseException:
    failure.add_note("case: " + ", ".join(f"{name}={value!r:.200}" for name, value in case.items()))
    return failure


def _judge(failures: list[BaseException], number: int) -> None:
    if failures:
        raise BaseExceptionGroup(f"{len(failures)} of {number} cases fail", failures)
