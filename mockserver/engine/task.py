"""A task and its lifecycle: status is a function of mock time, never changed by a read.

Two rules:
  1. `standing(task, now)` depends on the task and the instant alone, and goes only forwards.
  2. Once a task has ended, it has ended for ever: no command changes it.

The commands, and what each does to a task that has not ended (each gives a new task):

  ========  ===========================================================
  hold      stands still from now on, until released
  release   goes on from where it stood; all that was to come, comes later
  complete  ends now, in the success
  fail      ends now, in the failure, with a reason
  cancel    ends now, in the cancellation
  ========  ===========================================================
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mockserver.engine.accounts import Account
    from mockserver.provider import End, Model, Reason, ResultKind


class TaskEndedError(Exception):
    """A command came to a task that has already ended."""


class NotHeldError(Exception):
    """A task that was not held was to be released."""


class Task(NamedTuple):
    """One generation. Instants are mock milliseconds; money is micro-credits."""

    id: str
    ordinal: int
    account: Account
    model: Model
    body: Mapping[str, Any]
    submitted_ms: int
    #: When each state after the first is entered.
    entered_ms: tuple[int, ...]
    #: When the last state was to be left; `ends_ms` differs once somebody interfered.
    due_ms: int
    ends_ms: int
    end: End
    reason: Reason | None
    reserved_ucr: int
    settles_ucr: int
    result: ResultKind | None
    callback_url: str | None
    held_ms: int | None = None
    #: When a held task last went on, and the progress it went on from.
    resumed_ms: int = 0
    resumed_at: int = 0
    #: Counts the commands, so that what was scheduled before one is known to be stale.
    revision: int = 0
    #: A fault lets it cost what it would have cost, should it fail.
    charged_anyway: bool = False

    @property
    def spends_ucr(self) -> int:
        """What is spent when it ends: never more than was reserved, and nothing where it does not succeed."""
        if self.end.kind != "success" and not (self.charged_anyway and self.end.kind == "failure"):
            return 0
        return min(self.settles_ucr, self.reserved_ucr)


class TaskStatus(NamedTuple):
    """How a task stands at one instant."""

    status: str
    progress: int
    ended: bool


def link_ends_s(task: Task, kind: ResultKind) -> int:
    """Return the second in which links to a task's files stop working: so long after the one in which it ended."""
    return task.ends_ms // 1000 + kind.lifetime_s


def status_at(task: Task, now_ms: int) -> TaskStatus:
    """Return the task's state and progress (percent) at an instant."""
    if task.held_ms is not None and now_ms > task.held_ms:
        now_ms = task.held_ms
    if now_ms >= task.ends_ms:
        progress = task.end.progress
        return TaskStatus(task.end.name, _reached(task, task.ends_ms)[1] if progress is None else progress, True)
    name, progress = _reached(task, now_ms)
    return TaskStatus(name, progress, False)


def _reached(task: Task, now_ms: int) -> tuple[str, int]:
    """Return the state on the way and its progress, as if the task had not ended."""
    index = bisect_right(task.entered_ms, now_ms)
    state = task.model.states[index]
    if state.progress_from == state.progress_to:
        return state.name, state.progress_from
    starts_ms = task.entered_ms[index - 1] if index else task.submitted_ms
    stops_ms = task.entered_ms[index] if index < len(task.entered_ms) else task.due_ms
    if now_ms >= stops_ms:
        return state.name, state.progress_to
    starts_at = state.progress_from
    if task.resumed_ms > starts_ms:
        starts_ms, starts_at = task.resumed_ms, task.resumed_at
    span = state.progress_to - starts_at
    return state.name, starts_at + span * (now_ms - starts_ms) // (stops_ms - starts_ms)


def ended(task: Task, now_ms: int) -> bool:
    """Tell whether the task has ended by an instant."""
    return (now_ms if task.held_ms is None else min(now_ms, task.held_ms)) >= task.ends_ms


def hold(task: Task, now_ms: int) -> Task:
    """Keep the task as it stands; holding it twice changes nothing."""
    _must_be_under_way(task, now_ms)
    if task.held_ms is not None and task.held_ms <= now_ms:
        return task
    return task._replace(held_ms=now_ms, revision=task.revision + 1)


def release(task: Task, now_ms: int) -> Task:
    """Let a held task go on; what was still to come moves by as long as it was held."""
    _must_be_under_way(task, now_ms)
    held_ms = task.held_ms
    if held_ms is None:
        raise NotHeldError(f"task {task.id} is not held")
    held_ms = min(held_ms, now_ms)
    later_ms = now_ms - held_ms
    return task._replace(
        held_ms=None,
        resumed_ms=now_ms,
        resumed_at=_reached(task, held_ms)[1],
        entered_ms=tuple(at if at <= held_ms else at + later_ms for at in task.entered_ms),
        due_ms=task.due_ms + later_ms,
        ends_ms=task.ends_ms + later_ms,
        revision=task.revision + 1,
    )


def end_now(task: Task, now_ms: int, end: End, reason: Reason | None) -> Task:
    """End the task at this instant: the commands complete, fail and cancel."""
    _must_be_under_way(task, now_ms)
    if task.held_ms is not None:
        task = release(task, now_ms)
    return task._replace(ends_ms=now_ms, end=end, reason=reason, revision=task.revision + 1)


def _must_be_under_way(task: Task, now_ms: int) -> None:
    if ended(task, now_ms):
        raise TaskEndedError(f"task {task.id} has ended ({task.end.name}), and that is for ever")
