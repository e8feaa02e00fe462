"""Callbacks: acknowledge valid ones in time, refuse forged ones, and poll when one is lost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from contracts.analysis import (
    OK,
    accepted,
    created,
    cut_off,
    end_callbacks,
    end_shown,
    faults_in,
    first_end,
    is_invalid_callback,
    is_of_job,
    is_whole,
    patience_is_over,
    reasons_in,
    sends_callbacks,
    signs_callbacks,
    spoiled,
    tells_failure,
    traces_of,
    unrelated,
)
from contracts.clause import Exercised, Finding, Violation, check, clause
from contracts.journal import Delivery, Exchange, Job, Journal, TaskTrace
from contracts.rules import documented_rules
from mockserver.provider import Signature


def _sent(journal: Journal) -> Iterator[Delivery]:
    return (each for each in journal.deliveries if each.outcome not in ("lost", "blocked"))


def _plain(faults: set[str]) -> str:
    return ", ".join(sorted(faults)).replace("_", " ")


@clause(
    "callbacks.acknowledged",
    "Acknowledge a valid callback with the documented status.",
    covers=["*.callback.ack-200", "*.callback.ack-2xx", "*.callback.post-json", "*.callback.by-event"],
)
def acknowledged(journal: Journal) -> Iterator[Finding]:
    """Check the receiver's answers to valid callbacks."""
    rule = journal.provider.callbacks
    if rule is None:
        return
    wanted = "any 2xx" if len(rule.acknowledged) > 1 else str(next(iter(rule.acknowledged)))
    for delivery in _sent(journal):
        if is_invalid_callback(delivery):
            continue
        if delivery.outcome == "acknowledged":
            yield Exercised()
        elif delivery.status is not None and not _came_again(journal, delivery):
            yield Violation(
                (delivery,),
                f"the receiver answered {delivery.status}",
                wanted,
                f"answer {wanted} as soon as the callback is stored",
                "should" if delivery.status in OK or delivery.status >= 500 else "must",
            )


def _came_again(journal: Journal, delivery: Delivery) -> bool:
    """Tell whether a 5xx asked for the redelivery that the document promises, and that was acknowledged."""
    same = (each for each in journal.deliveries if each.task == delivery.task and each.seq > delivery.seq)
    return (delivery.status or 0) >= 500 and any(each.outcome == "acknowledged" for each in same)


@clause(
    "callbacks.in-time",
    "Answer a callback before the provider's timeout; do the work afterwards.",
    covers=["*.callback.timeout", "*.callback.ack-quickly", "*.callback.work-in-queue"],
    general=True,
    applies=sends_callbacks,
)
def in_time(journal: Journal) -> Iterator[Finding]:
    """Find attempts that timed out."""
    rule = journal.provider.callbacks
    for delivery in _sent(journal):
        if delivery.outcome == "timeout":
            limit = "" if rule is None else f" within {rule.timeout_s:g} s"
            yield Violation(
                (delivery,),
                "the receiver did not answer in time",
                f"an answer{limit}",
                "answer first, and put the work in a queue",
            )
        elif delivery.status is not None:
            yield Exercised()


@clause(
    "callbacks.forged-refused",
    "Reject a callback with an invalid signature with status 401.",
    covers=["*.callback.wrong-signature-401", "*.callback.verify-*"],
    general=True,
    applies=signs_callbacks,
)
def forged_refused(journal: Journal) -> Iterator[Finding]:
    """Check the receiver's answers to callbacks whose signature is missing or wrong.

    Any 4xx refuses them; 401 is asked for where a document says so.
    """
    rule = journal.provider.callbacks
    if rule is None or rule.signature is None:
        return
    asks_401 = _asks_401(journal.provider.name)
    for delivery in _sent(journal):
        forged = faults_in(delivery, "forges_signature")
        if not forged or delivery.status is None or faults_in(delivery, "signs_again"):
            continue
        yield check(
            delivery.status == 401 or (delivery.status not in OK and not asks_401),
            (delivery,),
            f"a callback with {_plain(forged)} was answered {delivery.status}",
            "401" if asks_401 else "a refusal, such as 401",
            _how_to_verify(rule.signature),
            at_most="must" if delivery.status in OK else "should",
        )


@cache
def _asks_401(provider: str) -> bool:
    """Tell whether a document of a provider names the status for wrong signatures."""
    return any(
        rule.provider == provider and rule.id.endswith(".callback.wrong-signature-401") for rule in documented_rules()
    )


