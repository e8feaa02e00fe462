"""Callbacks: acknowledged in time, refused when forged, and made up for when they are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.clause import Exercised, Finding, Violation, clause
from contracts.reading import end_shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.journal import Delivery, Journal

#: Faults that leave a callback with a signature that does not fit.
FORGED = frozenset(
    ("unsigned_callback", "wrong_signature", "signature_length", "signature_of_other_bytes", "old_secret")
)
#: Faults that leave it no JSON.
SPOILED = frozenset(("cut_callback", "callback_not_json"))


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
        if FORGED.intersection(delivery.faults) or SPOILED.intersection(delivery.faults):
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
)
def forged_refused(journal: Journal) -> Iterator[Finding]:
    """Look at the receiver's answers to callbacks with a signature that is missing or wrong."""
    rule = journal.provider.callbacks
    if rule is None or rule.signature is None:
        return
    for delivery in _sent(journal):
        forged = FORGED.intersection(delivery.faults)
        if not forged or delivery.status is None:
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
)
def lost_made_up(journal: Journal) -> Iterator[Finding]:
    """Look for a query that shows the end of each task whose callback was lost."""
    for story in journal.stories:
        lost = [each for each in story.deliveries if each.outcome == "lost"]
        if not lost or any(each.outcome == "acknowledged" for each in story.deliveries):
            continue
        if any(end_shown(journal, query) is not None for query in story.queries):
            yield Exercised()
        else:
            yield Violation(
                (lost[0],),
                "the callback was lost, and nobody asked after the task",
                "a query of the task",
                "ask after a task whose callback is overdue",
            )
