"""All clauses over a journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.clause import Exercised, Verdict, Violation, all_clauses
from contracts.rules import documented_rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contracts.clause import Clause
    from contracts.journal import Journal
    from contracts.rules import Rule
    from mockserver.provider import Provider


#: The clauses that concern a provider, with the rules of its documents that each stands for.
Applicable = tuple[tuple["Clause", tuple[str, ...]], ...]


def applicable(
    provider: Provider, clauses: Iterable[Clause] | None = None, rules: Iterable[Rule] | None = None
) -> Applicable:
    """Choose the clauses (of all, if none are given) that concern a provider, by the rules of its documents."""
    own = [each for each in (documented_rules() if rules is None else rules) if each.provider == provider.name]
    by_id = {each.id: each for each in own if each.asks == "client"}
    chosen = [(each, each.covered(by_id)) for each in (all_clauses() if clauses is None else clauses)]
    return tuple(
        (clause, tuple(f"{rule} ({by_id[rule].source})" for rule in covered))
        for clause, covered in chosen
        if clause.concerns(provider, covered)
    )


def judge_journal(
    journal: Journal, clauses: Iterable[Clause] | None = None, rules: Iterable[Rule] | None = None
) -> list[Verdict]:
    """Judge a journal by every clause that applies to its provider; the violated ones come first."""
    return judge_by(applicable(journal.provider, clauses, rules), journal)


def judge_by(chosen: Applicable, journal: Journal) -> list[Verdict]:
    """Judge a journal by clauses that were chosen for its provider."""
    return ranked(_verdict(clause, journal, sources) for clause, sources in chosen)


def ranked(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Put what matters first: the violated, then the not exercised; of each, what must be before what should."""
    order = {"violated": 0, "not exercised": 1, "kept": 2}
    severity = {"must": 0, "should": 1, "advice": 2}
    return sorted(verdicts, key=lambda each: (order[each.judgement], severity[each.clause.severity]))


def _verdict(clause: Clause, journal: Journal, sources: tuple[str, ...]) -> Verdict:
    violations: list[Violation] = []
    exercised = False
    for finding in clause.judge(journal):
        if isinstance(finding, Exercised):
            exercised = True
        else:
            violations.append(finding)
    judgement = "violated" if violations else "kept" if exercised else "not exercised"
    return Verdict(clause, journal.provider.name, judgement, tuple(violations), sources, speed=journal.speed)  # type: ignore[arg-type]
