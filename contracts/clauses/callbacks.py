"""Callbacks: acknowledged in time, refused when forged, and made up for when they are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.analysis import (
    FORGED,
    NEW,
    OK,
    RESIGNED,
    SPOILED,
    accepted,
    end_callbacks,
    end_shown,
    first_end,
    is_whole,
    patience_is_over,
    reasons_in,
    traces_of,
)
from contracts.clause import Exercised, Finding, Violation, clause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.journal import Delivery, Exchange, Job, Journal, TaskTrace
    from mockserver.provider import Provider


def called_back(provider: Provider) -> bool:
    """Tell whether a provider sends callbacks."""
    return provider.callbacks is not None


def signed(provider: Provider) -> bool:
    """Tell whether its callbacks are signed."""
    return provider.callbacks is not None and provider.callbacks.signature is not None


def _sent(journal: Journal) -> Iterator[Delivery]:
    return (each for each in journal.deliveries if each.outcome not in ("lost", "blocked"))


@clause(
    "callbacks.acknowledged",
    "A callback that is in order is acknowledged with the status that the document names.",
    covers=["*.callback.ack-200", "*.callback.ack-2xx", "*.callback.post-json", "*.callback.by-event"],
)
def acknowledged(journal: Journal) -> Iterator[Finding]:
    """Look at the receiver's answers to callbacks that nothing is wrong with."""
    rule = journal.provider.callbacks
    if rule is None:
        return
    wanted = "any 2xx" if len(rule.acknowledged) > 1 else str(next(iter(rule.acknowledged)))
    for delivery in _sent(journal):
        if (FORGED | SPOILED | {NEW}).intersection(delivery.faults):
            continue
        if delivery.outcome == "acknowledged":
            yield Exercised()
        elif delivery.status is not None:
            yield Violation(
                (delivery,),
                f"the receiver answered {delivery.status}",
                wanted,
                f"answer {wanted} as soon as the callback has been stored",
            )


@clause(
    "callbacks.in-time",
    "A callback is answered before the provider gives up waiting; the work is done afterwards.",
    covers=["*.callback.timeout", "*.callback.ack-quickly", "*.callback.work-in-queue"],
    general=True,
    applies=called_back,
)
def in_time(journal: Journal) -> Iterator[Finding]:
    """Look for attempts that timed out."""
    rule = journal.provider.callbacks
    for delivery in _sent(journal):
        if delivery.outcome == "timeout":
            limit = "" if rule is None else f" within {rule.timeout_s:g} s"
            yield Violation(
                (delivery,),
                "the receiver did not answer in time",
                f"an answer{limit}",
                "answer first, work later: put the work in a queue",
            )
        elif delivery.status is not None:
            yield Exercised()


@clause(
    "callbacks.forged-refused",
    "A callback whose signature does not fit is refused with 401.",
    covers=["*.callback.wrong-signature-401", "*.callback.verify-*"],
    applies=signed,
)
def forged_refused(journal: Journal) -> Iterator[Finding]:
    """Look at the receiver's answers to callbacks with a signature that is missing or wrong."""
    rule = journal.provider.callbacks
    if rule is None or rule.signature is None:
        return
    for delivery in _sent(journal):
        forged = FORGED.intersection(delivery.faults)
        if not forged or delivery.status is None or RESIGNED.intersection(delivery.faults):
            continue
        if delivery.status == 401:
            yield Exercised()
        else:
            yield Violation(
                (delivery,),
                f"a callback with {', '.join(sorted(forged)).replace('_', ' ')} was answered {delivery.status}",
                "401",
                f"compute the HMAC over the raw bytes, compare it with {rule.signature.header} in constant time, "
                "and answer 401 if it does not fit",
            )