def _how_to_verify(signature: Signature) -> str:
    """Say how a receiver verifies callbacks."""
    header = signature.header or "the header of the submit"
    if signature.algorithm == "ed25519":
        return f"verify {header} with the published key over the raw body, and answer 401 if it does not match"
    if signature.algorithm == "token":
        return f"compare {header} with the token in constant time, and answer 401 if they differ"
    signed = "the raw body" if not signature.content else "what is signed, with the raw body"
    return f"compute the HMAC over {signed}, compare it with {header} in constant time, and answer 401 if they differ"


@clause(
    "callbacks.unreadable-handled",
    "Refuse an unreadable callback with 4xx: the same bytes would be sent again after a 5xx.",
    general=True,
    applies=sends_callbacks,
    severity="should",
    about=("corrupts_callback",),
)
def unreadable_handled(journal: Journal) -> Iterator[Finding]:
    """Find receivers that close the connection or answer 500, which asks for the same callback again."""
    for delivery in _sent(journal):
        invalid = faults_in(delivery, "forges_signature", "corrupts_callback")
        if not invalid:
            continue
        if delivery.outcome == "unreachable" or delivery.status == 500:
            seen = "closed the connection" if delivery.status is None else f"answered {delivery.status}"
            yield Violation(
                (delivery,),
                f"the receiver {seen} when it received a {_plain(invalid)}",
                "a refusal (4xx)",
                "refuse a callback that cannot be read with 400, and one with a wrong signature with 401",
            )
        else:
            yield Exercised()


@clause(
    "callbacks.lost-recovered-by-poll",
    "Poll when an expected callback does not arrive.",
    general=True,
    applies=sends_callbacks,
    severity="should",
)
def lost_recovered_by_poll(journal: Journal) -> Iterator[Finding]:
    """Find tasks that were never polled after their callback was lost, unless they were finished or given up before."""
    for trace in journal.traces:
        lost = [each for each in trace.deliveries if each.outcome == "lost"]
        told = any(each.outcome == "acknowledged" for each in trace.deliveries)
        known = any(accepted(each) for each in trace.submits)
        if not lost or told or not known:
            continue
        before = [query for query in trace.queries if query.seq < lost[0].seq]
        if any(end_shown(journal, query) is not None for query in before):
            continue
        if before and (_given_up(journal, trace, lost[0]) or before[-1].status not in OK):
            continue  # other clauses judge whether that was too soon
        if before and patience_is_over(journal, trace.submits[0], before, before[-1].at_ms):
            continue
        polled = any(query.seq > lost[0].seq for query in trace.queries)
        if not polled and cut_off(journal, trace):
            continue  # it may have been about to
        yield check(
            polled,
            (lost[0],),
            "the callback was lost, and the task was not polled",
            "a query of the task",
            "poll a task whose callback is overdue",
        )


def _given_up(journal: Journal, trace: TaskTrace, lost: Delivery) -> bool:
    """Tell whether a task's job had failed before its callback was lost."""
    return any(job.ended == "raised" and job.ended_ms <= lost.at_ms and is_of_job(trace, job) for job in journal.jobs)


@clause(
    "callbacks.unknown-events",
    "Acknowledge a callback of an unknown event, and ignore it.",
    covers=["*.callback.ack-200", "*.callback.ack-2xx"],
    general=True,
    applies=sends_callbacks,
    severity="should",
    about=("adds_unknown_event",),
)
def unknown_events(journal: Journal) -> Iterator[Finding]:
    """Find callbacks of unknown events that are refused, or treated as an end."""
    for trace in journal.traces:
        for delivery in trace.deliveries:
            if not faults_in(delivery, "adds_unknown_event") or delivery.status is None:
                continue
            if faults_in(delivery, "forges_signature", "corrupts_callback"):
                continue
            given_up = [job for job in journal.jobs if _ended_by(journal, job, trace, delivery)]
            if delivery.outcome != "acknowledged":
                seen = f"the receiver answered {delivery.status} to an unknown event"
            elif given_up:
                seen = f"job {given_up[0].number} ended at an unknown event ({given_up[0].said[:120]})"
            else:
                yield Exercised()
                continue
            yield Violation(
                (delivery,),
                seen,
                "an acknowledgement, and no other effect",
                "acknowledge every valid callback, and act only on known events",
            )


