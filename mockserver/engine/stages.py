"""The states that a task enters on its way, and the callbacks that tell of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from mockserver.engine.callbacks import TaskEnters
from mockserver.engine.task import Task
from mockserver.provider import Callbacks


def stages(task: Task) -> Iterator[tuple[int, str]]:
    """Yield when a task enters each state on its way; without those that it leaves in the same instant."""
    leaves_ms = task.detour[0][0] if task.detour else task.ends_ms
    starts = [task.submitted_ms, *task.entered_ms]
    entered = [
        (at_ms, state.name) for at_ms, state in zip(starts, task.model.states, strict=False) if at_ms < leaves_ms
    ]
    entered += [(at_ms, state.name) for at_ms, state in task.detour if at_ms < task.ends_ms]
    for (at_ms, name), (until_ms, _) in pairwise([*entered, (task.ends_ms, "")]):
        if at_ms < until_ms:
            yield at_ms, name


def stages_to_tell(rule: Callbacks, provider: str, task: Task) -> Iterator[TaskEnters]:
    """Yield the states that a callback is still to tell of: all of a new task, or those after its last change."""
    since_ms = task.changed_ms if task.revision else -1
    for at_ms, name in stages(task):
        if name in rule.stages and at_ms > since_ms:
            yield TaskEnters(provider, task.id, task.revision, name, at_ms)


def still_enters(task: Task, item: TaskEnters) -> bool:
    """Tell whether a task enters a state as it was booked: since then, it may have been changed."""
    if item.revision != task.revision and item.at_ms > task.changed_ms:
        return False
    if task.held_ms is not None and item.at_ms > task.held_ms:
        return False
    return (item.at_ms, item.state) in stages(task)
