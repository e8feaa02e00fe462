"""Outcomes: what a client reports about a job, compared with the traffic. Only a runner knows both."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.analysis import (
    OK,
    accepted,
    end_callbacks,
    end_sent,
    faults_in,
    is_whole,
    patience_is_over,
    reasons_in,
    received,
    seconds_text,
    shows,
    sizes,
    status_of,
    submits_of,
    traces_of,
)
from contracts.clause import Exercised, Finding, Untested, Violation, check, clause
from contracts.journal import Job, Journal, Record, TaskTrace

#: Refusals that come from what an account may do, and ends without a file.
_OF_ACCOUNTS = frozenset(("rate", "concurrency", "credits", "plan"))
_WITHOUT_FILE = ("failure", "cancellation")
#: How much of an error's text a verdict quotes.
_QUOTED = 120


def _last(journal: Journal, job: Job) -> tuple[Record, ...]:
    """Return the last two exchanges of a job."""
    records: list[Record] = [*submits_of(journal, job)]
    for trace in traces_of(journal, job):
        records += [*trace.queries, *trace.downloads]
    return tuple(sorted(records, key=lambda each: each.seq)[-2:])


def _cut_short(job: Job) -> Untested:
    return Untested(f"job {job.number} was {job.stopped}: a longer limit would show its end")


@clause("outcome.ends", "End every job with a file or an error.", general=True, elsewhere="must")
def ends(journal: Journal) -> Iterator[Finding]:
    """Find jobs that did not end."""
    for job in journal.jobs:
        if job.ended != "never":
            yield Exercised()
        elif job.stopped:
            yield _cut_short(job)
        else:
            lasted_s = journal.seconds(job.started_ms, job.ended_ms)
            why = f": {job.said}" if job.said else f" after {seconds_text(lasted_s)}"
            yield Violation(
                _last(journal, job),
                f"job {job.number} did not end{why}",
                "a file or an error",
                "limit every wait: for an answer, for a callback, for the task as a whole",
            )


@clause("outcome.begins", "Submit the job.", general=True, elsewhere="must", core="always")
def begins(journal: Journal) -> Iterator[Finding]:
    """Find jobs that failed before any request to the API."""
    for job in journal.jobs:
        if submits_of(journal, job):
            yield Exercised()
        elif job.ended == "raised" and not journal.exchanges:
            yield Violation(
                (),
                f"job {job.number} failed with {job.said[:_QUOTED]!r} before any request to the API",
                "a submit",
                "send requests to the base URL that the client is given; run the client once by hand to see its error",
            )


@clause(
    "outcome.makes-video",
    "Return the file of a job that meets no faults.",
    general=True,
    elsewhere="must",
    core="without faults",
)
def makes_video(journal: Journal) -> Iterator[Finding]:
    """Find jobs that failed although nothing went wrong at the provider, and no limit of the account was reached."""
    if any(each.faults or each.gate in _OF_ACCOUNTS for each in journal.exchanges):
        return
    if any(each.faults or each.outcome == "lost" for each in journal.deliveries):
        return
    for job in journal.jobs:
        traces = traces_of(journal, job)
        if any(shows(journal, query, kind) for each in traces for query in each.queries for kind in _WITHOUT_FILE):
            continue
        if job.ended == "returned":
            if any(_succeeded(journal, trace) for trace in traces):
                yield Exercised()
            continue  # otherwise another clause says that it was no success
        if len(traces) == 1 and any(shows(journal, query, "success") for query in traces[0].queries):
            continue  # another clause says that the file was there
        if job.ended == "never":
            if job.stopped:
                yield _cut_short(job)
            continue  # otherwise another clause says that it did not end
        refused = [each for each in journal.exchanges if each.status is not None and each.status not in OK]
        first = f"; the first refused request was {refused[0]}" if refused else ""
        yield Violation(
            (*refused[:1], *_last(journal, job)) if refused else _last(journal, job),
            f"job {job.number} failed with {job.said[:_QUOTED]!r}, although nothing went wrong at the provider{first}",
            "the file of the video",
            "submit, query and download at the documented paths; run the client once by hand to see its error",
        )


@clause(
    "outcome.success-is-real",
    "Report success only if the task succeeded and its file was downloaded completely.",
    general=True,
    elsewhere="must",
)
def success_is_real(journal: Journal) -> Iterator[Finding]:
    """Find jobs that were reported as done without a whole file."""
    for job in journal.jobs:
        if job.ended != "returned":
            continue
        traces = traces_of(journal, job)
        downloads = [each for trace in traces for each in trace.downloads]
        lengths = sizes(downloads)
        if not any(_succeeded(journal, trace) for trace in traces):
            seen = f"job {job.number} was reported as done, but none of its tasks had succeeded"
        elif job.size_bytes is not None and downloads and job.size_bytes not in lengths:
            seen = f"job {job.number} was reported as done with {job.size_bytes} bytes, which is not a whole file"
        elif not downloads and job.size_bytes == 0:
            seen = f"job {job.number} was reported as done with an empty file; it downloaded none"
        elif not downloads and job.size_bytes in sizes(each for trace in journal.traces for each in trace.downloads):
            seen = f"job {job.number} was reported as done with the file of another task; its own was not downloaded"
        else:
            yield Exercised()
            continue
        yield Violation(
            _last(journal, job),
            seen,
            "an error if no file was received",
            "report a job as done when its status is a success and its file is complete; raise an error otherwise",
        )


def _succeeded(journal: Journal, trace: TaskTrace) -> bool:
    """Tell whether a task's success may have been shown to the client, by an answer or a callback."""
    ends = [end_sent(journal, query) for query in (*trace.queries, *trace.submits)]
    shown = any(end is not None and end.kind == "success" for end in ends)
    told = any(delivery.event == journal.provider.lifecycle.success.name for delivery in trace.deliveries)
    return shown or told or any(is_whole(each) for each in trace.downloads)