def _ended_by(journal: Journal, job: Job, trace: TaskTrace, delivery: Delivery) -> bool:
    """Tell whether a job failed when a callback arrived, and had no other reason to."""
    answered = any(each.seq > delivery.seq for each in (*trace.submits, *trace.queries))
    knew = answered or first_end(journal, trace) is not None or end_callbacks(journal, trace)
    return is_of_job(trace, job) and not knew and job.ended == "raised" and abs(job.ended_ms - delivery.at_ms) <= 1000


@clause(
    "callbacks.idempotent",
    "Handle a repeated or reordered callback only once.",
    general=True,
    elsewhere="must",
    applies=sends_callbacks,
)
def idempotent(journal: Journal) -> Iterator[Finding]:
    """Find work that a repeated callback triggers after the download: another download, or another task."""
    submits = journal.of_role("submit")
    for trace in journal.traces:
        reached = [each for each in trace.deliveries if each.status is not None]
        had = next((each for each in trace.downloads if is_whole(each) and not spoiled(each)), None)
        repeated = [each for each in reached[1:] if had is not None and each.seq > had.seq]
        if had is None or not repeated:
            continue
        first = repeated[0]
        body = trace.submits[0].body if trace.submits else None
        again = next(
            (
                each
                for each in (*trace.downloads, *submits)
                if each.seq > first.seq
                and (each.role == "result" or (body is not None and each.body == body and _is_another(each, trace)))
                and not unrelated(journal, first, each)
            ),
            None,
        )
        if again is None:
            yield Exercised()
        else:
            what = "the file was downloaded again" if again.role == "result" else "the job was submitted again"
            yield Violation(
                (had, first, again),
                f"after a repeated callback, {what}",
                "one effect, however often a callback arrives",
                "remember finished tasks, and answer their callbacks without further work",
                "should" if again.role == "result" else "must",  # another task costs money
            )


def _is_another(submit: Exchange, trace: TaskTrace) -> bool:
    return created(submit) and submit.task != trace.task


@clause(
    "callbacks.early-kept",
    "Keep a callback that arrives before the submit is answered.",
    general=True,
    applies=sends_callbacks,
    severity="should",
)
def early_kept(journal: Journal) -> Iterator[Finding]:
    """Find tasks that were not followed up after a callback that arrived before the submit's answer."""
    for trace in journal.traces:
        made = next((each for each in trace.submits if accepted(each)), None)
        early = _early(trace, made)
        if made is None or early is None or cut_off(journal, trace):
            continue
        if trace.queries or trace.downloads or _reported(journal, trace, early):
            yield Exercised()
        elif tells_failure(journal, early) and not journal.jobs:
            continue  # all that was left to do is to report the failure, which the traffic does not show
        else:
            yield Violation(
                (early, made),
                "the callback arrived before the submit's answer, and was not used",
                "the same result as if it had arrived later",
                "store callbacks of tasks that are not known yet, or poll the task in the end",
            )


def _reported(journal: Journal, trace: TaskTrace, delivery: Delivery) -> bool:
    """Tell whether a job failed with the reason in a callback."""
    words = reasons_in(journal.provider, delivery.body)
    return tells_failure(journal, delivery) and any(
        job.ended == "raised" and (not words or any(job.tells(word) for word in words))
        for job in journal.jobs
        if trace in traces_of(journal, job)
    )


def _early(trace: TaskTrace, made: Exchange | None) -> Delivery | None:
    reached = (each for each in trace.deliveries if each.status is not None)
    return next((each for each in reached if made is not None and each.seq < made.seq), None)


@clause(
    "callbacks.constant-time",
    "Compare signatures in constant time.",
    covers=["*.callback.verify-constant-time"],
    general=True,
    applies=signs_callbacks,
    severity="should",
)
def constant_time(journal: Journal) -> Iterator[Finding]:
    """Check the runner's count of calls to `hmac.compare_digest`."""
    facts = journal.runner_facts
    rule = journal.provider.callbacks
    if facts is None or not facts.signed or rule is None or rule.signature is None:
        return
    if rule.signature.algorithm == "ed25519":
        return  # a public key verifies; nothing secret is compared
    reached = [each for each in journal.deliveries if each.status is not None]
    if reached and all(faults_in(each, "forges_signature") for each in reached):
        return  # they may have been refused for their form, before any comparison
    if facts.compared_in_constant_time:
        yield Exercised()
        return
    yield Violation(
        tuple(each for each in journal.deliveries if each.status is not None)[:1],
        f"{facts.signed} signed callbacks were handled without a call of hmac.compare_digest",
        f"a check of {rule.signature.header or 'the signature'} in constant time",
        "compare with hmac.compare_digest, not with ==",
    )
