"""Holds callbacks against what the spec says of them: events, signatures, bodies, times, repetitions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from contracts.drift.bodies import Bodies, setting
from contracts.drift.differences import Differences
from contracts.drift.places import Edit
from contracts.drift.shapes import Shape
from contracts.drift.spec import DocumentedSpec
from contracts.drift.traces import Trace
from contracts.journal import Delivery, Journal
from mockserver.provider import Callbacks as Rule
from mockserver.provider import Model
from mockserver.recording.values import header_of
from mockserver.spec.pointer import MISSING, pointed

_TOLERANCE_MS = 1000
#: How late a callback may come after the end of its task.
_LATE_MS = 15_000
#: How late it may be sent again.
_LATE_AGAIN_MS = 2000


class Callbacks:
    """Judges the headers and bodies of callbacks."""

    def __init__(self, documented: DocumentedSpec, differences: Differences, bodies: Bodies) -> None:
        self._spec = documented
        self._found = differences
        self._bodies = bodies

    def judge(self, delivery: Delivery, model: Model | None) -> None:
        """Judge the headers and the body of a callback."""
        callbacks = self._spec.provider.callbacks
        if callbacks is None or delivery.attempt != 1:
            return
        self._found.tested["callbacks"] += 1
        events = self._spec.mock.at("callbacks", "events")
        if delivery.event not in callbacks.events:
            is_end = delivery.event in self._spec.provider.lifecycle.ends
            made = delivery.json if isinstance(delivery.json, dict) else {}
            self._found.add(
                *("callbacks", ("event", delivery.event), [delivery]),
                seen=f"a callback for {delivery.event!r}",
                asks=f"callbacks are sent for {', '.join(callbacks.events)}",
                place=events,
                edit=lambda _: Edit(events.at(delivery.event), made) if is_end else None,
            )
        signature = callbacks.signature
        if signature is not None and delivery.headers and header_of(delivery.headers, signature.header) is None:
            place = self._spec.mock.at("callbacks", "signature")
            self._found.add(
                *("callbacks", ("unsigned",), [delivery]),
                seen=f"a callback without {signature.header}",
                asks="callbacks are signed",
                place=place,
                edit=setting(place, value=MISSING),
            )
        declared = self._spec.callback_body(model)
        if declared is not None:
            self._bodies.judge(delivery, self._bodies.shape(declared), delivery.json, f"callback {delivery.event}")
        elif delivery.event in callbacks.events:
            template = events.at(delivery.event)
            if isinstance(template.value, dict):
                self._bodies.judge(
                    delivery, self._bodies.template(template, (), True), delivery.json, f"callback {delivery.event}"
                )
            else:
                shape = self._replied(str(template.value))
                if shape is not None:
                    self._bodies.judge(delivery, shape, delivery.json, f"callback {delivery.event}")

    def _replied(self, expression: str) -> Shape | None:
        """Return the shape of what a query returns, for `$reply.NAME`."""
        name, _, pointer = expression.removeprefix("$reply.").partition("#")
        operation = self._spec.provider.operations.get(name)
        if operation is None or pointer:
            return None
        return self._bodies.template(self._spec.reply(operation), self._spec.reply_patches(operation), True)


def judge_callback_times(
    documented: DocumentedSpec, journal: Journal, traces: Iterable[Trace], found: Differences
) -> None:
    """Report callbacks that come before the end or late, again after other waits, twice, or not at all."""
    rule = documented.provider.callbacks
    if rule is None:
        return
    slack_ms = _LATE_MS * max(1.0, journal.speed)
    callbacks = documented.mock.at("callbacks")
    for trace in traces:
        deliveries = [each for each in trace.deliveries if not each.commanded]
        by_id: dict[str, list[Delivery]] = defaultdict(list)
        for each in deliveries:
            by_id[each.delivery].append(each)
        firsts = [attempts[0] for attempts in by_id.values() if attempts[0].attempt == 1]
        if not trace.altered:
            _first_attempts(documented, trace, firsts, slack_ms, found)
            _missing(documented, journal, trace, slack_ms, found)
        for attempts in by_id.values():
            _waits(documented, attempts, _LATE_AGAIN_MS * max(1.0, journal.speed), found)
        for first, second in pairwise(firsts):
            if first.event == second.event:
                found.add(
                    *("callbacks", ("again",), [first, second]),
                    seen=f"a second callback for {second.event!r}, which is no attempt of the first",
                    asks="a callback is sent once for each event",
                    place=callbacks.at("events"),
                    edit=lambda _: None,
                )


def _first_attempts(
    documented: DocumentedSpec, trace: Trace, firsts: list[Delivery], slack_ms: float, found: Differences
) -> None:
    place = documented.mock.at("callbacks", "events")
    for delivery in firsts:
        found.tested["callbacks"] += 1
        running_ms, end = trace.last_running_ms, trace.end
        early = running_ms is not None and delivery.at_ms < running_ms - _TOLERANCE_MS
        late = end is not None and delivery.at_ms > end.at_ms + slack_ms
        if early or late:
            at_ms = running_ms if early else None if end is None else end.at_ms
            assert at_ms is not None
            found.add(
                *("callbacks", ("early" if early else "late",), [delivery]),
                seen=f"a callback came {abs(delivery.at_ms - at_ms) / 1000:g} s {'before' if early else 'after'} "
                f"a query showed the task {'unfinished' if early else 'at its end'}",
                asks="callbacks are sent at the end of the task",
                place=place,
                edit=lambda _: None,
            )
            continue
        if end is not None and delivery.event in trace.lifecycle.ends and delivery.event != end.state:
            found.add(
                *("callbacks", ("other end", delivery.event, end.state), [end.record, delivery]),
                seen=f"the callback says {delivery.event!r}, and queries show {end.state!r}",
                asks="callbacks are sent for the end of the task",
                place=place,
                edit=lambda _: None,
            )


def _missing(documented: DocumentedSpec, journal: Journal, trace: Trace, slack_ms: float, found: Differences) -> None:
    """Report a callback that was asked for and never came, in a journal that has callbacks of others."""
    rule, end, submit = documented.provider.callbacks, trace.end, trace.submit
    if rule is None or end is None or submit is None or trace.deliveries or not journal.deliveries:
        return
    asked = isinstance(pointed(submit.json, rule.url_keys), str)
    if asked and end.state in rule.events and trace.journal_ends_ms > end.at_ms + 2 * slack_ms:
        place = documented.mock.at("callbacks", "events", end.state)
        found.add(
            *("callbacks", ("missing",), [submit, end.record]),
            seen=f"no callback came for {end.state!r}",
            asks="one is sent",
            place=place,
            edit=setting(place, value=MISSING),
        )


def _waits(documented: DocumentedSpec, attempts: list[Delivery], slack_ms: float, found: Differences) -> None:
    """Report waits between the attempts of a callback that are not those of the spec."""
    rule = documented.provider.callbacks
    assert rule is not None
    place = documented.mock.at("callbacks", "retry_after_s")
    counting = documented.mock.at("callbacks", "retry_counted_from")
    known = [each / 1000 for each in rule.retry_after_ms]
    other = replace(rule, waits_from_first=not rule.waits_from_first)
    is_other = not any(_wrong_waits(other, attempts, slack_ms))

    def edit(values: list[Any]) -> Edit:
        if is_other:
            return Edit(counting, "first_attempt" if other.waits_from_first else "previous_failure")
        waits = list(known)
        for index, wait_s in values:
            waits += [wait_s] * (index + 1 - len(waits))
            waits[index] = wait_s
        return Edit(place, [int(each) if each == int(each) else each for each in waits])

    found.tested["callbacks"] += len(attempts) - 1
    for index, waited_ms, earlier, later in _wrong_waits(rule, attempts, slack_ms):
        asks = f"a callback is sent at most {len(known) + 1} times"
        if index < len(known):
            asks = f"it is sent again after {known[index]:g} s"
        found.add(
            *("callbacks", ("wait",), [earlier, later]),
            seen=f"attempt {later.attempt} of a callback came {waited_ms / 1000:g} s after "
            f"{'the first' if rule.waits_from_first else 'the one before'}",
            asks=asks,
            place=counting if is_other else place,
            edit=edit,
            value=(index, round(waited_ms / 1000)),
        )


def _wrong_waits(
    rule: Rule, attempts: list[Delivery], slack_ms: float
) -> Iterator[tuple[int, int, Delivery, Delivery]]:
    """Yield the waits that are too short or too long, or after which no attempt should have come."""
    first = attempts[0]
    for earlier, later in pairwise(attempts):
        index = earlier.attempt - 1
        if later.attempt != earlier.attempt + 1 or (rule.waits_from_first and first.attempt != 1):
            continue
        waited_ms = later.at_ms - (first.at_ms if rule.waits_from_first else earlier.at_ms)
        if index < len(rule.retry_after_ms):
            asked_ms = rule.retry_after_ms[index]
            took_ms = 0 if earlier.outcome == "refused" else rule.timeout_s * 1000  # at most, until it was given up
            if asked_ms - _TOLERANCE_MS <= waited_ms <= asked_ms + took_ms + slack_ms:
                continue
        yield index, waited_ms, earlier, later
