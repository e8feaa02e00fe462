"""What callbacks say: which of them is an end, what its reason is, and which bytes are signed."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.analysis import (
    accepted,
    end_callbacks,
    end_shown,
    faults_in,
    first_end,
    is_invalid_callback,
    is_of_job,
    is_ok,
    is_whole,
    patience_is_over,
    reasons_in,
    sends_callbacks,
    shows,
    signs_callbacks,
    tells_failure,
    traces_of,
)
from contracts.clause import Exercised, Finding, Violation, check, clause
from contracts.journal import Delivery, Exchange, Job, Journal, TaskTrace

_QUOTED = 120
#: A query or two after the end may ask for details; clients that know the end do not go on.
FEW_MORE = 2


@clause(
    "callbacks.unknown-event-is-no-end",
    "Do not take a callback of an unknown event for the end of the task.",
    general=True,
    applies=sends_callbacks,
    severity="should",
)
def unknown_event_is_no_end(journal: Journal) -> Iterator[Finding]:
    """Find jobs that ended after a callback of an unknown event, before the end was shown or told."""
    for trace in journal.traces:
        strange = [
            each
            for each in trace.deliveries
            if faults_in(each, "adds_unknown_event")
            and not faults_in(each, "forges_signature", "corrupts_callback")
            and each.outcome == "acknowledged"
        ]
        if not strange or not trace.submits:
            continue
        for job in (each for each in journal.jobs if traces_of(journal, each) == [trace]):
            early = _ended_early(journal, job, trace, strange[0])
            if early is None:
                continue
            yield check(
                not early,
                (strange[0],),
                f"job {job.number} ended ({job.said[:_QUOTED] or job.ended}) after a callback of an unknown event, "
                "while its task was running",
                "no effect but an acknowledgement",
                "act only on the events that the document lists, and go on waiting after others",
            )


def _ended_early(journal: Journal, job: Job, trace: TaskTrace, strange: Delivery) -> bool | None:
    """Tell whether a job ended after a strange callback without another reason; None where that cannot be told."""
    if job.ended == "never" or job.ended_ms < strange.at_ms:
        return None
    if any(is_whole(each) for each in trace.downloads):
        return False
    shown = first_end(journal, trace)
    told = [each.at_ms for each in end_callbacks(journal, trace)]
    known = any(at_ms <= job.ended_ms for at_ms in [*told, *([shown[0].at_ms] if shown else [])])
    later = [each for each in trace.queries if each.seq > strange.seq]
    if later and (not is_ok(later[-1]) or later[-1].faults != tuple(faults_in(later[-1], "adds_unknown_event"))):
        return None if not known else False
    return not known and not patience_is_over(journal, trace.submits[0], trace.queries, job.ended_ms)


@clause(
    "callbacks.failure-has-its-reason",
    "Report a failure that a callback tells with the reason in it.",
    general=True,
    applies=sends_callbacks,
    severity="should",
)
def failure_has_its_reason(journal: Journal) -> Iterator[Finding]:
    """Check the errors of jobs whose failure was told by a callback, and not shown by a query."""
    for job in journal.jobs:
        traces = traces_of(journal, job)
        if len(traces) != 1 or job.ended != "raised" or not any(accepted(each) for each in traces[0].submits):
            continue
        told = [each for each in end_callbacks(journal, traces[0]) if tells_failure(journal, each)]
        words = reasons_in(journal.provider, told[0].body) if told else []
        if not words or told[0].at_ms > job.ended_ms + 1000 or faults_in(told[0], "hides_result"):
            continue
        shown = any(end_shown(journal, query) is not None for query in traces[0].queries)
        if any(job.tells(word) for word in words):
            yield Exercised()
        elif not shown and not any(query.seq > told[0].seq and not is_ok(query) for query in traces[0].queries):
            yield Violation(
                (told[0],),
                f"the error of job {job.number} was {job.said[:_QUOTED]!r}, without the reason {' / '.join(words)}",
                "an error with the provider's reason",
                "raise the code and message in the callback, or query the task for them",
            )


@clause(
    "callbacks.signature-over-raw-bytes",
    "Check the signature over the callback's raw bytes, not over JSON that is written again.",
    covers=["*.callback.verify-raw-body"],
    applies=signs_callbacks,
)
def signature_over_raw_bytes(journal: Journal) -> Iterator[Finding]:
    """Find valid callbacks that are refused because their JSON is formatted in another way."""
    usual = any(each.outcome == "acknowledged" and not each.faults for each in journal.deliveries)
    for delivery in journal.deliveries:
        if not faults_in(delivery, "reformats_callback") or delivery.status is None:
            continue
        if is_invalid_callback(delivery):
            continue
        yield check(
            usual or not 400 <= delivery.status < 500,
            (delivery,),
            f"a valid callback whose JSON has other spaces, escapes or order of keys was answered {delivery.status}",
            "an acknowledgement: its signature is that of its bytes",
            "compute the HMAC over the bytes as received, before parsing them",
        )


@clause(
    "callbacks.query-may-lag",
    "Keep polling when a callback tells the end and the query does not show it yet.",
    general=True,
    applies=sends_callbacks,
    severity="should",
)
def query_may_lag(journal: Journal) -> Iterator[Finding]:
    """Find jobs that gave up at a query that lagged behind the callback."""
    for job in journal.jobs:
        traces = traces_of(journal, job)
        made = next((each for trace in traces for each in trace.submits if accepted(each)), None)
        if len(traces) != 1 or made is None or job.ended == "never":
            continue
        (trace,) = traces
        told = end_callbacks(journal, trace)
        lagging = [each for each in trace.queries if told and each.seq > told[0].seq and faults_in(each, "lags")]
        if not lagging:
            continue
        gave_up = (
            job.ended == "raised"
            and trace.queries[-1] is lagging[-1]
            and not any(tells_failure(journal, each) for each in told)
        )
        yield check(
            not gave_up or patience_is_over(journal, made, trace.queries, job.ended_ms),
            (told[0], lagging[-1]),
            f"job {job.number} failed with {job.said[:_QUOTED]!r} at a query that did not show the end yet",
            "another query, some seconds later",
            "a query may lag behind the callback: poll until it shows the end, too",
        )


@clause(
    "poll.cancelled-is-an-end",
    "Treat a cancelled task as ended: report an error, and stop waiting.",
    general=True,
    severity="should",
    applies=lambda provider: any(end.kind == "cancellation" for end in provider.lifecycle.ends.values()),
)
def cancelled_is_an_end(journal: Journal) -> Iterator[Finding]:
    """Find polling that goes on after a task was shown as cancelled, and jobs reported as done."""
    for trace in journal.traces:
        shown = next((each for each in trace.queries if shows(journal, each, "cancellation")), None)
        if shown is None:
            continue
        later = [each for each in trace.queries if each.seq > shown.seq]
        done = [job for job in journal.jobs if is_of_job(trace, job) and job.ended == "returned"]
        if done and len(traces_of(journal, done[0])) == 1:
            seen = f"job {done[0].number} was reported as done, but its task was cancelled"
        elif len(later) > FEW_MORE:
            seen = f"{len(later)} more queries after the task was shown as cancelled"
        else:
            yield Exercised()
            continue
        yield Violation((shown, *later[:1]), seen, "an error", "add cancelled to the states that are an end")


@clause(
    "poll.progress-is-no-end",
    "Read the end of a task from its status, not from its progress.",
    general=True,
    severity="should",
    applies=lambda provider: provider.shows_progress,
)
def progress_is_no_end(journal: Journal) -> Iterator[Finding]:
    """Find jobs that ended at a query that showed full progress of a task that was running."""
    for trace in journal.traces:
        full = [each for each in trace.queries if faults_in(each, "fills_progress")]
        if not full or not trace.submits:
            continue
        yield check(
            not _stopped_at(journal, trace, full[-1]),
            (full[-1],),
            "the last query of the task showed a progress of 100 %, and that it was still running",
            "polling until the status is an end",
            "compare the status; the progress may be 100 before the file exists",
        )


def _stopped_at(journal: Journal, trace: TaskTrace, query: Exchange) -> bool:
    """Tell whether a query was the last one of a task, with no end told and no limit reached."""
    over = patience_is_over(journal, trace.submits[0], trace.queries, query.at_ms)
    return trace.queries[-1] is query and not over and not end_callbacks(journal, trace)
