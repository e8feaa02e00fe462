"""All laws over what was seen of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.clause import Exercised, Verdict, Violation
from contracts.server.clauses import all_server_clauses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contracts.clause import Clause, Judgement
    from contracts.rules import Rule
    from contracts.server.evidence import Evidence

_ORDER = {"violated": 0, "not exercised": 1, "kept": 2}


def judged(evidence: Evidence, rules: Iterable[Rule]) -> list[Verdict]:
    """Judge a server by every law; the violated ones come first. The rules are those that documents list."""
    own = {each.id: each for each in rules if each.provider == evidence.spec.provider.name and each.asks == "provider"}
    verdicts = [
        _verdict(law, evidence, tuple(f"{rule} ({own[rule].source})" for rule in law.covered(own)))
        for law in all_server_clauses()
        if law.applies(evidence.spec.provider)
    ]
    return sorted(verdicts, key=lambda each: _ORDER[each.judgement])


def _verdict(law: Clause, evidence: Evidence, sources: tuple[str, ...]) -> Verdict:
    findings = list(law.judge(evidence))  # type: ignore[arg-type]  # a law's journal is the evidence
    violations = tuple(each for each in findings if isinstance(each, Violation))
    judgement: Judgement = "not exercised"
    if violations:
        judgement = "violated"
    elif any(isinstance(each, Exercised) for each in findings):
        judgement = "kept"
    return Verdict(law, evidence.spec.provider.name, judgement, violations, sources)
