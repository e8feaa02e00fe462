"""Holds recorded answers against the spec: every difference, with its records, its place and the edit that closes it.

places        places in a spec, and edits
differences   what was found, each cause once
shapes        JSON against a schema or a template
spec          a spec with its files: where each thing is declared
headers       headers that come with any answer
answers       answers and the bodies of callbacks
traces        what was seen of each task
course        states, transitions, progress, durations
links         lifetimes of links, times of callbacks
"""

from __future__ import annotations

from contracts.clause import Verdict
from contracts.drift.answers import Answers
from contracts.drift.course import judge_durations, judge_states, judge_transitions
from contracts.drift.differences import Difference, Differences
from contracts.drift.links import judge_callback_times, judge_links
from contracts.drift.places import Edit, Place
from contracts.drift.spec import DocumentedSpec, UnknownDialectError, documented
from contracts.drift.traces import traces_of
from contracts.journal import Delivery, Journal

__all__ = [
    "Difference",
    "DocumentedSpec",
    "Edit",
    "Place",
    "UnknownDialectError",
    "differences",
    "documented",
    "drift",
]


def differences(journal: Journal, spec: DocumentedSpec) -> Differences:
    """Find what a journal shows and the spec does not say, without what faults of the mock server have changed."""
    found = Differences()
    traces = traces_of(journal, spec)
    models = {id(record): trace.model for trace in traces for record in trace.records}
    answers = Answers(spec, found)
    for record in journal.records:
        if record.faults:
            continue
        if isinstance(record, Delivery):
            answers.callback(record, models.get(id(record)))
        else:
            answers.judge(record, models.get(id(record)))
    judge_states(spec, traces, found)
    judge_transitions(spec, traces, found)
    judge_durations(spec, traces, found)
    judge_links(spec, traces, found)
    judge_callback_times(spec, journal, traces, found)
    return found


def drift(journal: Journal, spec: DocumentedSpec) -> list[Verdict]:
    """Write what a journal shows that the spec does not say as verdicts: one for each difference."""
    return differences(journal, spec).verdicts(journal.provider.name)
