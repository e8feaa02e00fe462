"""Verdicts for people (text) and for machines (JSON, JUnit XML)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from contracts.journal import Exchange
from mockserver.clock import iso_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from contracts.clause import Verdict, Violation
    from contracts.journal import Record

_SHOWN = 3


def text(verdicts: Sequence[Verdict]) -> str:
    """Write verdicts for a terminal: what was violated, with evidence; what was not exercised; a count of the rest."""
    lines: list[str] = []
    for verdict in verdicts:
        if verdict.judgement == "violated":
            lines += _violated(verdict)
    idle = [each for each in verdicts if each.judgement == "not exercised"]
    if idle:
        lines += ["not exercised (this journal cannot tell):"]
        lines += [f"  {each.provider}  {each.clause.id}: {each.clause.rule}" for each in idle]
        lines.append("")
    counts = {kind: sum(each.judgement == kind for each in verdicts) for kind in ("violated", "not exercised", "kept")}
    lines.append(", ".join(f"{number} {kind}" for kind, number in counts.items()))
    return "\n".join(lines)


def _violated(verdict: Verdict) -> list[str]:
    lines = [
        f"VIOLATED ({verdict.clause.severity})  {verdict.provider}  {verdict.clause.id}",
        f"  {verdict.clause.rule}",
    ]
    lines += [f"  source: {source}" for source in verdict.sources] or ["  source: what every asynchronous API asks"]
    for violation in verdict.violations[:_SHOWN]:
        lines += [f"  seen: {violation.seen}", f"  asked: {violation.asks}", *_time_line(violation)]
    more = len(verdict.violations) - _SHOWN
    if more > 0:
        lines.append(f"  and {more} more like this")
    lines += [f"  fix: {verdict.violations[0].fix}", ""]
    return lines


def _time_line(violation: Violation) -> list[str]:
    """Write the offending records with the gaps between them."""
    lines, before_ms = [], None
    for record in violation.records:
        gap = "" if before_ms is None else f"  (+{(record.at_ms - before_ms) / 1000:g} s)"
        lines.append(f"    {iso_of(record.at_ms)[11:-1]}{gap}  {record}")
        before_ms = record.at_ms
    return lines


def as_json(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Write verdicts as JSON."""
    return {
        "verdicts": [
            {
                "clause": each.clause.id,
                "provider": each.provider,
                "rule": each.clause.rule,
                "severity": each.clause.severity,
                "judgement": each.judgement,
                "sources": list(each.sources),
                "violations": [
                    {
                        "seen": violation.seen,
                        "asks": violation.asks,
                        "fix": violation.fix,
                        "records": [_record(record) for record in violation.records],
                    }
                    for violation in each.violations
                ],
            }
            for each in verdicts
        ]
    }


def _record(record: Record) -> dict[str, Any]:
    return {
        "seq": record.seq,
        "at": iso_of(record.at_ms),
        "kind": "exchange" if isinstance(record, Exchange) else "delivery",
        "status": record.status,
        "what": str(record),
    }


def junit(verdicts: Sequence[Verdict]) -> str:
    """Write verdicts as JUnit XML: a violated `must` is a failure, what was not exercised is skipped."""
    suite = ET.Element("testsuite", name="contracts", tests=str(len(verdicts)))
    failures = skipped = 0
    for each in verdicts:
        case = ET.SubElement(suite, "testcase", classname=f"contracts.{each.provider}", name=each.clause.id)
        if each.judgement == "violated":
            failures += 1
            failure = ET.SubElement(case, "failure", message=each.violations[0].seen, type=each.clause.severity)
            failure.text = "\n".join(_violated(each))
        elif each.judgement == "not exercised":
            skipped += 1
            ET.SubElement(case, "skipped", message="not exercised")
    suite.set("failures", str(failures))
    suite.set("skipped", str(skipped))
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"
