"""Outcomes: what a client tells its user of a job, against what went over the wire. Only a runner knows both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.analysis import (
    OK,
    accepted,
    end_callbacks,
    end_shown,
    is_whole,
    patience_is_over,
    reasons_in,
    seconds_text,
    sizes,
    status_of,
    submits_of,
    traces_of,
)
from contracts.clause import Exercised, Finding, Violation, clause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.journal import Exchange, Job, Journal, Record, TaskTrace

#: Faults after which nobody can bring a job home, or nobody need.
HOPELESS = frozenset(("null_field", "other_type", "wrong_host", "late_url", "contradicting_callback", "ok_with_error"))


def _last(journal: Journal, job: Job) -> tuple[Record, ...]:
    """Return the last that went over the wire for a job."""
    records: list[Record] = [*submits_of(journal, job)]
    for trace in traces_of(journal, job):
        records += [*trace.queries, *trace.downloads]
    return tuple(sorted(records, key=lambda each: each.seq)[-2:])


@clause(
    "outcome.ends",
    "A job ends, whatever the API does: with a file, or with an error.",
    general=True,
)
def ends(journal: Journal) -> Iterator[Finding]:
    """Look for jobs that never ended."""
    for job in journal.jobs:
        if job.ended != "never":
            yield Exercised()
        else:
            how = (
                f": {job.said}" if job.said else f" after {seconds_text(journal.seconds(job.started_ms, job.ended_ms))}"
            )
            yield Violation(
                _last(journal, job),
                f"job {job.number} had not ended{how}",
                "a file or an error",
                "bound every wait: for an answer, for a callback, for the task as a whole",
            )


@clause(
    "outcome.begins",
    "A job is submitted: nothing but the API keeps a client from it.",
    general=True,
)
def begins(journal: Journal) -> Iterator[Finding]:
    """Look for jobs that failed before anything was asked of the API."""
    for job in journal.jobs:
        if submits_of(journal, job):
            yield Exercised()
        elif job.ended == "raised" and not journal.exchanges:
            yield Violation(
                (),
                f"job {job.number} failed with {job.said[:120]!r}, and nothing had been asked of the API",
                "a submit",
                "send requests to the base URL that the client is given; run it once by hand to see where it stops",
            )


@clause(
    "outcome.success-is-real",
    "A job is reported as done only if its task has succeeded and its file has come whole.",
    general=True,
)
def success_is_real(journal: Journal) -> Iterator[Finding]:
    """Look for jobs that were reported as done without a whole file of theirs."""
    for job in journal.jobs:
        if job.ended != "returned":
            continue
        traces = traces_of(journal, job)
        lengths = sizes(each for trace in traces for each in trace.downloads)
        if not any(_succeeded(journal, trace) for trace in traces):
            seen = f"job {job.number} was reported as done, though no task of it had succeeded"
        elif job.size_bytes is not None and job.size_bytes not in lengths:
            seen = f"job {job.number} was reported as done with {job.size_bytes} bytes, which is no whole file"
        else:
            yield Exercised()
            continue
        yield Violation(
            _last(journal, job),
            seen,
            "an error, where there is no file",
            "report a job as done when its status says so and its file is there, and raise everything else",
        )


def _succeeded(journal: Journal, trace: TaskTrace) -> bool:
    """Tell whether a task's success was shown, by an answer or a callback."""
    shown = any((end := end_shown(journal, query)) is not None and end.kind == "success" for query in trace.queries)
    told = any(delivery.event == journal.provider.lifecycle.success.name for delivery in trace.deliveries)
    return shown or told or any(is_whole(each) for each in trace.downloads)


@clause(
    "outcome.failure-has-its-reason",
    "When a task fails, the job fails with the provider's reason.",
    covers=["*.poll.failed-is-an-error", "*.callback.by-event"],
    general=True,
)
def failure_has_its_reason(journal: Journal) -> Iterator[Finding]:
    """Look into the errors of jobs whose tasks were shown as failed."""
    for job in journal.jobs:
        traces = traces_of(journal, job)
        failed = [query for trace in traces for query in trace.queries if _shows_failure(journal, query)]
        if not failed or any(_succeeded(journal, trace) for trace in traces):
            continue
        words = reasons_in(journal.provider, failed[0].answer_body)
        if job.ended == "returned":
            seen = f"job {job.number} was reported as done, though its task had failed"
        elif job.ended == "raised" and words and not any(word.lower() in job.said.lower() for word in words):
            seen = f"the error of job {job.number} was {job.said[:120]!r}, without the reason {' / '.join(words)}"
        else:
            yield Exercised()
            continue
        yield Violation(
            (failed[0],), seen, "an error with the provider's reason", "raise what the answer says of the failure"
        )


