"""Clauses: one rule each, a function over a journal, found by its id.

    @clause("poll.stops-at-end", "A task that has ended is not asked after again.", covers=["*.poll.until-ended"])
    def stops_at_end(journal):
        for story in journal.stories:
            ...
            yield Exercised()                       it could have been broken here, and was not
            yield Violation(records, seen, asks, fix)

A clause that yields nothing was not exercised, which is never counted as kept.
"""

from __future__ import annotations

import fnmatch
import importlib
import pkgutil
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from contracts.journal import Journal, Record
    from mockserver.provider import Provider

Severity = Literal["must", "should", "advice"]
Judgement = Literal["kept", "violated", "not exercised"]


@dataclass(frozen=True)
class Exercised:
    """The rule applied here, and was kept."""


@dataclass(frozen=True)
class Violation:
    """The rule was broken: the records that show it, what was seen, what the document asks, and what to do."""

    records: tuple[Record, ...]
    seen: str
    asks: str
    fix: str


Finding = Exercised | Violation
Judge = "Callable[[Journal], Iterator[Finding]]"


@dataclass(frozen=True)
class Clause:
    """One rule: how it is judged, how much it matters, and which rules of the documents it stands for.

    `covers` are patterns of rule ids; a clause with none of its patterns among a provider's rules does not apply
    there, unless it is `general`: what every asynchronous API asks without saying it. `applies` looks at what
    the provider has at all.
    """

    id: str
    rule: str
    severity: Severity
    covers: tuple[str, ...]
    general: bool
    applies: Callable[[Provider], bool]
    judge: Callable[[Journal], Iterator[Finding]]

    def concerns(self, provider: Provider, covered: Sequence[str]) -> bool:
        """Tell whether it applies to a provider, given which of its rules are covered."""
        return bool(covered or self.general) and self.applies(provider)

    def covered(self, rules: Iterable[str]) -> list[str]:
        """Return those of the rules that it stands for."""
        return [rule for rule in rules if any(fnmatch.fnmatchcase(rule, pattern) for pattern in self.covers)]


@dataclass(frozen=True)
class Verdict:
    """What a clause says of a journal, or of many: of the situations that a runner made a client meet.

    Of many, `violations` are those of the smallest situation that shows any; `situation` says which that is,
    and `replay` is the command that shows it again.
    """

    clause: Clause
    provider: str
    judgement: Judgement
    violations: tuple[Violation, ...] = ()
    #: The rules of the provider's documents that it stands for, as `id (document, section)`.
    sources: tuple[str, ...] = field(default=())
    situation: str = ""
    replay: str = ""
    #: In how many situations (or journals) the clause was exercised, and in how many it was violated.
    exercised_in: int = 0
    violated_in: int = 0
    #: How many times as fast as the client's the clock of its violations' records went.
    speed: float = 1.0

    def __repr__(self) -> str:
        return f"<{self.judgement}: {self.provider} {self.clause.id} ({self.clause.severity})>"


_clauses: dict[str, Clause] = {}


def clause(
    id_: str,
    rule: str,
    *,
    severity: Severity = "must",
    covers: Sequence[str] = (),
    general: bool = False,
    applies: Callable[[Provider], bool] = lambda _: True,
) -> Callable[[Callable[[Journal], Iterator[Finding]]], Callable[[Journal], Iterator[Finding]]]:
    """Make a clause of a function.

    Raises:
        ValueError: another clause has this id, or it would apply nowhere.
    """

    def register(judge: Callable[[Journal], Iterator[Finding]]) -> Callable[[Journal], Iterator[Finding]]:
        if id_ in _clauses:
            raise ValueError(f"there are two clauses {id_!r}")
        if not covers and not general:
            raise ValueError(f"the clause {id_!r} covers no rule, and is not general: it would apply nowhere")
        _clauses[id_] = Clause(id_, rule, severity, tuple(covers), general, applies, judge)
        return judge

    return register


@cache
def all_clauses() -> tuple[Clause, ...]:
    """Return every clause: those of the files in contracts/clauses."""
    from contracts import clauses  # noqa: PLC0415 - its files import this one

    for info in pkgutil.iter_modules(clauses.__path__):
        importlib.import_module(f"{clauses.__name__}.{info.name}")
    return tuple(_clauses.values())
