"""What led to a violation: the client itself, or an answer as no document describes it.

An undocumented fault (`Fault.undocumented`) may make a client break several clauses. Those violations are put down to
the fault, which yields one verdict: the gravest of them, with the others grouped under it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from contracts.analysis import faults_in, faults_that, is_of_job
from contracts.clause import Clause, Finding, Grouped, Verdict, Violation
from contracts.journal import Journal, Record


def blamed(journal: Journal, clause: Clause) -> Iterator[Finding]:
    """Judge a journal by a clause; say of each violation which undocumented fault led to it, if any."""
    odd = [] if clause.judges_requests else [each for each in journal.records if faults_in(each, "undocumented")]
    for finding in clause.judge(journal):
        if odd and isinstance(finding, Violation) and not finding.cause:
            yield replace(finding, cause=_cause(journal, finding, odd))
        else:
            yield finding


def _cause(journal: Journal, violation: Violation, odd: Iterable[Record]) -> str:
    """Return the first undocumented fault that the client met on the way to a violation."""
    tasks = {each.task for each in violation.records} - {None}
    mine = [trace for trace in journal.traces if trace.task in tasks]
    for job in journal.jobs:  # a job may have several tasks, and any of them may have led it astray
        if any(is_of_job(trace, job) for trace in mine):
            tasks |= {trace.task for trace in journal.traces if is_of_job(trace, job)}
    shown = {each.seq for each in violation.records}
    last = max(shown, default=0)
    for record in odd:
        if record.seq in shown or (record.task in tasks and record.seq <= last):
            return min(faults_in(record, "undocumented"))
    return ""


def grouped(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Report one verdict for each undocumented cause, and group the others under it."""
    out: list[Verdict] = []
    by_cause: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.cause:
            by_cause[verdict.provider, verdict.cause].append(verdict)
        else:
            out.append(verdict)
    for same in by_cause.values():
        first, *others = sorted(same, key=lambda each: not _is_about(each.clause, each.cause))
        more = tuple(Grouped(each.clause, each.violations[0]) for each in others)
        out.append(replace(first, grouped=more))
        out += [each.without_violations() for each in others]
    return out


def _is_about(clause: Clause, cause: str) -> bool:
    return any(cause in faults_that(effect) for effect in clause.about)
