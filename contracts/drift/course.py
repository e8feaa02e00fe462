"""Holds the course of each task against the lifecycle: its states, their order, its progress."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from contracts.drift.differences import Differences
from contracts.drift.errors import word
from contracts.drift.places import Edit, Place
from contracts.drift.spec import DocumentedSpec
from contracts.drift.traces import Sight, Trace
from contracts.journal import Exchange
from mockserver.provider import Lifecycle


def judge_states(documented: DocumentedSpec, traces: Iterable[Trace], found: Differences) -> None:
    """Report states that the lifecycle does not have."""
    lifecycle, states = documented.provider.lifecycle, documented.mock.at("lifecycle", "states")
    every = list(traces)
    unknown: dict[str, list[Sight]] = defaultdict(list)
    for trace in every:
        for sight in trace.sights:
            found.tested["states"] += 1
            if not is_known(lifecycle, sight.state):
                unknown[sight.word].append(sight)
    known = (*(each.name for each in lifecycle.states), *lifecycle.ends)
    for name, sights in unknown.items():
        state, kind = sights[0].state, _kind_of_end(documented, sights, every)
        renamed = _other_word(documented, sights, kind, every)
        if renamed is not None:
            edit: Edit | None = renamed.edit(name)
        else:
            edit = _new_state(documented, state, every) if kind is None else _new_end(documented, sights)
        for sight in sights:
            found.add(
                *("states", (name if renamed else state,), [sight.record]),
                seen=f"the state {renamed.old!r} is called {name!r}" if renamed else f"the state {name!r}",
                asks="it is called by its name" if renamed else f"the states are {', '.join(known)}",
                place=renamed.place if renamed else states,
                edit=lambda _, edit=edit: edit,  # type: ignore[misc]
            )


class _Renamed(NamedTuple):
    """A state that answers call by another word, and where they take it from."""

    old: str
    place: Place

    def edit(self, word: str) -> Edit:
        """Return the edit that lets the answers say the word."""
        template = self.place.value
        known = template.get("values", {}) if isinstance(template, dict) else {}
        values = {**known, self.old: word}
        return Edit(self.place, {"by": "$task.status", "values": values, "otherwise": "$task.status"})


def _new_state(documented: DocumentedSpec, name: str, traces: list[Trace]) -> Edit:
    """Return the edit that puts a new state between the others."""
    states = documented.mock.at("lifecycle", "states")
    made = {"lasts_s": _lasts_s(name, traces)}
    every = {
        each: states.mapping().get(each, made) for each in _with_state(documented.provider.lifecycle, name, traces)
    }
    seen = [each.progress for trace in traces for each in trace.polled if each.state == name]
    told = [each for each in seen if isinstance(each, int | float)]
    return Edit(states, _ranged(every, name, min(told), max(told)) if told else every)


def _ranged(states: dict[str, Any], name: str, low: float, high: float) -> dict[str, Any]:
    """Return the states with a range of progress for one of them; the others end before it or begin after it."""
    least, most = max(0, math.floor(low)), min(100, math.ceil(high))
    new, is_before = {}, True
    for key, each in states.items():
        known = each.get("progress", {})
        start, stop = known.get("from", 0), known.get("to", 0)
        if key == name:
            start, stop, is_before = least, most, False
        elif is_before:
            start, stop = min(start, least), min(stop, least)
        else:
            start, stop = max(start, most), max(stop, most)
        made = {"from": start, "to": stop}
        new[key] = each if made == {"from": 0, "to": 0, **known} else {**each, "progress": made}
    return new


def _new_end(documented: DocumentedSpec, sights: list[Sight]) -> Edit | None:
    """Return the edit that adds another end; None where the lifecycle has one of its kind, and so no place for it."""
    lifecycle, state = documented.provider.lifecycle, sights[0].state
    if "cancel" not in state.lower() or any(each.kind == "cancellation" for each in lifecycle.ends.values()):
        return None
    code, message = (next(_told(documented, sights, f"reason_{each}"), None) for each in ("code", "message"))
    reasons = {word(str(code or state)): {"message": str(message or "As recorded")}}
    made = {"kind": "cancellation", "progress": "last", "reasons": reasons}
    return Edit(documented.mock.at("lifecycle", "ends", state), made)


def _kind_of_end(documented: DocumentedSpec, sights: list[Sight], traces: list[Trace]) -> str | None:
    """Tell whether a state is an end that shows a result or a reason; None if a task was seen to go on after it."""
    state = sights[0].state
    shown = [words[-1] for trace in traces if state in (words := [each.state for each in trace.polled])]
    if not shown or any(each != state for each in shown):
        return None
    for kind, facts in (("success", ("result_url", "result_urls")), ("failure", ("reason_code", "reason_message"))):
        if any(True for fact in facts for _ in _told(documented, sights, fact)):
            return kind
    return None


def _told(documented: DocumentedSpec, sights: list[Sight], fact: str) -> Iterator[Any]:
    """Yield what answers tell of a fact of their task."""
    for sight in sights:
        record = sight.record
        if isinstance(record, Exchange) and (value := _read(documented, record, fact)):
            yield value


def _read(documented: DocumentedSpec, record: Exchange, fact: str) -> Any:
    return documented.replies[record.operation or ""].read(f"$task.{fact}", record.answer)


def _other_word(
    documented: DocumentedSpec, sights: list[Sight], kind: str | None, traces: list[Trace]
) -> _Renamed | None:
    """Return the state that a word stands for: one at the same place in the order that is never seen itself."""
    provider = documented.provider
    records = [each.record for each in sights if isinstance(each.record, Exchange)]
    operation = provider.operations.get(records[0].operation or "") if records else None
    if operation is None or not operation.status_at:
        return None
    lifecycle, state = provider.lifecycle, sights[0].state
    names = [each.name for each in lifecycle.states]
    seen = {each.state for trace in traces for each in trace.sights}
    place = _with_state(lifecycle, state, traces).index(state)
    near = [*names[place : place + 1], *(names[place - 1 : place] if place else [])]
    if kind is not None:
        near = [(lifecycle.success if kind == "success" else lifecycle.failure).name]
    old = next((each for each in near if each not in seen), None)
    if old is None:
        return None
    return _Renamed(old, documented.reply(operation).field(*operation.status_at[0]))


def is_known(lifecycle: Lifecycle, state: str) -> bool:
    """Tell whether the lifecycle has a state."""
    return state in lifecycle.ends or any(each.name == state for each in lifecycle.states)


def _with_state(lifecycle: Lifecycle, new: str, traces: Iterable[Trace]) -> list[str]:
    """Return the states with a new one after the last that was seen before it, or before the first seen after it."""
    names = [each.name for each in lifecycle.states]
    before, after = -1, len(names)
    for trace in traces:
        words = [each.state for each in trace.polled]
        if new in words:
            first = words.index(new)
            before = max([before, *(names.index(each) for each in words[:first] if each in names)])
            after = min([after, *(names.index(each) for each in words[first:] if each in names)])
    place = before + 1 if before >= 0 else after
    return [*names[:place], new, *names[place:]]


def _lasts_s(state: str, traces: Iterable[Trace]) -> Any:
    """Return the bounds between which a state was seen to last, in seconds."""
    bounds = [_bounds(trace, [state]) for trace in traces if any(each.state == state for each in trace.polled)]
    most = [high for _, high in bounds if high is not None]
    least = [low for low, _ in bounds]
    longest = math.ceil(max(most or least or [0]) / 1000)
    shortest = math.floor(min(least or [0]) / 1000)
    return {"from": min(shortest, longest), "to": longest}


def _bounds(trace: Trace, states: list[str]) -> tuple[int, int | None]:
    """Return how long a task was in some adjacent states, at least and at most."""
    inside = [each.at_ms for each in trace.polled if each.state in states]
    before = [each.at_ms for each in trace.polled if inside and each.at_ms < inside[0] and each.state not in states]
    after = [each.at_ms for each in trace.polled if inside and each.at_ms > inside[-1] and each.state not in states]
    if not inside:
        return 0, None
    start = before[-1] if before else inside[0]
    return inside[-1] - inside[0], after[0] - start if after else None


def judge_transitions(documented: DocumentedSpec, traces: Iterable[Trace], found: Differences) -> None:
    """Report a task that goes back to an earlier state, or on after its end, and progress that falls."""
    every = list(traces)
    states = documented.mock.at("lifecycle", "states")
    seen = {(a.state, b.state) for trace in every for a, b in pairwise(trace.polled) if a.state != b.state}
    for trace in every:
        names = [each.name for each in trace.lifecycle.states]
        for earlier, later in pairwise(trace.polled):
            found.tested["transitions"] += 1
            if earlier.state in trace.lifecycle.ends:
                if later.state != earlier.state:
                    _transition(documented.mock.at("lifecycle", "ends", earlier.state), earlier, later, None, found)
                continue
            if (
                earlier.state in names
                and later.state in names
                and names.index(later.state) < names.index(earlier.state)
            ):
                edit = None
                if (later.state, earlier.state) not in seen:
                    order = [name for name in names if name != earlier.state]
                    order.insert(order.index(later.state), earlier.state)
                    edit = Edit(states, {name: states.mapping()[name] for name in order})
                _transition(states, earlier, later, edit, found)
        _progress(documented, trace, found)


def _transition(place: Place, earlier: Sight, later: Sight, edit: Edit | None, found: Differences) -> None:
    found.add(
        *("transitions", (earlier.state, later.state), [earlier.record, later.record]),
        seen=f"after {earlier.word!r} came {later.word!r}",
        asks="an end is final" if edit is None and place.keys[-2:-1] == ("ends",) else "states come in their order",
        place=place,
        edit=lambda _: edit,
    )


def _progress(documented: DocumentedSpec, trace: Trace, found: Differences) -> None:
    lifecycle = documented.mock.at("lifecycle")
    shown = [each for each in trace.polled if isinstance(each.progress, int | float)]
    for earlier, later in pairwise(shown):
        found.tested["progress"] += 1
        if later.progress < earlier.progress and later.state not in trace.lifecycle.ends:
            found.add(
                *("progress", ("falls",), [earlier.record, later.record]),
                seen=f"the progress fell from {earlier.progress} to {later.progress}",
                asks="the progress of a task does not fall",
                place=lifecycle.at("states"),
                edit=lambda _: None,
            )
    for sight in shown:
        _in_range(documented, trace, sight, found)


def _in_range(documented: DocumentedSpec, trace: Trace, sight: Sight, found: Differences) -> None:
    """Hold the progress of a state against the range that the lifecycle gives it."""
    found.tested["progress"] += 1
    end = trace.lifecycle.ends.get(sight.state)
    if end is not None:
        place = documented.mock.at("lifecycle", "ends", end.name, "progress")
        if end.progress is not None and sight.progress != end.progress:
            found.add(
                *("progress", ("end",), [sight.record]),
                seen=f"the progress is {sight.progress} at {sight.word!r}",
                asks=f"it is {end.progress} there",
                place=place,
                edit=lambda values: Edit(place, values[0] if len(set(values)) == 1 else "last"),
                value=sight.progress,
            )
        return
    states = trace.lifecycle.states if trace.model is None else trace.model.states
    state = next((each for each in states if each.name == sight.state), None)
    if state is None or state.progress_from <= sight.progress <= state.progress_to:
        return
    states_place = documented.mock.at("lifecycle", "states")
    here = states_place.at(state.name, "progress")

    def edit(values: list[Any]) -> Edit:
        known = states_place.mapping()
        low, high = min(state.progress_from, *values, 100), max(state.progress_to, *values, 0)
        new = _ranged(known, state.name, low, high)
        changed = [name for name, each in new.items() if each != known[name]]
        return Edit(here, new[state.name]["progress"]) if changed == [state.name] else Edit(states_place, new)

    found.add(
        *("progress", ("range",), [sight.record]),
        seen=f"the progress is {sight.progress} in {sight.word!r}",
        asks=f"it goes from {state.progress_from} to {state.progress_to} there",
        place=here,
        edit=edit,
        value=sight.progress,
    )
