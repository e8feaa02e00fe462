"""Polling: how soon, how often, until when, and how its answers are read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from contracts.analysis import (
    GRACE_S,
    OK,
    accepted,
    cut_off,
    end_shown,
    ended_by_callback,
    error_inside,
    faults_in,
    first_end,
    has_prompt,
    is_known_status,
    is_ok,
    is_passing_error,
    patience_is_over,
    received,
    seconds_text,
    status_of,
)
from contracts.clause import Exercised, Finding, Violation, check, clause
from contracts.journal import Exchange, Journal

#: A callback is recorded when its receiver has answered; what the receiver triggers may be recorded this much earlier.
ANSWERING_S = 1.0
#: A client that still polls after so many errors in a row has no limit.
MOST_ERRORS = 30
#: Intervals may vary by so much, so that many clients do not query at the same instant.
JITTER = 0.1
#: So many queries of a task in a row, each so soon after the answer before, are a loop without a wait.
IN_A_LOOP_S = 0.1
MOST_IN_A_LOOP = 20
#: After the end, so many queries may look for a fresh link or the final usage.
AFTER_THE_END = 1


def _polls(journal: Journal) -> Iterator[tuple[Exchange, tuple[Exchange, ...]]]:
    """Yield the submit that created each task, with the queries of the task."""
    for trace in journal.traces:
        made = [submit for submit in trace.submits if accepted(submit)]
        if made and trace.queries:
            yield made[0], trace.queries


def _called_back(journal: Journal, before: Exchange, after: Exchange) -> bool:
    """Tell whether a callback was a reason to query at once."""
    times = [each.at_ms for each in journal.deliveries if each.task == after.task and each.status is not None]
    return any(before.at_ms <= at_ms and journal.seconds(after.at_ms, at_ms) <= ANSWERING_S for at_ms in times)


def _may_stop(journal: Journal, submit: Exchange, queries: tuple[Exchange, ...]) -> bool:
    """Tell whether polling could stop at the last query: a callback reported the end, or the time limit was reached."""
    return ended_by_callback(journal, queries[-1]) or patience_is_over(journal, submit, queries, queries[-1].at_ms)


def _stopped(journal: Journal, query: Exchange) -> bool:
    """Tell whether the runner stopped the job of a query, so that its last query is not the client's choice."""
    return any(cut_off(journal, trace) for trace in journal.traces if trace.task == query.task)


@clause(
    "poll.first-wait",
    "Wait as long as the document advises before the first query.",
    covers=["*.poll.first-wait"],
    severity="should",
    judges_waits=True,
)
def first_wait(journal: Journal) -> Iterator[Finding]:
    """Measure the time from the submit's answer to the first query."""
    least_s = journal.provider.client.poll.first_after_s
    if least_s is None:
        return
    for submit, queries in _polls(journal):
        if _called_back(journal, submit, queries[0]):
            continue
        waited_s = journal.seconds(submit.at_ms, queries[0].at_ms)
        yield check(
            waited_s + GRACE_S >= least_s * (1 - JITTER),
            (submit, queries[0]),
            f"the first query {seconds_text(waited_s)} after the submit",
            f"{seconds_text(least_s)} or more",
            f"wait {seconds_text(least_s)} before the first query",
        )


@clause(
    "poll.interval",
    "Wait at least the advised interval between two queries of a task.",
    covers=["*.poll.interval*"],
    severity="should",
    judges_waits=True,
)
def interval(journal: Journal) -> Iterator[Finding]:
    """Measure the time between queries, where the first was answered and showed no end."""
    least_s = journal.provider.client.poll.interval_s
    if least_s is None:
        return
    for _, queries in _polls(journal):
        for before, after in pairwise(queries):
            if status_of(journal.provider, before) is None or not received(before):
                continue
            if end_shown(journal, before) is not None:
                continue
            if _called_back(journal, before, after):
                continue
            waited_s = journal.seconds(before.at_ms, after.at_ms)
            yield check(
                waited_s + GRACE_S >= least_s * (1 - JITTER),
                (before, after),
                f"two queries {seconds_text(waited_s)} apart",
                f"{seconds_text(least_s)} or more",
                f"wait {seconds_text(least_s)} between two queries of a task",
            )


@clause(
    "poll.waits",
    "Wait between two queries of a task: seconds, not milliseconds.",
    general=True,
    severity="should",
    applies=lambda provider: provider.client.poll.interval_s is None,
    judges_waits=True,
)
def waits(journal: Journal) -> Iterator[Finding]:
    """Find long rows of queries without a wait, where no document names an interval."""
    for _, queries in _polls(journal):
        row = 1
        for before, after in pairwise(queries):
            waited_s = journal.seconds(before.at_ms, after.at_ms)
            row = row + 1 if waited_s < IN_A_LOOP_S and received(before) else 1
            if row > MOST_IN_A_LOOP:
                yield Violation(
                    (before, after),
                    f"{row} queries of one task in a row, the last two {seconds_text(waited_s)} apart",
                    "some seconds between two queries",
                    "wait some seconds between two queries; check the unit that the wait is given in",
                )
                break
        else:
            if len(queries) > 1:
                yield Exercised()


