"""The clauses for servers: one rule each, a function over the evidence.

    @server_clause("tasks.never-back", "A status never goes back.", fix="...", covers=["*.task.statuses"])
    def never_back(evidence):
        yield check(kept, [call], seen, asks)       the rule applied here; was it kept?

`covers` are patterns of the documents' rules for the provider; a report names those as sources.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from contracts.clause import Clause, Exercised, Finding, Severity, Violation
from contracts.journal import Delivery, Record
from contracts.server.call import Call
from contracts.server.evidence import Evidence
from mockserver.provider import Provider

Judge = Callable[[Evidence], Iterator[Finding]]

__all__ = ["Exercised", "Finding", "all_server_clauses", "broken", "check", "server_clause"]

_clauses: dict[str, Clause] = {}


def server_clause(
    id_: str,
    rule: str,
    *,
    fix: str,
    covers: Sequence[str] = (),
    severity: Severity = "must",
    elsewhere: Severity = "must",
    applies: Callable[[Provider], bool] = lambda _: True,
) -> Callable[[Judge], Judge]:
    """Register a function as a clause for servers; `applies` tells which providers it concerns.

    Raises:
        ValueError: the id is taken.
    """

    def register(judge: Judge) -> Judge:
        def judged(evidence: Any) -> Iterator[Finding]:
            for finding in judge(evidence):
                yield replace(finding, fix=fix) if isinstance(finding, Violation) else finding

        if id_ in _clauses:
            raise ValueError(f"duplicate clause id {id_!r}")
        _clauses[id_] = Clause(
            id_, rule, severity, tuple(covers), general=True, applies=applies, judge=judged, elsewhere=elsewhere
        )
        return judge

    return register


def broken(shown: Iterable[Call | Delivery], seen: str, asks: str) -> Violation:
    """Make a violation, with the calls and callbacks that show it."""
    records: list[Record] = [each.exchange if isinstance(each, Call) else each for each in shown]
    return Violation(tuple(records), seen, asks, "")


def check(kept: bool, shown: Iterable[Call | Delivery], seen: str, asks: str) -> Finding:
    """Return a violation unless the rule was kept."""
    return Exercised() if kept else broken(shown, seen, asks)


@cache
def all_server_clauses() -> tuple[Clause, ...]:
    """Return every clause for servers: those of the modules in this package."""
    for info in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{info.name}")
    return tuple(_clauses.values())
