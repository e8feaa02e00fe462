"""The laws that a server keeps: one each, a function over the evidence.

    @law("tasks.never-back", "A task's status goes only forwards.", fix="…", covers=["*.task.statuses"])
    def never_back(evidence):
        yield Exercised()                       it could have been broken here, and was not
        yield broken([call], seen, asks)

`covers` are patterns of the rules that the documents ask of the provider: a report names those as sources.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from contracts.clause import Clause, Exercised, Finding, Violation
from contracts.server.client import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from contracts.clause import Severity
    from contracts.journal import Delivery, Record
    from contracts.server.evidence import Evidence
    from mockserver.provider import Provider

    Judge = Callable[[Evidence], Iterator[Finding]]

__all__ = ["Exercised", "Finding", "all_laws", "broken", "law"]

_clauses: dict[str, Clause] = {}


def server_clause(
    id_: str,
    rule: str,
    *,
    fix: str,
    covers: Sequence[str] = (),
    severity: Severity = "must",
    applies: Callable[[Provider], bool] = lambda _: True,
) -> Callable[[Judge], Judge]:
    """Make a law of a function; it `applies` only where the provider has what it is about.

    Raises:
        ValueError: another law has this id.
    """

    def register(judge: Judge) -> Judge:
        def judged(evidence: Any) -> Iterator[Finding]:
            for finding in judge(evidence):
                yield replace(finding, fix=fix) if isinstance(finding, Violation) else finding

        if id_ in _clauses:
            raise ValueError(f"there are two laws {id_!r}")
        _clauses[id_] = Clause(id_, rule, severity, tuple(covers), general=True, applies=applies, judge=judged)
        return judge

    return register


def broken(shown: Iterable[Call | Delivery], seen: str, asks: str) -> Violation:
    """Say how a law was broken, with what shows it."""
    records: list[Record] = [each.exchange if isinstance(each, Call) else each for each in shown]
    return Violation(tuple(records), seen, asks, "")


@cache
def all_server_clauses() -> tuple[Clause, ...]:
    """Return every law: those of the files beside this one."""
    for info in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{info.name}")
    return tuple(_clauses.values())
