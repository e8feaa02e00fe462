"""Clauses: one rule each, a function over a journal, registered by its id.

    @clause("poll.stops-at-end", "Stop polling a task when it has ended.", covers=["*.poll.until-ended"])
    def stops_at_end(journal):
        for trace in journal.traces:
            ...
            yield check(kept, records, seen, asks, fix)     the rule applied here; was it kept?

A clause that yields nothing was not tested by the journal; that never counts as kept.
"""

from __future__ import annotations

import fnmatch
import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal

from contracts.analysis import Duty
from contracts.journal import Journal, Record
from mockserver.provider import Provider

#: Clauses that had another id in the last release. Old ids are accepted for one more, with a warning.
RENAMED = {
    "callbacks.lost-made-up": "callbacks.lost-recovered-by-poll",
    "callbacks.one-effect": "callbacks.idempotent",
    "callbacks.survived": "callbacks.unreadable-handled",
    "limits.failed-not-blindly-again": "limits.failed-not-resubmitted",
    "outcome.comes-home": "outcome.returns-file",
    "poll.errors-are-no-end": "poll.errors-are-retried",
    "poll.unknown-words": "poll.unknown-status",
    "submit.says-json": "submit.content-type",
}

Severity = Literal["must", "should", "advice"]
#: When a client that works is sure to have a clause tested: by every job, or by one that meets no faults.
Core = Literal["always", "without faults"]
Judgement = Literal["kept", "violated", "not exercised"]
#: What a verdict rests on: a provider's document, its other public pages, or what careful engineers do everywhere.
Basis = Literal["document", "public page", "best practice"]


@dataclass(frozen=True)
class Exercised:
    """The rule applied here, and was kept."""


@dataclass(frozen=True)
class Violation:
    """The rule was broken: the records that show it, what was seen, what is expected, and the fix.

    `at_most` is set where this case weighs less than its clause. `cause` names the undocumented fault that led to it.
    """

    records: tuple[Record, ...]
    seen: str
    asks: str
    fix: str
    at_most: Severity = "must"
    cause: str = ""


@dataclass(frozen=True)
class Untested:
    """The rule applied here, but whether it was kept cannot be said: the reason."""

    reason: str


Finding = Exercised | Violation | Untested


def check(
    kept: bool, records: Sequence[Record], seen: str, asks: str, fix: str, *, at_most: Severity = "must"
) -> Finding:
    """Return a violation unless the rule was kept."""
    return Exercised() if kept else Violation(tuple(records), seen, asks, fix, at_most)


Judge = "Callable[[Journal], Iterator[Finding]]"


@dataclass(frozen=True)
class Clause:
    """One rule: how to judge it, how severe it is, and which documented rules it covers.

    `covers` are patterns of rule ids. A clause applies to a provider if it covers one of its rules, or if it is
    `general` (best practice for every asynchronous API), and if `applies` accepts the provider's features.

    `severity` holds where a document has the rule; `elsewhere` where none does: a must only if no careful engineer
    would do otherwise. `judges_requests` says that the clause looks at what a client sends by itself, so that no
    answer can be the cause of a violation. `about` names the effects of undocumented faults that the clause is about.
    `judges_waits` says that it measures waits of seconds, which cannot be told where a client's time is scaled.
    `core` clauses are tested by every run of a client that works.
    """

    id: str
    rule: str
    severity: Severity
    covers: tuple[str, ...]
    general: bool
    applies: Callable[[Provider], bool]
    judge: Callable[[Journal], Iterator[Finding]]
    elsewhere: Severity = "should"
    judges_requests: bool = False
    about: tuple[Duty, ...] = ()
    core: Core | None = None
    judges_waits: bool = False

    def concerns(self, provider: Provider, covered: Sequence[str]) -> bool:
        """Tell whether the clause applies to a provider, given which of its rules are covered."""
        return bool(covered or self.general) and self.applies(provider)

    def covered(self, rules: Iterable[str]) -> list[str]:
        """Return the rules that the clause covers."""
        return [rule for rule in rules if any(fnmatch.fnmatchcase(rule, pattern) for pattern in self.covers)]

    def severity_on(self, basis: Basis) -> Severity:
        """Return how severe a violation is: figures of public pages are never a must."""
        if basis == "document":
            return self.severity
        return milder(self.severity, "should" if basis == "public page" else self.elsewhere)


SEVERITIES: tuple[Severity, ...] = ("must", "should", "advice")


def milder(*given: Severity) -> Severity:
    """Return the mildest of some severities."""
    return max(given, key=SEVERITIES.index)


