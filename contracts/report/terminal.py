"""Verdicts as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

from contracts.clause import Verdict, Violation
from contracts.client.output import telling_lines
from contracts.judge import ranked
from contracts.report.plain import line
from contracts.report.wording import (
    NAMES,
    SHOWN,
    cause_text,
    counted,
    fixes,
    gap,
    how_often,
    in_time,
    printed_by,
    rests_on,
)
from mockserver.clock import iso_of


def text(verdicts: Iterable[Verdict]) -> str:
    """Write verdicts: the violations with evidence, the clauses that were not tested, and the counts."""
    ordered = ranked(verdicts)
    lines: list[str] = []
    for verdict in ordered:
        if verdict.judgement == "violated":
            lines += [*violated(verdict), ""]
    idle = [each for each in ordered if each.judgement == "not exercised"]
    if idle:
        lines.append("not tested by this run (`contracts list` explains each clause):")
        for provider in dict.fromkeys(each.provider for each in idle):
            names = ", ".join(each.clause.id for each in idle if each.provider == provider)
            lines += wrap(
                f"{provider}: {names}", 110, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
            )
        lines += [f"  {each.clause.id}: {line(each.reason)}" for each in idle if each.reason]
        lines.append("")
    lines.append(", ".join(f"{number} {NAMES[judgement]}" for judgement, number in counted(ordered).items()))
    return "\n".join(lines)


def violated(verdict: Verdict) -> list[str]:
    """Write a violated clause, with its evidence."""
    lines = [
        f"VIOLATED ({verdict.severity})  {verdict.provider}  {verdict.clause.id}",
        f"  {verdict.clause.rule}",
    ]
    if verdict.cause:
        lines.append(f"  cause: {cause_text(verdict)}")
    lines.append(f"  rests on: {rests_on(verdict)}")
    lines += [f"  source: {line(source)}" for source in verdict.sources]
    where = [f"situation: {line(verdict.situation)}" if verdict.situation else "", how_often(verdict)]
    if any(where):
        lines.append("  " + "; ".join(each for each in where if each))
    for violation in verdict.violations[:SHOWN]:
        lines += [f"  seen: {line(violation.seen)}", f"  expected: {line(violation.asks)}", *_time_line(violation)]
        if verdict.speed != 1 and violation.records:
            lines.append(f"    (in server time, {verdict.speed:g} times as fast as the client's)")
    more = len(verdict.violations) - SHOWN
    if more > 0:
        lines.append(f"  and {more} more like this")
    if verdict.grouped:
        lines.append("  from the same cause:")
        lines += [f"    {each.clause.id}: {line(each.violation.seen)}" for each in verdict.grouped]
    lines += [f"  {printed_by(job)}: {line(telling_lines(text)[-1])}" for job, text in verdict.output[:SHOWN]]
    lines += [f"  fix: {line(fix)}" for fix in fixes(verdict.violations[:SHOWN])]
    if verdict.replay:
        lines.append(f"  replay: {line(verdict.replay, 4000)}")
    return lines


def _time_line(violation: Violation) -> list[str]:
    """Write the records of a violation, with the gaps between them."""
    lines, before = [], None
    for record in in_time(violation.records):
        since = "" if before is None else f"  (+{gap(before, record)})"
        lines.append(f"    {iso_of(record.at_ms)[11:-1]}{since}  {line(str(record))}")
        before = record
    return lines