@clause(
    "outcome.failure-has-its-reason",
    "Report a failed task as an error with the provider's reason.",
    covers=["*.poll.failed-is-an-error", "*.callback.by-event"],
    general=True,
    # Elsewhere a should: a failed job that is reported as done is judged by another clause.
)
def failure_has_its_reason(journal: Journal) -> Iterator[Finding]:
    """Check the errors of jobs whose tasks were shown as failed; what callbacks tell is judged by another clause."""
    for job in journal.jobs:
        traces = traces_of(journal, job)
        failed = [query for trace in traces for query in trace.queries if shows(journal, query, "failure")]
        if not failed or any(_succeeded(journal, trace) for trace in traces):
            continue
        words = reasons_in(journal.provider, failed[0].answer_body)
        if job.ended == "returned":
            seen = f"job {job.number} was reported as done, but its task had failed"
        elif job.ended == "raised" and words and not any(job.tells(word) for word in words):
            seen = f"the error of job {job.number} was {job.said[:_QUOTED]!r}, without the reason {' / '.join(words)}"
        else:
            yield Exercised()
            continue
        yield Violation(
            (failed[0],), seen, "an error with the provider's reason", "raise the code and message of the failure"
        )


@clause("outcome.returns-file", "Return the file of a task that succeeded.", general=True, elsewhere="must")
def returns_file(journal: Journal) -> Iterator[Finding]:
    """Find jobs that failed although their file was available."""
    for job in journal.jobs:
        traces = traces_of(journal, job)
        if len(traces) != 1 or len(submits_of(journal, job)) != 1:
            continue
        (trace,) = traces
        shown = next((each for each in trace.queries if shows(journal, each, "success")), None)
        if shown is not None and patience_is_over(journal, trace.submits[0], (), shown.at_ms):
            continue  # the end came too late for the client
        records: list[Record] = [*trace.submits, *trace.queries, *trace.deliveries]
        hidden = any(faults_in(each, "hides_result") for each in records)
        if shown is None or hidden or any(each.faults for each in trace.downloads):
            continue
        if job.ended == "returned":
            yield Exercised()
        elif job.ended == "raised":
            yield Violation(
                (shown, *trace.downloads[-1:]),
                f"job {job.number} failed with {job.said[:_QUOTED]!r}",
                "the file, which was available",
                "follow a task to its end, and download its file",
            )


