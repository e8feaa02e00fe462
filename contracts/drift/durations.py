"""Holds how long the states of each task last against the lifecycle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from contracts.drift.course import is_known
from contracts.drift.differences import Differences
from contracts.drift.places import Edit
from contracts.drift.spec import DocumentedSpec
from contracts.drift.traces import Sight, Trace
from mockserver.spec.pointer import MISSING

#: What the network, and the rounding of a clock, may add to a duration or take from it.
_TOLERANCE_MS = 1000


def judge_durations(documented: DocumentedSpec, traces: Iterable[Trace], found: Differences) -> None:
    """Report states that certainly lasted longer or shorter than the lifecycle says.

    A state is seen in polls only, so that its duration has bounds: it lasted at least from its first sight to its
    last, and at most from the last sight before it to the first after it.
    """
    for trace in traces:
        submit = trace.submit
        if trace.altered or submit is None or not all(is_known(trace.lifecycle, each.state) for each in trace.polled):
            continue
        plan = list(trace.model_states())
        for index in range(len(plan)):
            found.tested["durations"] += 1
            _duration(documented, trace, plan, index, found)
        _whole(documented, trace, plan, found)


def _rank(trace: Trace, sight: Sight) -> int:
    names = [each.name for each in trace.lifecycle.states]
    return names.index(sight.state) if sight.state in names else len(names)


def _around(trace: Trace, index: int) -> tuple[list[Sight], list[Sight], list[Sight]]:
    """Return what was seen before a state, in it, and after it."""
    ranked = [(_rank(trace, each), each) for each in trace.polled]
    return (
        [each for rank, each in ranked if rank < index],
        [each for rank, each in ranked if rank == index],
        [each for rank, each in ranked if rank > index],
    )


def _polls(trace: Trace, sights: Iterable[Sight]) -> list[Sight]:
    """Return the sights without that of the submit: when its task began, before the answer, is not known."""
    return [each for each in sights if each.record is not trace.submit]


def _duration(
    documented: DocumentedSpec, trace: Trace, plan: list[tuple[str, int, int]], index: int, found: Differences
) -> None:
    submit = trace.submit
    assert submit is not None
    name, shortest_ms, longest_ms = plan[index]
    before, inside, after = _around(trace, index)
    seen = _polls(trace, inside)
    least_ms = seen[-1].at_ms - seen[0].at_ms if seen else 0
    if least_ms > longest_ms + _TOLERANCE_MS:
        _add(documented, trace, name, [seen[0], seen[-1]], "at least", least_ms, found)
    start_ms = before[-1].at_ms if before else submit.at_ms
    end = trace.end
    if (
        not after
        or (before == [] and index > 0)
        or (end is not None and not _is_success(trace, end) and after[0] == end)
    ):
        return
    most_ms = after[0].at_ms - start_ms
    if most_ms < shortest_ms - _TOLERANCE_MS and not (end is not None and not _is_success(trace, end)):
        _add(documented, trace, name, [*(before[-1:]), after[0]], "at most", most_ms, found)


def _is_success(trace: Trace, sight: Sight) -> bool:
    return sight.state == trace.lifecycle.success.name


def _whole(documented: DocumentedSpec, trace: Trace, plan: list[tuple[str, int, int]], found: Differences) -> None:
    """Hold the time from the first poll, or to the end from the submit, against the sum of the states."""
    submit, end, running_ms = trace.submit, trace.end, trace.last_running_ms
    assert submit is not None
    longest_name = max(plan, key=lambda each: each[2])[0]
    polls = _polls(trace, trace.polled)
    lasted_ms = running_ms - polls[0].at_ms if running_ms is not None and polls else 0
    if lasted_ms > sum(each[2] for each in plan) + _TOLERANCE_MS:
        running = [each for each in trace.polled if each.state not in trace.lifecycle.ends]
        over_ms = lasted_ms - sum(each[2] for each in plan)
        longest = next(each[2] for each in plan if each[0] == longest_name)
        if not any(_too_long(trace, plan, index) for index in range(len(plan))):
            _add(documented, trace, longest_name, [running[0], running[-1]], "at least", longest + over_ms, found)
    if end is None or not _is_success(trace, end):
        return
    short_ms = sum(each[1] for each in plan) - (end.at_ms - submit.at_ms)
    if short_ms > _TOLERANCE_MS and not any(_too_short(trace, plan, index) for index in range(len(plan))):
        shortest = next(each[1] for each in plan if each[0] == longest_name)
        _add(documented, trace, longest_name, [end], "at most", max(0, shortest - short_ms), found)


def _too_long(trace: Trace, plan: list[tuple[str, int, int]], index: int) -> bool:
    inside = _polls(trace, _around(trace, index)[1])
    return bool(inside) and inside[-1].at_ms - inside[0].at_ms > plan[index][2] + _TOLERANCE_MS


def _too_short(trace: Trace, plan: list[tuple[str, int, int]], index: int) -> bool:
    submit = trace.submit
    before, _, after = _around(trace, index)
    start = before[-1].at_ms if before else submit.at_ms if submit is not None and index == 0 else None
    return bool(after) and start is not None and after[0].at_ms - start < plan[index][1] - _TOLERANCE_MS


def _add(
    documented: DocumentedSpec,
    trace: Trace,
    name: str,
    sights: list[Sight],
    word: str,
    took_ms: int,
    found: Differences,
) -> None:
    own = MISSING if trace.model is None else documented.model_place(trace.model).at("lasts_s", name).value
    if own is not MISSING and trace.model is not None:
        place = documented.model_place(trace.model).at("lasts_s", name)
    else:
        place = documented.mock.at("lifecycle", "states", name, "lasts_s")
    known = place.value
    low, high = (known["from"], known["to"]) if isinstance(known, dict) else (known, known)

    def edit(values: list[Any]) -> Edit:
        least = [took for kind, took in values if kind == "at least"]
        most = [took for kind, took in values if kind == "at most"]
        lowest = min([low, *(math.floor(each / 1000) for each in most)])
        highest = max([high, *(math.ceil(each / 1000) for each in least)])
        return Edit(place, {"from": lowest, "to": highest})

    found.add(
        *("durations", (), [each.record for each in sights]),
        seen=f"{name} lasted {word} {took_ms / 1000:g} s",
        asks=f"it lasts {low:g} s" if low == high else f"it lasts from {low:g} to {high:g} s",
        place=place,
        edit=edit,
        value=(word, took_ms),
    )


def ends_between(trace: Trace) -> Iterator[tuple[int, int]]:
    """Yield the bounds of the instant of a task's end, where both were seen."""
    if trace.end is not None and trace.last_running_ms is not None:
        yield trace.last_running_ms, trace.end.at_ms
