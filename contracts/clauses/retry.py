"""Retries: how long to wait, how often to retry, and when to stop."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from itertools import pairwise

from contracts.analysis import (
    GRACE_S,
    PASSING,
    received,
    retry_chains,
    seconds_text,
    submits_of,
    traces_of,
)
from contracts.clause import Exercised, Finding, Violation, check, clause
from contracts.journal import Exchange, Journal

#: A retry sooner than this does not wait. One may be bad luck: some draw their waits from 0 up.
AT_ONCE_S = 0.05
MOST_AT_ONCE = 2
#: A first wait of this many times the documented one cannot be jitter.
LONGER_THAN_JITTER = 3.0
FEWEST_WAITS = 3
#: Waits that differ by less count as equal.
LEAST_JITTER_S = 0.02


def _retries(journal: Journal, *roles: str) -> Iterator[tuple[list[Exchange], int]]:
    """Yield every request that was retried: its chain, and its position there."""
    for chain in retry_chains(
        journal, journal.of_role(*(roles or ("submit", "query", "estimate", "balance", "upload")))
    ):
        for number in range(len(chain) - 1):
            # Without jobs, what follows at once may come from another process.
            if journal.jobs or chain[number + 1].at_ms > chain[number].at_ms:
                yield chain, number


def _tries_before(chain: list[Exchange], number: int, statuses: frozenset[int]) -> int:
    """Count the consecutive answers with these statuses, up to a position."""
    count = 0
    while number - count >= 0 and chain[number - count].status in statuses:
        count += 1
    return count


@clause(
    "retry.waits-grow",
    "After 429 and 5xx, retry a submit after the documented waits, each longer than the last.",
    covers=["*.error.429-back*", "*.retry.waits-*", "*.error.500-backoff", "*.error.503-delay"],
    severity="should",
    judges_waits=True,
)
def waits_grow(journal: Journal) -> Iterator[Finding]:
    """Compare each wait with the documented figure; where jitter is documented, only what no jitter can explain."""
    for advice in journal.provider.client.retry:
        if not advice.waits_s:
            continue
        for chain, number in _retries(journal, "submit"):
            tries = _tries_before(chain, number, advice.statuses)
            if not tries or _obeys_retry_after(journal, chain, number):
                continue
            least_s = advice.waits_s[min(tries, len(advice.waits_s)) - 1]
            waited_s = journal.seconds(chain[number].at_ms, chain[number + 1].at_ms)
            if advice.jitter and waited_s >= AT_ONCE_S:
                if tries > 1 and waited_s > advice.waits_s[0]:
                    yield Exercised()
                continue
            yield check(
                waited_s + GRACE_S >= least_s,
                (chain[number], chain[number + 1]),
                f"retried {seconds_text(waited_s)} after attempt {tries} got {chain[number].status}",
                f"at least {seconds_text(least_s)}",
                "increase the wait each time: " + ", ".join(seconds_text(each) for each in advice.waits_s),
            )


def _obeys_retry_after(journal: Journal, chain: list[Exchange], number: int) -> bool:
    """Tell whether a wait was as long as the answer asked for: then it need not be any longer."""
    asked_s = _asked_s(journal, chain[number])
    waited_s = journal.seconds(chain[number].at_ms, chain[number + 1].at_ms)
    return asked_s is not None and waited_s + GRACE_S >= asked_s


@clause(
    "retry.not-at-once",
    "Do not retry again and again without a wait.",
    general=True,
    severity="should",
    judges_waits=True,
)
def not_at_once(journal: Journal) -> Iterator[Finding]:
    """Find several retries in a row that follow immediately."""
    row: list[Exchange] = []
    for chain, number in _retries(journal):
        if not row or row[-1] is not chain[number]:
            row = [chain[number]]
        if chain[number].status not in PASSING or _obeys_retry_after(journal, chain, number):
            row = []
            continue
        waited_s = journal.seconds(chain[number].at_ms, chain[number + 1].at_ms)
        if waited_s >= AT_ONCE_S:
            yield Exercised()
            row = []
            continue
        row.append(chain[number + 1])
        if len(row) > MOST_AT_ONCE:
            yield Violation(
                tuple(row),
                f"{len(row) - 1} retries in a row without a wait, the last {seconds_text(waited_s)} after "
                f"{chain[number].status}",
                "a wait before a retry",
                "wait before each retry, and longer each time",
            )


@clause(
    "retry.jitter", "Add jitter to the waits after 429.", covers=["*.429-jitter"], severity="should", judges_waits=True
)
def jitter(journal: Journal) -> Iterator[Finding]:
    """Compare the first waits of different requests."""
    if not any(advice.jitter and 429 in advice.statuses for advice in journal.provider.client.retry):
        return
    firsts = [
        (chain[number], chain[number + 1])
        for chain, number in _retries(journal)
        if _tries_before(chain, number, frozenset((429,))) == 1 and _asked_s(journal, chain[number]) is None
    ]
    if len(firsts) < FEWEST_WAITS:
        return
    waits_s = [journal.seconds(before.at_ms, after.at_ms) for before, after in firsts]
    yield check(
        max(waits_s) - min(waits_s) >= LEAST_JITTER_S,
        tuple(record for pair in firsts[:FEWEST_WAITS] for record in pair),
        f"{len(firsts)} requests each waited {seconds_text(min(waits_s))} after their first 429",
        "waits with jitter",
        "add a random part to each wait",
    )


@clause(
    "retry.retry-after",
    "Do not retry earlier than Retry-After says.",
    general=True,
    severity="should",
    judges_waits=True,
)
def retry_after(journal: Journal) -> Iterator[Finding]:
    """Compare each wait with the answer's Retry-After."""
    for chain, number in _retries(journal):
        asked_s = _asked_s(journal, chain[number])
        if asked_s is None or not received(chain[number]):
            continue
        waited_s = journal.seconds(chain[number].at_ms, chain[number + 1].at_ms)
        yield check(
            waited_s + GRACE_S >= asked_s,
            (chain[number], chain[number + 1]),
            f"retried {seconds_text(waited_s)} after an answer with Retry-After: {seconds_text(asked_s)}",
            f"at least {seconds_text(asked_s)}, as Retry-After says",
            "read Retry-After (seconds or a date) before choosing the wait",
        )


