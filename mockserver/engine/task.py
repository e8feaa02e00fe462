"""A task and its lifecycle: status is a function of mock time, never changed by a read.

Two rules:
  1. `status_at(task, now)` depends on the task and the instant alone, and only moves forward.
  2. An end is final: no command changes a task that has ended.

The commands, and what each does to a task that has not ended (each returns a new task):

  ========  ==============================================================
  hold      pauses the task until it is released
  release   resumes it; every later instant moves by the length of the hold
  complete  ends it now, with success
  fail      ends it now, with the failure and a reason
  cancel    ends it now, as cancelled
  ========  ==============================================================
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mockserver.engine.accounts import Account
from mockserver.engine.course import Course
from mockserver.provider import End, Model, Reason, ResultKind, State


class TaskEndedError(Exception):
    """A command was given for a task that has ended."""


class NotHeldError(Exception):
    """A release was given for a task that is not held."""


class Parent(NamedTuple):
    """What is known of the task that another one goes on from."""

    id: str
    model: str
    kind: str | None
    request: Mapping[str, Any]
    #: Its body with defaults, and with what its own parent had.
    inputs: Any


class CallbackTerms(NamedTuple):
    """What a submit, or its account, says of the task's callbacks beside their address."""

    #: The secret, or the token, that the submit brings.
    secret: str | None = None
    #: The header that it names for that.
    header: str | None = None
    #: The states that it wants to be told of; None is all.
    events: frozenset[str] | None = None


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
    #: When the last state ends by the schedule; a command or a fault may set another `ends_ms`.
    due_ms: int
    ends_ms: int
    end: End
    reason: Reason | None
    reserved_ucr: int
    settles_ucr: int
    result: ResultKind | None
    callback_url: str | None
    held_ms: int | None = None
    #: When a held task was last released, and the progress it had then.
    resumed_ms: int = 0
    resumed_at: int = 0
    #: Counts the commands, so that what was booked before one is known to be stale.
    revision: int = 0
    #: A failure is charged like a success; only a fault sets this.
    charged_anyway: bool = False
    #: What was recorded of another task, for this one to live through; a command or a fault ends that.
    course: Course | None = None
    #: The `base` of the request that has made it.
    base: str = ""
    #: The task that it goes on from.
    parent: Parent | None = None
    #: When a command or a cancellation last changed it.
    changed_ms: int = 0
    #: When it was held, and for how long; without the present hold.
    pauses: tuple[tuple[int, int], ...] = ()
    #: The states that it goes through to its end since it was cancelled, and when it enters each; its progress then.
    detour: tuple[tuple[int, State], ...] = ()
    detour_at: int = 0
    callback_terms: CallbackTerms | None = None

    @property
    def spends_ucr(self) -> int:
        """The credits that are spent at the end: at most the reserved ones, and 0 where the task does not succeed."""
        kind = self.end.kind
        if kind == "success" or (self.charged_anyway and kind == "failure"):
            return min(self.settles_ucr, self.reserved_ucr)
        return 0


class TaskStatus(NamedTuple):
    """The state and progress of a task at one instant."""

    status: str
    progress: int
    ended: bool


def link_ends_s(task: Task, kind: ResultKind) -> int:
    """Return the second in which the links to a task's files expire: the lifetime after the second of its end."""
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
    """Return the state before the end and its progress, as if the task had not ended."""
    if task.detour and now_ms >= task.detour[0][0]:
        return [state.name for at_ms, state in task.detour if at_ms <= now_ms][-1], task.detour_at
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


def next_change_ms(task: Task, now_ms: int) -> int | None:
    """Return when the task next changes its state; None where it has ended or is held."""
    if task.held_ms is not None or now_ms >= task.ends_ms:
        return None
    index = bisect_right(task.entered_ms, now_ms)
    return min(task.entered_ms[index], task.ends_ms) if index < len(task.entered_ms) else task.ends_ms


def started_ms(task: Task, now_ms: int) -> int | None:
    """Return when the task left its first state; None where that is later than now."""
    if not task.entered_ms:
        return task.submitted_ms
    at_ms = min(task.entered_ms[0], task.ends_ms)
    return at_ms if (now_ms if task.held_ms is None else min(now_ms, task.held_ms)) >= at_ms else None


def hold(task: Task, now_ms: int) -> Task:
    """Pause the task; holding it twice changes nothing."""
    _must_not_have_ended(task, now_ms)
    if task.held_ms is not None and task.held_ms <= now_ms:
        return task
    return task._replace(held_ms=now_ms, changed_ms=now_ms, revision=task.revision + 1)


def release(task: Task, now_ms: int) -> Task:
    """Resume a held task; every later instant moves by the length of the hold."""
    _must_not_have_ended(task, now_ms)
    held_ms = task.held_ms
    if held_ms is None:
        raise NotHeldError(f"task {task.id} is not held")
    held_ms = min(held_ms, now_ms)
    later_ms = now_ms - held_ms
    return task._replace(
        held_ms=None,
        changed_ms=now_ms,
        resumed_ms=now_ms,
        resumed_at=_reached(task, held_ms)[1],
        entered_ms=tuple(at if at <= held_ms else at + later_ms for at in task.entered_ms),
        due_ms=task.due_ms + later_ms,
        ends_ms=task.ends_ms + later_ms,
        pauses=(*task.pauses, (held_ms, later_ms)),
        detour=tuple((at if at <= held_ms else at + later_ms, state) for at, state in task.detour),
        revision=task.revision + 1,
    )


def end_now(task: Task, now_ms: int, end: End, reason: Reason | None) -> Task:
    """End the task at this instant: the commands complete, fail and cancel."""
    _must_not_have_ended(task, now_ms)
    if task.held_ms is not None:
        task = release(task, now_ms)
    return task._replace(ends_ms=now_ms, end=end, reason=reason, changed_ms=now_ms, revision=task.revision + 1)


def cancelled(task: Task, now_ms: int, end: End, reason: Reason | None, lasts_ms: Sequence[int]) -> Task:
    """Cancel the task: it goes to its end through the states that lead there, each for so long."""
    _must_not_have_ended(task, now_ms)
    if not lasts_ms:
        return end_now(task, now_ms, end, reason)
    if task.held_ms is not None:
        task = release(task, now_ms)
    detour, at_ms = [], now_ms
    for state, each_ms in zip(end.through, lasts_ms, strict=True):
        detour.append((at_ms, state))
        at_ms += each_ms
    return task._replace(
        ends_ms=at_ms,
        end=end,
        reason=reason,
        detour=tuple(detour),
        detour_at=_reached(task, now_ms)[1],
        changed_ms=now_ms - 1,  # it enters the first of these states now
        revision=task.revision + 1,
    )


def _must_not_have_ended(task: Task, now_ms: int) -> None:
    if ended(task, now_ms):
        raise TaskEndedError(f"task {task.id} has ended ({task.end.name}) and is final")
