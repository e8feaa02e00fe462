"""Holds recorded answers against the spec: every difference, with its records, its place and the edit that closes it.

places        places in a spec, and edits
differences   what was found, each cause once
shapes        JSON against a schema
templates     shapes of the templates that answers are made from
spec          a spec with its files: where each thing is declared
bodies        bodies against shapes
errors        errors against the table of errors
headers       headers against the declared ones
requests      what was accepted, against the models
answers       answers
traces        what was seen of each task
course        states, transitions, progress
durations     how long the states last
links         lifetimes of links
callbacks     callbacks: events, bodies, times
limits        refusals for too many requests, against the plans
"""

from __future__ import annotations

from dataclasses import replace

from contracts.clause import Verdict
from contracts.drift.answers import Answers
from contracts.drift.bodies import Bodies
from contracts.drift.callbacks import Callbacks, judge_callback_times
from contracts.drift.course import judge_states, judge_transitions
from contracts.drift.differences import Difference, Differences
from contracts.drift.durations import judge_durations
from contracts.drift.limits import judge_limits
from contracts.drift.links import judge_links
from contracts.drift.places import Edit, Place
from contracts.drift.spec import DocumentedSpec, UnknownDialectError, compiled, documented
from contracts.drift.traces import traces_of
from contracts.journal import Delivery, Exchange, Journal, Record

__all__ = [
    "Difference",
    "Differences",
    "DocumentedSpec",
    "Edit",
    "Place",
    "UnknownDialectError",
    "compiled",
    "differences",
    "documented",
    "drift",
]


def differences(journal: Journal, spec: DocumentedSpec) -> Differences:
    """Find what a journal shows and the spec does not say, without what faults of the mock server have changed."""
    found = Differences()
    journal = replace(journal, records=tuple(each for each in journal.records if not _is_own(each)))
    traces = traces_of(journal, spec)
    models = {id(record): trace.model for trace in traces for record in trace.records}
    bodies = Bodies(found)
    answers, callbacks = Answers(spec, found, bodies), Callbacks(spec, found, bodies)
    for record in journal.records:
        if record.faults:
            continue
        if isinstance(record, Delivery):
            callbacks.judge(record, models.get(id(record)))
        else:
            answers.judge(record, models.get(id(record)))
    judge_states(spec, traces, found)
    judge_transitions(spec, traces, found)
    judge_durations(spec, traces, found)
    judge_links(spec, traces, found)
    judge_callback_times(spec, journal, traces, found)
    judge_limits(spec, journal, found)
    return found


def _is_own(record: Record) -> bool:
    """Tell whether the recording server has answered itself, in place of the provider."""
    return isinstance(record, Exchange) and record.gate == "proxy"


def drift(journal: Journal, spec: DocumentedSpec) -> list[Verdict]:
    """Write what a journal shows that the spec does not say as verdicts: one for each difference."""
    return differences(journal, spec).verdicts(journal.provider.name)