@clause(
    "callbacks.survived",
    "A callback that cannot be read does not bring the receiver down.",
    general=True,
    applies=called_back,
)
def survived(journal: Journal) -> Iterator[Finding]:
    """Look for receivers that answer with an error of their own, or hang up."""
    for delivery in _sent(journal):
        touched = FORGED.intersection(delivery.faults) | SPOILED.intersection(delivery.faults)
        if not touched:
            continue
        if delivery.outcome == "unreachable" or (delivery.status or 0) >= 500:
            seen = "hung up" if delivery.status is None else f"answered {delivery.status}"
            yield Violation(
                (delivery,),
                f"the receiver {seen} when it got a {', '.join(sorted(touched)).replace('_', ' ')}",
                "a refusal (4xx)",
                "catch what cannot be read, and answer 400 or 401",
            )
        else:
            yield Exercised()


@clause(
    "callbacks.lost-made-up",
    "A callback that never came is made up for by a query.",
    covers=["*.callback.preferred"],
    general=True,
    applies=called_back,
)
def lost_recovered_by_poll(journal: Journal) -> Iterator[Finding]:
    """Look for a query of each task whose callback was lost, unless the end was known, or time over, before."""
    for trace in journal.traces:
        lost = [each for each in trace.deliveries if each.outcome == "lost"]
        known = any(accepted(each) for each in trace.submits)
        if not lost or not known or any(each.outcome == "acknowledged" for each in trace.deliveries):
            continue
        before = [query for query in trace.queries if query.seq < lost[0].seq]
        if any(end_shown(journal, query) is not None for query in before):
            continue
        if before and (_given_up(journal, trace, lost[0]) or before[-1].status not in OK):
            continue  # whether that was too soon is for other clauses to say
        if before and patience_is_over(journal, trace.submits[0], before, before[-1].at_ms):
            continue
        if any(query.seq > lost[0].seq for query in trace.queries):
            yield Exercised()
        else:
            yield Violation(
                (lost[0],),
                "the callback was lost, and nobody asked after the task",
                "a query of the task",
                "ask after a task whose callback is overdue",
            )


def _given_up(journal: Journal, trace: TaskTrace, lost: Delivery) -> bool:
    """Tell whether a task's job had failed before its callback was lost."""
    return any(
        job.ended == "raised" and job.ended_ms <= lost.at_ms and trace in traces_of(journal, job)
        for job in journal.jobs
    )


@clause(
    "callbacks.unknown-events",
    "A callback of an event that is not known is acknowledged, and changes nothing.",
    covers=["*.callback.ack-200", "*.callback.ack-2xx"],
    general=True,
    applies=called_back,
)
def unknown_events(journal: Journal) -> Iterator[Finding]:
    """Look for callbacks of new events that are refused, or taken for an end."""
    for trace in journal.traces:
        for delivery in trace.deliveries:
            faults = set(delivery.faults)
            if NEW not in faults or delivery.status is None or faults & (FORGED | SPOILED):
                continue
            given_up = [job for job in journal.jobs if _ended_by(journal, job, trace, delivery)]
            if delivery.outcome != "acknowledged":
                seen = f"the receiver answered {delivery.status} to an event that it does not know"
            elif given_up:
                seen = f"job {given_up[0].number} ended with an event that it does not know ({given_up[0].said[:120]})"
            else:
                yield Exercised()
                continue
            yield Violation(
                (delivery,),
                seen,
                "an acknowledgement, and nothing else",
                "acknowledge every callback that is in order, and act on the events that you know",
            )


def _ended_by(journal: Journal, job: Job, trace: TaskTrace, delivery: Delivery) -> bool:
    """Tell whether a job failed at the instant of a callback, and nothing else told it to."""
    about = any(job.prompt in (submit.body or "") for submit in trace.submits)
    answered = any(each.seq > delivery.seq for each in (*trace.submits, *trace.queries))
    knew = answered or first_end(journal, trace) is not None or end_callbacks(journal, trace)
    return about and not knew and job.ended == "raised" and abs(job.ended_ms - delivery.at_ms) <= 1000