@dataclass(frozen=True)
class Grouped:
    """A violated clause that has its cause in common with another one, under which it is reported."""

    clause: Clause
    violation: Violation


@dataclass(frozen=True)
class Verdict:
    """The result of a clause over one journal, or over the journals of many situations.

    Over many, `violations` are those of the smallest situation that shows any; `situation` names it, and
    `replay` is the command that reproduces it.
    """

    clause: Clause
    provider: str
    judgement: Judgement
    violations: tuple[Violation, ...] = ()
    #: The documented rules that the clause covers, as `id (document, section)`.
    sources: tuple[str, ...] = field(default=())
    situation: str = ""
    replay: str = ""
    #: In how many situations (or journals) the clause was tested, and in how many it was violated.
    exercised_in: int = 0
    violated_in: int = 0
    #: How many times as fast as the client's clock that of the violations' records ran.
    speed: float = 1.0
    #: What the clause rests on for this provider.
    basis: Basis = "best practice"
    #: Why the clause was not tested, if there is more to say than that nothing showed it.
    reason: str = ""
    #: Whether the rule was kept at another place.
    kept: bool = False
    #: The other clauses that the same undocumented fault made the client violate.
    grouped: tuple[Grouped, ...] = ()
    #: The end of what the client printed in the situation, by job; job 0 is what belongs to none.
    output: tuple[tuple[int, str], ...] = ()
    #: What `exercised_in` and `violated_in` count.
    counts: str = "situation"

    @property
    def cause(self) -> str:
        """The undocumented fault that led to all its violations; empty if there is none."""
        return self.violations[0].cause if self.violations else ""

    @property
    def severity(self) -> Severity:
        """How severe it is: the clause's weight for this provider, or that of its gravest violation."""
        weight = self.clause.severity_on(self.basis)
        if not self.violations:
            return weight
        gravest = min((each.at_most for each in self.violations), key=SEVERITIES.index)
        return milder(weight, gravest, "should" if self.cause else "must")

    def without_violations(self) -> Verdict:
        """Return what it is where its violations are reported under another clause."""
        left = max(0, self.exercised_in - self.violated_in)
        judgement: Judgement = "kept" if left or self.kept else "not exercised"
        return replace(
            self,
            judgement=judgement,
            violations=(),
            situation="",
            replay="",
            exercised_in=left,
            violated_in=0,
            output=(),
        )

    def __repr__(self) -> str:
        return f"<{self.judgement}: {self.provider} {self.clause.id} ({self.severity})>"


_clauses: dict[str, Clause] = {}


def clause(
    id_: str,
    rule: str,
    *,
    severity: Severity = "must",
    covers: Sequence[str] = (),
    general: bool = False,
    applies: Callable[[Provider], bool] = lambda _: True,
    elsewhere: Severity = "should",
    judges_requests: bool = False,
    about: Sequence[Duty] = (),
    core: Core | None = None,
    judges_waits: bool = False,
) -> Callable[[Callable[[Journal], Iterator[Finding]]], Callable[[Journal], Iterator[Finding]]]:
    """Register a function as a clause.

    Raises:
        ValueError: the id is taken, or the clause would apply nowhere.
    """

    def register(judge: Callable[[Journal], Iterator[Finding]]) -> Callable[[Journal], Iterator[Finding]]:
        if id_ in _clauses:
            raise ValueError(f"duplicate clause id {id_!r}")
        if not covers and not general:
            raise ValueError(f"clause {id_!r} covers no rule and is not general: it would apply nowhere")
        _clauses[id_] = Clause(
            *(id_, rule, severity, tuple(covers), general, applies, judge, elsewhere, judges_requests, tuple(about)),
            *(core, judges_waits),
        )
        return judge

    return register


@cache
def all_clauses() -> tuple[Clause, ...]:
    """Return every clause: those of the files in contracts/clauses."""
    for info in pkgutil.iter_modules([str(Path(__file__).with_name("clauses"))]):
        importlib.import_module(f"contracts.clauses.{info.name}")
    return tuple(_clauses.values())


def current_id(name: str) -> str:
    """Return a clause's id, also for the id that it had in the last release.

    Raises:
        ValueError: unknown clause.
    """
    if name in RENAMED:
        warnings.warn(f"clause {name} is now called {RENAMED[name]}", DeprecationWarning, stacklevel=3)
        return RENAMED[name]
    if name not in {each.id for each in all_clauses()}:
        raise ValueError(f"unknown clause {name!r}; `contracts list` shows all")
    return name
