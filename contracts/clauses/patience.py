"""Patience: how errors are counted, how long a wait may be, and requests that are never answered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from contracts.analysis import (
    accepted,
    ended_by_callback,
    faults_in,
    is_passing_error,
    patience_is_over,
    received,
    retry_chains,
    seconds_text,
    submits_of,
)
from contracts.clause import Exercised, Finding, Violation, check, clause
from contracts.journal import Exchange, Journal

#: Fewer failed polls than this do not show how a client counts them.
FEWEST_ERRORS = 3
#: Waits that grow by this factor, three times, grow from Retry-After.
GROWTH = 1.25
#: A client's own growing wait may be longer than what is asked for, if that is shorter than this.
LEAST_ASKED_S = 15.0
#: A document that asks for short delays does not mean this.
LONGEST_SHORT_DELAY_S = 120.0
#: A request without an answer for so long has no timeout.
LONGEST_TIMEOUT_S = 3000.0
#: A client needs at most this many connections for each job; below `FEWEST_REQUESTS` requests it is not judged.
CONNECTIONS_A_JOB = 4
FEWEST_REQUESTS = 10
_SERVER_ERRORS = frozenset((500, 502, 503, 504))


@clause(
    "poll.errors-in-a-row",
    "Count failed polls in a row, not in all: a good answer in between starts the count again.",
    general=True,
    severity="should",
)
def errors_in_a_row(journal: Journal) -> Iterator[Finding]:
    """Find polling that stops at a single error, after single errors that it survived."""
    for trace in journal.traces:
        submit = next((each for each in trace.submits if accepted(each)), None)
        errors = [number for number, each in enumerate(trace.queries) if is_passing_error(journal, each)]
        if submit is None or len(errors) < FEWEST_ERRORS or any(b - a == 1 for a, b in pairwise(errors)):
            continue
        last = trace.queries[-1]
        stopped = errors[-1] == len(trace.queries) - 1 and not ended_by_callback(journal, last)
        yield check(
            not stopped or patience_is_over(journal, submit, trace.queries, last.at_ms),
            (submit, *(trace.queries[number] for number in errors[-FEWEST_ERRORS:])),
            f"polling stopped at its error number {len(errors)}, although each was followed by a good answer",
            "polling until the task ends; errors count only in a row",
            "set the count of errors to 0 after every good answer",
        )


@clause(
    "retry.wait-as-asked",
    "Wait as long as Retry-After says; do not multiply it.",
    general=True,
    severity="should",
    judges_waits=True,
)
def wait_as_asked(journal: Journal) -> Iterator[Finding]:
    """Find waits that grow from one equal Retry-After to the next."""
    for chain in retry_chains(journal, journal.of_role("submit", "query", "estimate", "balance", "upload")):
        row = [each for each in chain if (each.answer_header("Retry-After") or "").isdecimal()]
        asked = {each.answer_header("Retry-After") for each in row}
        if (
            len(row) < FEWEST_ERRORS
            or len(asked) != 1
            or any(faults_in(each, "delays_answer") or not received(each) for each in row)
        ):
            continue
        asked_s = float(asked.pop() or 0)
        if asked_s < LEAST_ASKED_S:
            continue
        following = [chain[chain.index(each) + 1] for each in row if chain.index(each) + 1 < len(chain)]
        waits_s = [journal.seconds(before.at_ms, after.at_ms) for before, after in zip(row, following, strict=False)]
        grows = len(waits_s) >= FEWEST_ERRORS and all(b >= a * GROWTH for a, b in pairwise(waits_s))
        yield check(
            not (grows and waits_s[-1] > 2 * asked_s),
            (*row[:FEWEST_ERRORS], *following[-1:]),
            f"waits of {', '.join(map(seconds_text, waits_s))}, each after Retry-After: {seconds_text(asked_s)}",
            f"about {seconds_text(asked_s)} each time, as Retry-After says",
            "where there is a Retry-After, wait that long instead of your own growing wait",
        )


@clause(
    "retry.server-errors",
    "Retry a submit that was answered with 500, at least once.",
    covers=["*.error.500-retry", "*.retry.429-and-5xx", "*.error.500-backoff"],
    severity="should",
)
def server_errors(journal: Journal) -> Iterator[Finding]:
    """Find jobs that fail at the first 5xx."""
    advised = {status for advice in journal.provider.client.retry for status in advice.statuses} & _SERVER_ERRORS
    no_credits = any(each.status == 402 for each in journal.of_role("submit"))
    for job in journal.jobs:
        submits = submits_of(journal, job)
        failed = [each for each in submits if each.status in advised and received(each)]
        if not failed or no_credits or job.ended == "never":
            continue
        yield check(
            len(submits) > 1 or job.ended == "returned",
            (failed[0],),
            f"job {job.number} failed at its first {failed[0].status}, without a retry",
            "a retry or two, after short delays",
            f"retry a submit that was answered with {failed[0].status}: nothing was created",
        )


@clause(
    "retry.short-delays",
    "Retry after short delays, not after minutes.",
    covers=["*.error.500-retry", "*.retry.waits-*", "*.error.503-delay", "*.error.429-back*"],
    severity="should",
    judges_waits=True,
)
def short_delays(journal: Journal) -> Iterator[Finding]:
    """Find waits of minutes that no Retry-After asked for."""
    for advice in journal.provider.client.retry:
        for chain in retry_chains(journal, journal.of_role("submit", "query")):
            for before, after in pairwise(chain):
                if before.status not in advice.statuses or before.answer_header("Retry-After") is not None:
                    continue
                if faults_in(before, "delays_answer") or faults_in(after, "delays_answer"):
                    continue
                waited_s = journal.seconds(before.at_ms, after.at_ms)
                yield check(
                    waited_s <= LONGEST_SHORT_DELAY_S or before.gate in ("rate", "concurrency"),
                    (before, after),
                    f"retried {seconds_text(waited_s)} after {before.status}",
                    "short delays, of seconds",
                    "begin with a second or two, and double it",
                )


@clause(
    "requests.connections",
    "Use connections again, and close those that you do not need; do not open one for each request.",
    general=True,
    severity="should",
)
def connections(journal: Journal) -> Iterator[Finding]:
    """Compare the number of connections that were open at once with the number of jobs."""
    facts = journal.runner_facts
    if facts is None or not facts.most_connections or len(journal.exchanges) < FEWEST_REQUESTS:
        return
    most = CONNECTIONS_A_JOB * max(1, len(journal.jobs)) + CONNECTIONS_A_JOB
    yield check(
        facts.most_connections <= most,
        journal.exchanges[:1],
        f"{facts.most_connections} connections were open at once, for {len(journal.exchanges)} requests",
        f"no more than the requests under way, and some: up to {most} here",
        "use one session (or pool) for all requests, and close it at the end",
    )


@clause("requests.timeout", "Give every request a timeout.", general=True, severity="should", judges_waits=True)
def timeout(journal: Journal) -> Iterator[Finding]:
    """Find requests that were waited for as long as their answer was held back."""
    for each in journal.exchanges:
        if not faults_in(each, "withholds_answer") or each.task is None:
            continue
        ended_ms = _noticed_ms(journal, each)
        if ended_ms is None:
            continue
        waited_s = journal.seconds(each.at_ms, ended_ms)
        if waited_s < LONGEST_TIMEOUT_S:
            yield Exercised()
        elif not any(delivery.at_ms >= each.at_ms for delivery in journal.deliveries if delivery.task == each.task):
            yield Violation(
                (each,),
                f"nothing was done for {seconds_text(waited_s)} after a request that was not answered",
                "an end to the request after a minute or so",
                "set a timeout for every request: many libraries have none",
            )


def _noticed_ms(journal: Journal, held: Exchange) -> int | None:
    """Return when a client went on after a request that was not answered."""
    trace = next(each for each in journal.traces if each.task == held.task)
    later = [each.at_ms for each in (*trace.submits, *trace.queries, *trace.downloads) if each.seq > held.seq]
    jobs = [
        job.ended_ms
        for job in journal.jobs
        if any(held.seq == each.seq or held.task == each.task for each in submits_of(journal, job))
    ]
    return min([*later, *jobs], default=None)