@clause(
    "poll.stops-at-end",
    "Stop polling a task when it has ended.",
    covers=["*.poll.until-ended"],
    general=True,
    severity="should",
)
def stops_at_end(journal: Journal) -> Iterator[Finding]:
    """Find queries after the one that showed the end, except those that fetch missing or expired links."""
    for trace in journal.traces:
        found = first_end(journal, trace)
        if found is None:
            continue
        shown, end = found
        later = [each for each in trace.queries if each.seq > shown.seq and not _called_back(journal, shown, each)]
        expired = any("expired" in str(each.error) for each in trace.downloads)
        if len(later) > AFTER_THE_END and not expired and not faults_in(shown, "withholds_links"):
            word = status_of(journal.provider, shown) or end.name
            yield Violation(
                (shown, later[0]),
                f"{len(later)} more queries after the task was shown as {word}",
                "no query after the end",
                f"stop at {end.name}" + ("" if word == end.name else ", in upper or lower case"),
            )
        else:
            yield Exercised()


@clause(
    "poll.gives-up",
    "Stop polling at the documented limit.",
    covers=["*.poll.at-most-*", "*.poll.gives-up", "*.poll.give-up"],
    severity="should",
)
def gives_up(journal: Journal) -> Iterator[Finding]:
    """Count the queries of each task, and measure how long they continue."""
    advice = journal.provider.client.poll
    for submit, queries in _polls(journal):
        ended = any(end_shown(journal, each) is not None for each in queries)
        # A query that failed is repeated, as a retry: it told the client nothing.
        answered = [each for each in queries if is_ok(each) and error_inside(journal.provider, each) is None]
        if advice.at_most is not None and len(answered) > advice.at_most:
            yield Violation(
                (submit, answered[advice.at_most]),
                f"{len(answered)} queries of one task",
                f"at most {advice.at_most}",
                f"give up after {advice.at_most} queries, and report it",
            )
        limit_s = advice.give_up_after_s
        if limit_s is not None and not faults_in(submit, "delays_answer"):
            late = [
                each
                for each in queries
                if journal.seconds(submit.at_ms, each.at_ms) > limit_s + GRACE_S * journal.time_scale
            ]
            if late:
                yield Violation(
                    (submit, late[0]),
                    f"a query {seconds_text(journal.seconds(submit.at_ms, late[0].at_ms))} after the submit",
                    f"none after {seconds_text(limit_s)}",
                    f"give up {seconds_text(limit_s)} after the submit, and report it",
                )
        if not ended and (advice.at_most is not None or limit_s is not None):
            yield Exercised()


@clause(
    "poll.unknown-status",
    "Continue polling after an unknown status.",
    general=True,
    severity="should",
    about=("shows_other_status",),
)
def unknown_status(journal: Journal) -> Iterator[Finding]:
    """Find polling that stops at a status that is not documented."""
    for submit, queries in _polls(journal):
        for number, query in enumerate(queries):
            word = status_of(journal.provider, query)
            if query.status not in OK or not received(query) or word is None or is_known_status(journal.provider, word):
                continue
            if error_inside(journal.provider, query) is not None:
                continue
            if number + 1 == len(queries) and _stopped(journal, query):
                continue
            yield check(
                number + 1 < len(queries) or _may_stop(journal, submit, queries),
                (query,),
                f"the last query of the task showed the unknown status {word!r}",
                "polling until a known end",
                "treat every status except the known ends as not yet ended",
            )


def _ends(journal: Journal, submit: Exchange) -> bool:
    """Tell whether the job of a submit is known to have ended by itself."""
    return any(job.ended != "never" and has_prompt(submit, job) for job in journal.jobs)


@clause("poll.errors-are-retried", "Retry failed polls, with a limit.", general=True, about=("hides_error",))
def errors_are_retried(journal: Journal) -> Iterator[Finding]:
    """Find polling that stops at the first temporary error, or continues after many."""
    for submit, queries in _polls(journal):
        row = earlier = 0
        for number, query in enumerate(queries):
            if not is_passing_error(journal, query):
                row = 0
                continue
            row += 1
            if row > MOST_ERRORS and not _ends(journal, submit):
                yield Violation(
                    queries[number - row + 1 : number + 1][-2:],
                    f"{row} queries in a row were answered with errors, and the client continued",
                    "an end to polling after many errors in a row",
                    "count errors in a row, and give up after some",
                    "should",
                )
                break
            if number + 1 < len(queries) or _may_stop(journal, submit, queries):
                earlier += 1
                yield Exercised()
            elif _stopped(journal, query):
                continue
            elif row == 1 and not earlier:
                inside = error_inside(journal.provider, query)
                yield Violation(
                    (query,),
                    "polling stopped at its first error" + (" (inside an answer with status 200)" if inside else ""),
                    "another query after a temporary error",
                    "wait, and query again; only a known end is an end",
                )


@clause(
    "poll.by-answered-id",
    "Query the task id from the submit's answer.",
    covers=[
        "*.poll-by-answered-id",
        "*.task.poll-by-id",
        "*.task.store-id",
        "*.e2e.poll-by-answered-id",
        "*.task.submit-then-poll",
        "*.task.async",
        "*.task.treat-as-async",
        "*.task.unified-query",
    ],
    general=True,
)
def by_answered_id(journal: Journal) -> Iterator[Finding]:
    """Find queries of tasks that are not named in any submit's answer."""
    made = {submit.task for submit in journal.of_role("submit") if accepted(submit)}
    told = {delivery.task for delivery in journal.deliveries}
    if not made:
        return
    for query in journal.of_role("query"):
        if query.task in made or query.task in told:
            yield Exercised()
        elif query.status == 404 and not faults_in(query, "hides_task"):
            yield Violation(
                (query,),
                "a query of a task that is not named in any submit's answer",
                "the id from the submit's answer",
                "store the id from the submit's answer, and use it unchanged in the query",
            )
