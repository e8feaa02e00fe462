"""What is seen of a task on its way, beside its state and progress: its place in the queue, and the lines of its log.

Both go on with the time that a task has been on its way; while it is held, they stand still.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from mockserver.engine.task import Task
from mockserver.provider import LogLine


class Logged(NamedTuple):
    """A line of a task's log that has appeared."""

    at_ms: int
    line: LogLine


class Entry(NamedTuple):
    """What `$log.NAME` stands for."""

    message: str
    level: str | None
    at_ms: int


def queue_position(task: Task, now_ms: int) -> int | None:
    """Return a task's place in the queue: it falls evenly while the state lasts; None where it does not queue."""
    now_ms = _stopped(task, now_ms)
    if now_ms >= task.ends_ms or (task.detour and now_ms >= task.detour[0][0]):
        return None
    index = bisect_right(task.entered_ms, now_ms)
    queue = task.model.states[index].queue
    if queue is None:
        return None
    starts_ms, stops_ms = _span(task, index)
    if stops_ms <= starts_ms:
        return queue[1]
    places = queue[0] - queue[1] + 1
    gone = places * (_active(task, now_ms) - starts_ms) // (stops_ms - starts_ms)
    return max(queue[1], queue[0] - gone)


def logged(task: Task, now_ms: int) -> Iterator[Logged]:
    """Yield the lines that have appeared by an instant, in their order."""
    now_ms = _stopped(task, now_ms)
    last_ms = min(now_ms, task.ends_ms, task.detour[0][0] if task.detour else task.ends_ms)
    for index, state in enumerate(task.model.states):
        if not state.logs:
            continue
        starts_ms, stops_ms = _span(task, index)
        for line in state.logs:
            at_ms = _actual(task, starts_ms + int((stops_ms - starts_ms) * line.at_fraction))
            if at_ms <= last_ms:
                yield Logged(at_ms, line)
    if now_ms >= task.ends_ms:
        for line in task.end.logs:
            yield Logged(task.ends_ms, line)


def _stopped(task: Task, now_ms: int) -> int:
    return now_ms if task.held_ms is None else min(now_ms, task.held_ms)


def _span(task: Task, index: int) -> tuple[int, int]:
    """Return when a state begins and ends, in the time that the task is on its way."""
    starts_ms = task.entered_ms[index - 1] if index else task.submitted_ms
    stops_ms = task.entered_ms[index] if index < len(task.entered_ms) else task.due_ms
    return _active(task, starts_ms), _active(task, stops_ms)


def _active(task: Task, at_ms: int) -> int:
    """Return an instant without the pauses before it."""
    return at_ms - sum(min(length_ms, at_ms - from_ms) for from_ms, length_ms in task.pauses if from_ms < at_ms)


def _actual(task: Task, active_ms: int) -> int:
    """Return the instant that is another one without the pauses before it."""
    at_ms = active_ms
    for from_ms, length_ms in task.pauses:
        if from_ms < at_ms:
            at_ms += length_ms
    return at_ms
