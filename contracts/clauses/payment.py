"""Money: no second task where the first may still succeed, whatever went wrong on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator

from contracts.analysis import (
    accepted,
    end_callbacks,
    end_shown,
    error_inside,
    is_passing_error,
    is_whole,
    makes_no_second_task,
    patience_is_over,
    spoiled,
    submits_of,
    unreadable,
    unrelated,
)
from contracts.clause import Exercised, Finding, Violation, clause
from contracts.journal import Exchange, Job, Journal, TaskTrace

#: After these, a file is gone for good: only another task can make it again.
GONE = frozenset((403, 404, 410))
_FIX = "submit once, store the id, and follow that task; report what went wrong with it as an error"


def _submits(journal: Journal) -> list[tuple[Exchange, Exchange | None]]:
    """Return every submit, with the next one of the same body by the same account, if any."""
    out: list[tuple[Exchange, Exchange | None]] = []
    following: dict[tuple[str | None, str | None], Exchange] = {}
    for submit in reversed(journal.of_role("submit")):
        name = submit.account, submit.said
        again = following.get(name)
        if again is not None and makes_no_second_task(journal.provider, submit, again):
            again = None
        out.append((submit, None if again is None or unrelated(journal, submit, again) else again))
        following[name] = submit
    return out[::-1]


def _firsts(journal: Journal) -> Iterator[tuple[Exchange, Exchange | None, TaskTrace]]:
    """Yield the submits whose answers named a task, with the next submit of the same job, and the task."""
    traces = {trace.task: trace for trace in journal.traces}
    for submit, again in _submits(journal):
        if accepted(submit) and submit.task is not None:
            yield submit, again, traces[submit.task]


@clause(
    "payment.poll-errors",
    "Do not submit a job again because polls fail: its task goes on, and both are paid for.",
    general=True,
    elsewhere="must",
)
def poll_errors(journal: Journal) -> Iterator[Finding]:
    """Find a second task after polls of the first that failed, while that was not known to have ended."""
    for first, second, trace in _firsts(journal):
        seen = [each for each in trace.queries if second is None or each.seq < second.seq]
        if not seen or not is_passing_error(journal, seen[-1]):
            continue
        told = any(second is None or each.seq < second.seq for each in end_callbacks(journal, trace))
        if told or any(end_shown(journal, each) is not None for each in seen):
            continue
        if second is None:
            yield Exercised()
        elif not patience_is_over(journal, first, seen, second.at_ms):
            yield Violation(
                (first, seen[-1], second),
                "the job was submitted again after polls of its task had failed",
                "one task for one job",
                _FIX,
            )


@clause(
    "payment.unreadable-answer",
    "Do not submit a job again because the answer to the submit cannot be read: the task exists and is charged.",
    general=True,
    elsewhere="must",
)
def unreadable_answer(journal: Journal) -> Iterator[Finding]:
    """Find a second submit after an answer with a 2xx status that does not name the task it created."""
    for first, second in _submits(journal):
        if not unreadable(first):
            continue
        if second is None:
            yield Exercised()
        else:
            yield Violation(
                (first, second),
                f"the job was submitted again after an unreadable answer with status {first.status}",
                "one task for one job",
                "report that the task may exist; look for it in the provider's list before another submit",
            )


@clause(
    "payment.bad-file",
    "Do not submit a job again because its download failed: download the file again.",
    general=True,
    severity="should",
)
def bad_file(journal: Journal) -> Iterator[Finding]:
    """Find a second task after downloads of the first one's file that failed, while its link was still good."""
    for first, second, trace in _firsts(journal):
        seen = [each for each in trace.downloads if second is None or each.seq < second.seq]
        if not seen or any(is_whole(each) and not spoiled(each) for each in seen):
            continue
        if second is None:
            yield Exercised()
        elif seen[-1].status not in GONE and seen[-1].error != "result_expired":
            yield Violation(
                (first, seen[-1], second),
                "the job was submitted again after a failed download of its file",
                "another download from the same link",
                "download again, after a wait; a second task costs the price again",
            )


@clause(
    "submit.error-inside-success",
    "Treat an error in an answer with status 200 as an error: it has no task id.",
    general=True,
    severity="should",
)
def error_inside_success(journal: Journal) -> Iterator[Finding]:
    """Check what becomes of a job whose last submit was answered with an error inside a 2xx status."""
    for job in journal.jobs:
        submits = submits_of(journal, job)
        if not submits or error_inside(journal.provider, submits[-1]) is None or job.ended == "never":
            continue
        seen = _misread(journal, job, submits[-1])
        if seen is None:
            yield Exercised()
        else:
            yield Violation(
                (submits[-1],),
                seen,
                "an error with the message in the answer",
                "check the body for an error before reading the id, whatever the status is",
            )


def _misread(journal: Journal, job: Job, refused: Exchange) -> str | None:
    """Tell how a client misread an error inside a 2xx answer, if it did."""
    made = {each.task for each in journal.of_role("submit") if each.task is not None}
    lost = next((each for each in journal.of_role("query") if each.seq > refused.seq and each.task not in made), None)
    if lost is not None and len(journal.jobs) == 1:
        return f"a query of a task that does not exist ({lost.path}) after an error with status {refused.status}"
    if job.ended == "returned":
        return f"job {job.number} was reported as done after an error with status {refused.status}"
    words = re.findall(r'"((?:[^"\\]|\\.){3,})"\s*[,}\]]|:\s*(\d{3,})\b', refused.answer_body or "")
    found = {text or number for text, number in words}
    if found and not any(job.tells(word) for word in found):
        return f"the error of job {job.number} was {job.said[:120]!r}, without the message in the answer"
    return None