@clause(
    "callbacks.one-effect",
    "A callback that comes twice, or in another order, has the effect of one.",
    general=True,
    applies=called_back,
)
def idempotent(journal: Journal) -> Iterator[Finding]:
    """Look for what is done again after a file has been had: another download of it, another task for its job."""
    submits = journal.of_role("submit")
    for trace in journal.traces:
        reached = [each for each in trace.deliveries if each.status is not None]
        had = next((each for each in trace.downloads if is_whole(each)), None)
        repeated = [each for each in reached[1:] if had is not None and each.seq > had.seq]
        if had is None or not repeated:
            continue
        first = repeated[0]
        body = trace.submits[0].body if trace.submits else None
        retry_chains = next(
            (
                each
                for each in (*trace.downloads, *submits)
                if each.seq > first.seq and (each.role == "result" or (body is not None and each.body == body))
            ),
            None,
        )
        if retry_chains is None:
            yield Exercised()
        else:
            what = "the file was fetched again" if retry_chains.role == "result" else "the job was submitted again"
            yield Violation(
                (had, first, retry_chains),
                f"after a callback that had come before, {what}",
                "one effect, however often a callback comes",
                "remember which tasks are done, and answer their callbacks without doing anything",
            )


@clause(
    "callbacks.early-kept",
    "A callback that comes before the submit's answer is not lost.",
    general=True,
    applies=called_back,
)
def early_kept(journal: Journal) -> Iterator[Finding]:
    """Look for tasks that nobody followed up after a callback that came first."""
    for trace in journal.traces:
        made = next((each for each in trace.submits if accepted(each)), None)
        early = _early(trace, made)
        if made is None or early is None:
            continue
        if trace.queries or trace.downloads or _reported(journal, trace, early):
            yield Exercised()
        elif _failed(journal, early) and not journal.jobs:
            continue  # there was nothing to do but to tell somebody, which does not go over the wire
        else:
            yield Violation(
                (early, made),
                "the callback came before the submit's answer, and nothing was made of it",
                "the result, as if it had come after",
                "keep callbacks of tasks that are not known yet, or ask after the task in the end",
            )


def _failed(journal: Journal, delivery: Delivery) -> bool:
    end = journal.provider.lifecycle.ends.get(delivery.event)
    return end is not None and end.kind == "failure"


def _reported(journal: Journal, trace: TaskTrace, told: Delivery) -> bool:
    """Tell whether a job failed with the reason that a callback gave."""
    words = reasons_in(journal.provider, told.body)
    return _failed(journal, told) and any(
        job.ended == "raised" and (not words or any(word.lower() in job.said.lower() for word in words))
        for job in journal.jobs
        if trace in traces_of(journal, job)
    )


def _early(trace: TaskTrace, made: Exchange | None) -> Delivery | None:
    reached = (each for each in trace.deliveries if each.status is not None)
    return next((each for each in reached if made is not None and each.seq < made.seq), None)


@clause(
    "callbacks.constant-time",
    "Signatures are compared in constant time.",
    covers=["*.callback.verify-constant-time"],
    general=True,
    applies=signed,
    severity="should",
)
def constant_time(journal: Journal) -> Iterator[Finding]:
    """Ask the runner whether `hmac.compare_digest` was called where a signature came."""
    runner_facts = journal.runner_facts
    if runner_facts is None or not runner_facts.signed:
        return
    if runner_facts.compared_in_constant_time:
        yield Exercised()
        return
    rule = journal.provider.callbacks
    header = "" if rule is None or rule.signature is None else rule.signature.header
    shown = tuple(each for each in journal.deliveries if each.status is not None)[:1]
    yield Violation(
        shown,
        f"{runner_facts.signed} signed callbacks were handled, and hmac.compare_digest was never called",
        f"a check of {header} in constant time",
        "compare with hmac.compare_digest, not with ==",
    )