def _shows_failure(journal: Journal, query: Exchange) -> bool:
    end = end_shown(journal, query)
    return end is not None and end.kind == "failure"


@clause(
    "outcome.comes-home",
    "A job whose task has succeeded, and whose file can be had, ends with the file.",
    general=True,
)
def returns_file(journal: Journal) -> Iterator[Finding]:
    """Look for jobs that failed although nothing stood in their way."""
    for job in journal.jobs:
        traces = traces_of(journal, job)
        if len(traces) != 1 or len(submits_of(journal, job)) != 1:
            continue
        (trace,) = traces
        shown = next((each for each in trace.queries if _shows_success(journal, each)), None)
        records: list[Record] = [*trace.submits, *trace.queries, *trace.deliveries]
        faults = {fault for each in records for fault in each.faults}
        if shown is None or faults & HOPELESS or any(each.faults for each in trace.downloads):
            continue
        if job.ended == "returned":
            yield Exercised()
        elif job.ended == "raised":
            yield Violation(
                (shown, *trace.downloads[-1:]),
                f"job {job.number} failed with {job.said[:120]!r}",
                "the file, which was there",
                "follow a task to its end, and fetch its file",
            )


def _shows_success(journal: Journal, query: Exchange) -> bool:
    end = end_shown(journal, query)
    return end is not None and end.kind == "success"


@clause(
    "outcome.error-has-request-id",
    "When the API's own failure is given up on, the error says the request's id, for the provider's support.",
    covers=["*.error.500-keep-request-id", "*.retry.reports-body", "*.error.500-escalate"],
    severity="should",
)
def error_has_request_id(journal: Journal) -> Iterator[Finding]:
    """Look into the errors of jobs whose submit ended with 500."""
    header = journal.provider.request_id_header
    broke = any(each.status == 402 for each in journal.of_role("submit"))
    for job in journal.jobs:
        submits = submits_of(journal, job)
        if job.ended != "raised" or broke or not submits or submits[-1].status != 500:
            continue
        names = {each.answer_header(header) for each in submits} - {None}
        if not names:
            continue
        if any(str(name) in job.said for name in names):
            yield Exercised()
        else:
            yield Violation(
                (submits[-1],),
                f"the error of job {job.number} was {job.said[:120]!r}",
                f"an error with the {header} of the answer",
                f"put {header} into the error (and the log)",
            )


@clause(
    "outcome.follows-to-the-end",
    "A job is not given up while its task is on its way, before the time that a task may take is over.",
    general=True,
)
def follows_to_the_end(journal: Journal) -> Iterator[Finding]:
    """Look for jobs that ended while the last answer showed a task on its way, and no callback had told its end."""
    lifecycle, rule = journal.provider.lifecycle, journal.provider.callbacks
    on_the_way = {state.name for state in lifecycle.states} | set(lifecycle.older_words.values())
    answering_s = 0.0 if rule is None else rule.timeout_s
    for job in journal.jobs:
        submits, traces = submits_of(journal, job), traces_of(journal, job)
        if len(traces) != 1 or len(submits) != 1 or job.ended == "never":
            continue
        queries = traces[0].queries
        if not queries:
            if _dropped(journal, job, traces[0]):
                yield Violation(
                    (submits[0],),
                    f"job {job.number} ended ({job.said[:120] or job.ended}) and nobody had asked after its task",
                    "waiting that goes on until the task has ended, or its time is over",
                    "read from the submit's answer what is needed, the task's id, and ask after it",
                )
            continue
        word = (status_of(queries[-1]) or "").lower()
        over = patience_is_over(journal, submits[0], queries, job.ended_ms)
        told = any(
            journal.seconds(job.ended_ms, each.at_ms) <= answering_s for each in end_callbacks(journal, traces[0])
        )
        if word not in on_the_way or queries[-1].status not in OK or over or told:
            if job.ended == "returned":
                yield Exercised()
            continue
        yield Violation(
            (submits[0], queries[-1]),
            f"job {job.number} ended ({job.said[:120] or job.ended}) when its task was still {word}",
            "waiting that goes on until the task has ended, or its time is over",
            "read from an answer what is needed, let the rest be, and ask again",
        )


def _dropped(journal: Journal, job: Job, trace: TaskTrace) -> bool:
    """Tell whether a job failed although its submit was answered well, and before anybody could tell it anything."""
    (submit,) = trace.submits
    well = accepted(submit) and not submit.faults and job.ended == "raised" and not trace.deliveries
    known = {each.task for each in journal.traces if each.submits}
    mistaken = any(query.task not in known for query in journal.of_role("query"))  # another clause says so
    return well and not mistaken and not patience_is_over(journal, submit, (), job.ended_ms)
