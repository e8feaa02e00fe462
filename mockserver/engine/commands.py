"""Commands: what a test may do to a task. Each takes effect at once and is final where it ends the task."""

from __future__ import annotations

from typing import Literal

from mockserver.engine.operations import Booked, replace_task
from mockserver.engine.task import Task, end_now, hold, release, status_at
from mockserver.engine.watching import look_again
from mockserver.engine.world import World

Command = Literal["hold", "release", "complete", "fail", "cancel"]


class UnknownReasonError(ValueError):
    """A task was to fail for a reason that its provider does not have."""


class NoSuchEndError(ValueError):
    """A task was to be cancelled, but its provider has no cancelled state."""


def run_command(world: World, task_id: str, name: Command, now_ms: int, reason: str | None = None) -> Task:
    """Hold, release, complete, fail or cancel a task.

    Raises:
        KeyError: no task has this id.
        TaskEndedError: the task has ended.
        NotHeldError: the task is not held, and was to be released.
        UnknownReasonError: the provider does not have this failure reason.
        NoSuchEndError: the provider has no cancelled state.
    """
    state, task = world.find_task(task_id)
    title, lifecycle = state.provider.title, task.model.lifecycle
    if name == "hold":
        changed = hold(task, now_ms)
    elif name == "release":
        changed = release(task, now_ms)
    elif name == "complete":
        changed = end_now(task, now_ms, lifecycle.success, None)
    else:
        end = lifecycle.failure if name == "fail" else lifecycle.cancelled_in(status_at(task, now_ms).status)
        if end is None:
            raise NoSuchEndError(f"{title} has no cancelled state")
        if reason is not None and reason not in end.reasons:
            raise UnknownReasonError(f"{title} has no reason {reason!r}; it has {', '.join(end.reasons) or 'none'}")
        why = end.reasons[reason] if reason is not None else next(iter(end.reasons.values()), None)
        changed = end_now(task, now_ms, end, why)
    task.account.settle(now_ms)
    booked: Booked = []
    replace_task(state, task, changed, booked)
    look_again(state, task.id, now_ms, booked)
    for due_ms, item in booked:
        world.event_queue.put(due_ms, item)
    return changed
