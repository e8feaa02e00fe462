"""Polling: how soon, how often, until when, and what is made of what it shows."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from contracts.analysis import (
    OK,
    SLOWED,
    accepted,
    end_shown,
    ended_by_callback,
    first_end,
    is_known_status,
    patience_is_over,
    refusal_inside,
    seconds_text,
    status_of,
)
from contracts.clause import Exercised, Finding, Violation, clause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.journal import Exchange, Journal

GRACE_S = 0.05
#: A callback is written down when its receiver has answered; what the receiver sets off may be seen that much before.
ANSWERING_S = 1.0
#: Errors that may be over at the next query.
PASSING = frozenset((429, 455, 500, 502, 503))
#: After so many errors in a row a client that still asks does not count them.
MOST_ERRORS = 30


def _polls(journal: Journal) -> Iterator[tuple[Exchange, tuple[Exchange, ...]]]:
    """Give the submit that made each task, with the queries of it."""
    for trace in journal.traces:
        made = [submit for submit in trace.submits if accepted(submit)]
        if made and trace.queries:
            yield made[0], trace.queries


def _called_back(journal: Journal, before: Exchange, after: Exchange) -> bool:
    """Tell whether a callback gave reason to ask at once."""
    times = [each.at_ms for each in journal.deliveries if each.task == after.task and each.status is not None]
    return any(before.at_ms <= at_ms and journal.seconds(after.at_ms, at_ms) <= ANSWERING_S for at_ms in times)


def _done_with(journal: Journal, submit: Exchange, queries: tuple[Exchange, ...]) -> bool:
    """Tell whether there was no reason to ask again after the last query: a callback told the end, or time was over."""
    return ended_by_callback(journal, queries[-1]) or patience_is_over(journal, submit, queries, queries[-1].at_ms)


@clause(
    "poll.first-wait",
    "The first query comes no sooner after the submit than the document advises.",
    covers=["*.poll.first-wait", "*.e2e.wait-before-poll"],
    severity="should",
)
def first_wait(journal: Journal) -> Iterator[Finding]:
    """Measure from the submit's answer to the first query."""
    least_s = journal.provider.client.poll.first_after_s
    if least_s is None:
        return
    for submit, queries in _polls(journal):
        if _called_back(journal, submit, queries[0]):
            continue
        waited_s = journal.seconds(submit.at_ms, queries[0].at_ms)
        if waited_s + GRACE_S < least_s:
            yield Violation(
                (submit, queries[0]),
                f"the first query {seconds_text(waited_s)} after the submit",
                f"{seconds_text(least_s)} or more",
                f"wait {seconds_text(least_s)} before the first query",
            )
        else:
            yield Exercised()


@clause(
    "poll.interval",
    "Between two queries of a task there is at least the interval that the document advises.",
    covers=["*.poll.interval*"],
    severity="should",
)
def interval(journal: Journal) -> Iterator[Finding]:
    """Measure from query to query, where the first was answered well and showed no end."""
    least_s = journal.provider.client.poll.interval_s
    if least_s is None:
        return
    for _, queries in _polls(journal):
        for before, after in pairwise(queries):
            if status_of(before) is None or end_shown(journal, before) is not None:
                continue
            if _called_back(journal, before, after):
                continue
            waited_s = journal.seconds(before.at_ms, after.at_ms)
            if waited_s + GRACE_S < least_s:
                yield Violation(
                    (before, after),
                    f"two queries {seconds_text(waited_s)} apart",
                    f"{seconds_text(least_s)} or more",
                    f"wait {seconds_text(least_s)} between two queries of a task",
                )
            else:
                yield Exercised()


@clause(
    "poll.stops-at-end",
    "A task that has been seen to have ended is not asked after again.",
    covers=["*.poll.until-ended"],
    general=True,
    severity="should",
)
def stops_at_end(journal: Journal) -> Iterator[Finding]:
    """Look for queries after the one that showed the end; one that only fetches missing links is let pass."""
    for trace in journal.traces:
        found = first_end(journal, trace)
        if found is None:
            continue
        shown, end = found
        later = [each for each in trace.queries if each.seq > shown.seq]
        excused = "late_url" in shown.faults or any("expired" in str(each.error) for each in trace.downloads)
        if later and not excused:
            word = status_of(shown) or end.name
            yield Violation(
                (shown, later[0]),
                f"{len(later)} more {'query' if len(later) == 1 else 'queries'} after the task was shown as {word}",
                "no query after the end",
                f"stop at {end.name}" + ("" if word == end.name else ", in whatever case it is written"),
            )
        else:
            yield Exercised()