@clause("retry.reads-dates", "Read Retry-After as seconds or as a date.", general=True, severity="should")
def reads_dates(journal: Journal) -> Iterator[Finding]:
    """Find jobs whose error quotes the date of the last Retry-After, and not the refusal that it came with."""
    for job in journal.jobs:
        traces = traces_of(journal, job)
        asked = sorted(
            (*submits_of(journal, job), *(each for trace in traces for each in trace.queries)),
            key=lambda each: each.seq,
        )
        dated = [each for each in asked if each.status in PASSING and received(each) and _date_in(each)]
        if not dated or job.ended == "never":
            continue
        stopped = job.ended == "raised" and asked[-1] is dated[-1] and job.tells(_date_in(dated[-1]))
        yield check(
            not stopped or job.tells(str(dated[-1].status)),
            (dated[-1],),
            f"job {job.number} failed with {job.said[:120]!r} at a Retry-After that is a date",
            "a retry at that date",
            "read Retry-After as a number; where it is none, as a date",
        )


def _date_in(exchange: Exchange) -> str:
    """Return Retry-After where it is not a number."""
    text = exchange.answer_header("Retry-After") or ""
    return "" if text.isdecimal() else text


def _asked_s(journal: Journal, exchange: Exchange) -> float | None:
    text = exchange.answer_header("Retry-After")
    if text is None or exchange.status not in PASSING:
        return None
    if text.isdecimal():
        return float(text)
    if journal.speed != 1:
        return None  # the client's clock and the server's differ
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - exchange.at_ms / 1000)
    except ValueError:
        return None


@clause(
    "retry.at-most",
    "Retry no more often than documented, then report the error.",
    covers=["*.retry.at-most-*", "*.retry.gives-up", "*.error.500-escalate"],
)
def at_most(journal: Journal) -> Iterator[Finding]:
    """Count the attempts of each request."""
    for advice in journal.provider.client.retry:
        if advice.at_most is None:
            continue
        for chain in retry_chains(journal, journal.of_role("submit")):
            failed = [each for each in chain if each.status in advice.statuses]
            if len(failed) > advice.at_most + 1:
                yield Violation(
                    tuple(failed),
                    f"{len(failed)} attempts, all answered {failed[0].status}",
                    f"at most {advice.at_most} retries",
                    f"give up after {advice.at_most} retries, and report the error with its request id",
                )
            elif failed:
                yield Exercised()


@clause(
    "retry.eases-off",
    "While 429 continues, do not shorten the wait by more than half.",
    covers=["*.error.429-ease-off"],
    severity="should",
    judges_waits=True,
)
def eases_off(journal: Journal) -> Iterator[Finding]:
    """Compare the waits between consecutive 429 with the first, where that is longer than jitter makes it."""
    base_s = next(
        (each.waits_s[0] for each in journal.provider.client.retry if 429 in each.statuses and each.waits_s), 1.0
    )
    for chain in retry_chains(journal, journal.of_role("submit")):
        row = [each for each in chain if each.status == 429]
        waits = [
            journal.seconds(before.at_ms, after.at_ms)
            for before, after in pairwise(row)
            if _asked_s(journal, before) is None  # otherwise the provider chose the wait
        ]
        if len(waits) < 2:
            continue
        first_s, shortest_s = waits[0], min(waits[1:])
        yield check(
            first_s <= base_s * LONGER_THAN_JITTER or shortest_s + GRACE_S >= first_s / 2,
            (*row,),
            f"a wait of {seconds_text(shortest_s)} after one of {seconds_text(first_s)}, while 429 continued",
            "longer waits, fewer requests",
            "increase the waits while 429 continues",
        )
