"""Callbacks as values: their bytes, target, signature and due time, and the queue of what is due.

The event queue is the only thing that waits in mock time. The edge takes due deliveries from it, makes the
attempts and reports their results; the schedule of retries is worked out here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Literal, NamedTuple

from mockserver.engine.accounts import Account
from mockserver.engine.signing import Message, Signing, Unsealed, key_of, sealed, sign
from mockserver.provider import Callbacks, Signature

#: How long after a query has shown the end the callbacks are sent that waited for that.
AFTER_POLL_MS = 1000
AttemptResult = Literal["acknowledged", "refused", "timeout", "unreachable", "blocked", "lost"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver: when it began, its result, with the receiver's status, if any."""

    number: int
    at_ms: int
    outcome: AttemptResult
    status: int | None
    detail: str
    #: The mock time from its beginning to its result. A timeout takes its time on a manual clock too.
    took_ms: int = 0


@dataclass(slots=True)
class Delivery:
    """A callback that is being delivered: the exact bytes, the attempts so far, and when the next one is due."""

    id: str
    #: The provider's name.
    provider: str
    rule: Callbacks
    task_id: str
    event: str
    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...]
    due_ms: int
    account: Account
    state: Literal["waiting", "acknowledged", "given_up", "lost"] = "waiting"
    attempts: list[Attempt] = field(default_factory=list)
    #: The names of the faults that changed it.
    faults: tuple[str, ...] = ()
    #: It is never sent.
    lost: bool = False
    #: How many acknowledgements count as failures.
    unheard: int = 0
    #: It is sent as soon as a query has shown the task's end.
    awaits_query: bool = False
    #: It was sent again by a command.
    commanded: bool = False
    #: The id of what it tells, the same in all attempts and copies.
    callback_id: str = ""
    #: What its headers are made of when it is sent.
    unsealed: Unsealed = ()
    signing: Signing | None = None

    def seal(self, sent_ms: int) -> None:
        """Set its headers, with its signature, as they are at an instant of its receiver's clock."""
        self.headers = sealed(self.unsealed, self.signing, Message(self.callback_id, self.url, self.body, sent_ms))

    def tell_time(self, receiver_ms: Callable[[], int]) -> None:
        """Set its headers anew for an attempt, if they tell its time."""
        if self.rule.is_timed:
            self.seal(receiver_ms())


class TaskEnds(NamedTuple):
    """A task will end, and its callback is to be made then; stale once the task has another revision."""

    provider: str
    task_id: str
    revision: int


class TaskEnters(NamedTuple):
    """A task will enter a state on its way, and a callback tells of it."""

    provider: str
    task_id: str
    revision: int
    state: str
    at_ms: int


@dataclass(slots=True, eq=False)
class Watch:
    """A request that follows a task: what to do at a look, which returns when the next one is due, or None."""

    provider: str
    task_id: str
    look: Callable[[int], int | None]
    #: Called if its world ends before.
    drop: Callable[[], None]
    due_ms: int = -1


#: What waits in the queue.
Due = TaskEnds | TaskEnters | Delivery | Watch


class HeldBack:
    """Callbacks that wait for a query to show the end of their task."""

    __slots__ = ("_by_task",)

    def __init__(self) -> None:
        self._by_task: dict[str, list[Delivery]] = {}

    def __len__(self) -> int:
        return len(self._by_task)

    def __contains__(self, task_id: str | None) -> bool:
        return task_id in self._by_task

    def add(self, delivery: Delivery) -> None:
        """Let a delivery wait."""
        self._by_task.setdefault(delivery.task_id, []).append(delivery)

    def drop(self, delivery: Delivery) -> None:
        """Forget a delivery, because it has been attempted."""
        left = [each for each in self._by_task.pop(delivery.task_id, ()) if each is not delivery]
        if left:
            self._by_task[delivery.task_id] = left

    def released(self, task_id: str | None, now_ms: int) -> list[Delivery]:
        """Return the deliveries of a task that are now due sooner, a moment after the query."""
        sooner_ms = now_ms + AFTER_POLL_MS
        found = [each for each in self._by_task.pop(task_id or "", ()) if not each.attempts and each.due_ms > sooner_ms]
        for each in found:
            each.due_ms = sooner_ms
        return found


class EventQueue:
    """What falls due, in due order; items of one instant in the order in which they were put in."""

    __slots__ = ("_heap", "_put")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Due]] = []
        self._put = 0

    def put(self, due_ms: int, item: Due) -> None:
        """Add an item."""
        self._put += 1
        heappush(self._heap, (due_ms, self._put, item))

    def pop(self) -> tuple[int, Due]:
        """Remove and return the next item, with its instant."""
        due_ms, _, item = heappop(self._heap)
        return due_ms, item

    def head(self) -> tuple[int, Due] | None:
        """Return the next item and its instant, without removing it."""
        return (self._heap[0][0], self._heap[0][2]) if self._heap else None

    def __len__(self) -> int:
        return len(self._heap)


def signature_of(rule: Signature, secret: str | None, body: bytes) -> str:
    """Sign the exact bytes of a body, in the provider's notation."""
    return sign(rule, key_of(rule, secret or ""), body)


def after_attempt(delivery: Delivery, attempt: Attempt) -> bool:
    """Add an attempt to a delivery; return whether another one follows, at `delivery.due_ms`."""
    delivery.attempts.append(attempt)
    retries = delivery.rule.retry_after_ms
    made = attempt.number
    if attempt.outcome == "acknowledged":
        if not delivery.unheard or made > len(retries):
            delivery.state = "acknowledged"
            return False
        delivery.unheard -= 1
    elif attempt.outcome == "lost":
        delivery.state = "lost"
        return False
    elif attempt.outcome == "blocked" or made > len(retries):
        delivery.state = "given_up"
        return False
    since_ms = delivery.attempts[0].at_ms if delivery.rule.waits_from_first else attempt.at_ms + attempt.took_ms
    delivery.due_ms = max(since_ms + retries[made - 1], attempt.at_ms + attempt.took_ms)
    return True