@clause(
    "poll.gives-up",
    "Waiting for a task has an end.",
    covers=["*.poll.at-most-*", "*.poll.gives-up", "*.poll.give-up"],
)
def gives_up(journal: Journal) -> Iterator[Finding]:
    """Count the queries of each task, and measure how long they go on."""
    advice = journal.provider.client.poll
    for submit, queries in _polls(journal):
        ended = any(end_shown(journal, each) is not None for each in queries)
        # One without an answer may have been sent again by a library, unseen by the client.
        answered = [each for each in queries if each.status is not None]
        if advice.at_most is not None and len(answered) > advice.at_most:
            yield Violation(
                (submit, answered[advice.at_most]),
                f"{len(answered)} queries of one task",
                f"at most {advice.at_most}",
                f"give up after {advice.at_most} queries, and say so",
            )
        limit_s = advice.give_up_after_s
        if limit_s is not None and not SLOWED.intersection(submit.faults):
            late = [each for each in queries if journal.seconds(submit.at_ms, each.at_ms) > limit_s + GRACE_S]
            if late:
                yield Violation(
                    (submit, late[0]),
                    f"a query {seconds_text(journal.seconds(submit.at_ms, late[0].at_ms))} after the submit",
                    f"none after {seconds_text(limit_s)}",
                    f"give up {seconds_text(limit_s)} after the submit, and say so",
                )
        if not ended and (advice.at_most is not None or limit_s is not None):
            yield Exercised()


@clause(
    "poll.unknown-words",
    "A status word that is not known is no end: polling goes on.",
    general=True,
)
def unknown_words(journal: Journal) -> Iterator[Finding]:
    """Look for polling that stops at a word that no document has."""
    for submit, queries in _polls(journal):
        for number, query in enumerate(queries):
            word = status_of(query)
            if query.status not in OK or word is None or is_known_status(journal.provider, word):
                continue
            if refusal_inside(journal.provider, query) is not None:
                continue
            if number + 1 < len(queries) or _done_with(journal, submit, queries):
                yield Exercised()
            else:
                yield Violation(
                    (query,),
                    f"the last query of the task showed the unknown word {word!r}",
                    "polling that goes on until a known end",
                    "treat every word but the known ends as not yet ended",
                )


@clause(
    "poll.errors-are-no-end",
    "An error in answer to a query is neither an end nor a reason to ask for ever.",
    covers=["*.error.404-check-id"],
    general=True,
)
def errors_are_no_end(journal: Journal) -> Iterator[Finding]:
    """Look for polling that stops at the first passing error, or goes on after many."""
    for submit, queries in _polls(journal):
        row = 0
        for number, query in enumerate(queries):
            inside = refusal_inside(journal.provider, query)
            within = inside in PASSING if isinstance(inside, int) else inside is not None
            failed = query.status is None or query.status in PASSING or within
            row = row + 1 if failed else 0
            if not failed:
                continue
            if row > MOST_ERRORS:
                yield Violation(
                    queries[number - row + 1 : number + 1][-2:],
                    f"{row} queries in a row were answered with errors, and the client went on",
                    "an end to polling that only meets errors",
                    "count errors in a row, and give up after some",
                )
                break
            if number + 1 < len(queries) or _done_with(journal, submit, queries):
                yield Exercised()
            elif row == 1:
                yield Violation(
                    (query,),
                    "polling stopped at its first error" + (" (inside an answer with status 200)" if inside else ""),
                    "another try after a passing error",
                    "try the query again after a wait; only a known end is an end",
                )


@clause(
    "poll.by-answered-id",
    "What is asked after is the task that the submit's answer named.",
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
    """Look for queries of tasks that no submit here was answered with."""
    made = {submit.task for submit in journal.of_role("submit") if accepted(submit)}
    told = {delivery.task for delivery in journal.deliveries}
    if not made:
        return
    for query in journal.of_role("query"):
        if query.task in made or query.task in told:
            yield Exercised()
        elif query.status == 404 and "replication_lag" not in query.faults:
            yield Violation(
                (query,),
                "a query of a task that no submit was answered with",
                "the id out of the submit's answer",
                "keep the id of the submit's answer, and put it in the query as it is",
            )
