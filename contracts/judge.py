"""Judge a journal by every clause that applies to its provider."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.clause import Clause, Exercised, Finding, Judgement, Verdict, Violation, all_clauses
from contracts.journal import Journal
from contracts.rules import Rule, documented_rules
from mockserver.provider import Provider

#: The clauses that apply to a provider, each with the documented rules that it covers.
Applicable = tuple[tuple["Clause", tuple[str, ...]], ...]
_ORDER = {"violated": 0, "not exercised": 1, "kept": 2}
_SEVERITIES = {"must": 0, "should": 1, "advice": 2}


def sources(clause: Clause, rules: dict[str, Rule]) -> tuple[str, ...]:
    """Return where a clause comes from: the rules that it covers, each as `id (document, section)`."""
    return tuple(f"{rule} ({rules[rule].source})" for rule in clause.covered(rules))


def applicable(
    provider: Provider, clauses: Iterable[Clause] | None = None, rules: Iterable[Rule] | None = None
) -> Applicable:
    """Choose the clauses (by default, from all) that apply to a provider."""
    own = [each for each in (documented_rules() if rules is None else rules) if each.provider == provider.name]
    by_id = {each.id: each for each in own if each.asks == "client"}
    chosen = ((each, sources(each, by_id)) for each in (all_clauses() if clauses is None else clauses))
    return tuple((clause, covered) for clause, covered in chosen if clause.concerns(provider, covered))


def judge_journal(
    journal: Journal, clauses: Iterable[Clause] | None = None, rules: Iterable[Rule] | None = None
) -> list[Verdict]:
    """Judge a journal by every clause that applies to its provider; violations come first."""
    return judge_by(applicable(journal.provider, clauses, rules), journal)


def judge_by(chosen: Applicable, journal: Journal) -> list[Verdict]:
    """Judge a journal by clauses that were chosen for its provider."""
    return ranked(
        verdict_of(clause, journal.provider, clause.judge(journal), covered, journal.speed)
        for clause, covered in chosen
    )


def verdict_of(
    clause: Clause, provider: Provider, findings: Iterable[Finding], covered: tuple[str, ...], speed: float = 1.0
) -> Verdict:
    """Sum up a clause's findings."""
    violations: list[Violation] = []
    judgement: Judgement = "not exercised"
    for finding in findings:
        if isinstance(finding, Exercised):
            judgement = "kept"
        else:
            violations.append(finding)
    if violations:
        judgement = "violated"
    return Verdict(clause, provider.name, judgement, tuple(violations), covered, speed=speed)


def fails(verdict: Verdict, fail_on: str = "must") -> bool:
    """Tell whether a verdict is a violation of at least this severity."""
    return verdict.judgement == "violated" and _SEVERITIES[verdict.clause.severity] <= _SEVERITIES[fail_on]


def ranked(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Sort verdicts: violated, not tested, kept; within each, must before should."""
    return sorted(verdicts, key=lambda each: (_ORDER[each.judgement], _SEVERITIES[each.clause.severity]))