@clause(
    "outcome.error-has-request-id",
    "Include the request id in the error when the provider fails permanently.",
    covers=["*.error.500-keep-request-id", "*.error.500-escalate"],
    severity="should",
)
def error_has_request_id(journal: Journal) -> Iterator[Finding]:
    """Check the errors of jobs whose submit ended with 500."""
    header = journal.provider.request_id_header
    no_credits = any(each.status == 402 for each in journal.of_role("submit"))
    for job in journal.jobs:
        submits = submits_of(journal, job)
        if job.ended != "raised" or no_credits or not submits or submits[-1].status != 500 or not received(submits[-1]):
            continue
        names = {each.answer_header(header) for each in submits} - {None}
        if not names:
            continue
        yield check(
            any(job.tells(str(name)) for name in names),
            (submits[-1],),
            f"the error of job {job.number} was {job.said[:_QUOTED]!r}",
            f"an error with the {header} of the answer",
            f"put {header} into the error (and the log)",
        )


@clause(
    "outcome.follows-to-the-end",
    "Do not give up on a task that is in progress before its time limit.",
    covers=["*.poll.gives-up", "*.poll.give-up"],
    general=True,
)
def follows_to_the_end(journal: Journal) -> Iterator[Finding]:
    """Find jobs that ended while the last answer showed a task in progress, and no callback had told its end."""
    lifecycle, rule = journal.provider.lifecycle, journal.provider.callbacks
    in_progress = {state.name for state in lifecycle.states} | set(lifecycle.older_words.values())
    answering_s = 0.0 if rule is None else rule.timeout_s
    for job in journal.jobs:
        submits, traces = submits_of(journal, job), traces_of(journal, job)
        if len(traces) != 1 or len(submits) != 1 or job.ended == "never":
            continue
        queries = traces[0].queries
        if queries and not received(queries[-1]):
            continue  # the client may not have seen the task in progress
        if not queries:
            if _dropped(journal, job, traces[0]):
                yield _left(job, (submits[0],), "before its task was polled")
            continue
        word = (status_of(journal.provider, queries[-1]) or "").lower()
        callbacks = end_callbacks(journal, traces[0])
        told = any(journal.seconds(job.ended_ms, each.at_ms) <= answering_s for each in callbacks)
        over = patience_is_over(journal, submits[0], queries, job.ended_ms)
        if word not in in_progress or queries[-1].status not in OK or over or told:
            if job.ended == "returned":
                yield Exercised()
            continue
        yield _left(job, (submits[0], queries[-1]), f"when its task was still {word}")


def _left(job: Job, records: tuple[Record, ...], when: str) -> Violation:
    return Violation(
        records,
        f"job {job.number} ended ({job.said[:_QUOTED] or job.ended}) {when}",
        "polling until the task ends or its time limit is reached",
        "read only the fields that are needed (such as the task id), ignore the rest, and poll again",
    )


def _dropped(journal: Journal, job: Job, trace: TaskTrace) -> bool:
    """Tell whether a job failed after a successful submit, before the status of its task was known."""
    (submit,) = trace.submits
    well = accepted(submit) and not submit.faults and job.ended == "raised" and not trace.deliveries
    known = {each.task for each in journal.traces if each.submits}
    mistaken = any(query.task not in known for query in journal.of_role("query"))  # another clause reports it
    return well and not mistaken and not patience_is_over(journal, submit, (), job.ended_ms)
