"""Judge a journal by every clause that applies to its provider."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.blame import blamed, grouped
from contracts.clause import (
    SEVERITIES,
    Basis,
    Clause,
    Exercised,
    Finding,
    Judgement,
    Severity,
    Untested,
    Verdict,
    Violation,
    all_clauses,
)
from contracts.journal import Journal
from contracts.rules import PUBLIC_PAGE, Rule, documented_rules
from mockserver.provider import Provider

#: The clauses that apply to a provider, each with the documented rules that it covers.
Applicable = tuple[tuple["Clause", tuple[str, ...]], ...]
_ORDER = {"violated": 0, "not exercised": 1, "kept": 2}


def sources(clause: Clause, rules: dict[str, Rule]) -> tuple[str, ...]:
    """Return where a clause comes from: the rules that it covers, each as `id (document, section)`."""
    return tuple(f"{rule} ({rules[rule].source})" for rule in clause.covered(rules))


def basis_of(covered: Iterable[str]) -> Basis:
    """Tell what a clause rests on for a provider, by the rules that it covers there."""
    kinds = {PUBLIC_PAGE in each for each in covered}
    return "document" if False in kinds else "public page" if kinds else "best practice"


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
    return ranked(grouped(judge_by(applicable(journal.provider, clauses, rules), journal)))


def judge_by(chosen: Applicable, journal: Journal) -> list[Verdict]:
    """Judge a journal by clauses that were chosen for its provider, each for itself."""
    return [
        verdict_of(clause, journal.provider, _findings(journal, clause), covered, journal.speed)
        for clause, covered in chosen
    ]


def _findings(journal: Journal, clause: Clause) -> Iterable[Finding]:
    """Judge a journal by a clause. Where the client's time is scaled, the time of the machine would count as waits."""
    return () if clause.judges_waits and journal.time_scale != 1 else blamed(journal, clause)


def verdict_of(
    clause: Clause, provider: Provider, findings: Iterable[Finding], covered: tuple[str, ...], speed: float = 1.0
) -> Verdict:
    """Sum up a clause's findings. What has no undocumented cause counts first."""
    violations: list[Violation] = []
    judgement: Judgement = "not exercised"
    kept, reason = False, ""
    for finding in findings:
        if isinstance(finding, Exercised):
            kept = True
        elif isinstance(finding, Untested):
            reason = reason or finding.reason
        else:
            violations.append(finding)
    if violations:
        judgement = "violated"
        cause = "" if any(not each.cause for each in violations) else violations[0].cause
        violations = [each for each in violations if each.cause == cause]
    elif kept:
        judgement = "kept"
    return Verdict(
        clause,
        provider.name,
        judgement,
        tuple(violations),
        covered,
        speed=speed,
        basis=basis_of(covered),
        reason=reason,
        kept=kept,
    )


def fails(verdict: Verdict, fail_on: Severity = "must") -> bool:
    """Tell whether a verdict is a violation of at least this severity."""
    grave = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    return verdict.judgement == "violated" and verdict.severity in grave


def ranked(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Sort verdicts: violated, not tested, kept; within each, must before should."""
    return sorted(verdicts, key=lambda each: (_ORDER[each.judgement], SEVERITIES.index(each.severity)))


def untested_core(verdicts: Iterable[Verdict], *, faultless: bool = True) -> list[Verdict]:
    """Return the core clauses that a run has not tested: without them, that nothing was violated says nothing.

    `faultless` says whether the client was given a job that met no faults.
    """
    return [
        each
        for each in verdicts
        if each.clause.core and each.judgement == "not exercised" and (faultless or each.clause.core == "always")
    ]
