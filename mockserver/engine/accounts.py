"""Accounts and their ledger: reserve at submit, settle at the end, refund what was not used.

The invariant, at every instant: granted = available + reserved + spent, and all four are at least 0.
Settlement is lazy: before a balance is read, `settle` books every task that has ended by then, in the order in
which they ended. So the balance is a function of mock time, without timers.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Literal, NamedTuple, Protocol

from mockserver.engine.limits import RateLog
from mockserver.provider import Plan

Kind = Literal["grant", "reserve", "settle", "refund", "charge"]


#: The newest lines of a ledger that are kept.
LEDGER_KEPT = 500_000


class Entry(NamedTuple):
    """A line of the ledger. `settle` spends reserved credits; `refund` makes the rest available again."""

    at_ms: int
    kind: Kind
    amount_ucr: int
    task_id: str | None
    #: Input and output tokens of a charge that counts them.
    tokens: tuple[int, int] | None = None


class Reservation(Protocol):
    """What an account reads of a task: the credits that it holds, and when they settle."""

    @property
    def id(self) -> str:
        """The id of the task."""

    @property
    def ordinal(self) -> int:
        """The number of the task in its account."""

    @property
    def revision(self) -> int:
        """A higher revision replaces the ones before it."""

    @property
    def submitted_ms(self) -> int:
        """When the credits are reserved."""

    @property
    def ends_ms(self) -> int:
        """When they settle."""

    @property
    def held_ms(self) -> int | None:
        """When the task was put on hold: it does not settle until it is released."""

    @property
    def reserved_ucr(self) -> int:
        """The credits that it holds."""

    @property
    def spends_ucr(self) -> int:
        """How much of them is spent at the end."""


class Account:
    """One API key's account at one provider. Money is in micro-credits."""

    __slots__ = (
        "__weakref__",
        "_due",
        "_revisions",
        "_running",
        "accepted",
        "granted_ucr",
        "id",
        "key",
        "ledger",
        "opened",
        "own_plan",
        "plan",
        "previous_secret",
        "rate",
        "request_base",
        "requests",
        "reserved_ucr",
        "revoked",
        "secret",
        "secret_changed_ms",
        "spent_ucr",
        "tasks",
        "webhook_events",
        "webhook_url",
    )

    def __init__(self, account_id: str, key: str, plan: Plan, secret: str | None) -> None:
        self.id: str = account_id
        self.key: str = key
        self.plan: Plan = plan
        #: A command or its test key has set its plan or limits.
        self.own_plan = False
        self.secret: str | None = secret
        self.previous_secret: str | None = None
        self.secret_changed_ms: int | None = None
        #: Where the callbacks of tasks go whose submits name no address, and the events wanted there; None is all.
        self.webhook_url: str | None = None
        self.webhook_events: tuple[str, ...] | None = None
        self.revoked = False
        self.rate = RateLog()
        self.accepted = RateLog(tasks=True)
        self.requests = 0
        self.request_base = 0
        #: The ids of its tasks, oldest first; `opened` counts those that are no longer kept too.
        self.tasks: list[str] = []
        self.opened = 0
        self.granted_ucr: int = 0
        self.reserved_ucr: int = 0
        self.spent_ucr: int = 0
        self.ledger: list[Entry] = []
        self._running = 0
        #: When a task ends, its number and revision, what it holds and spends, its id; not the task: it refers to this.
        self._due: list[tuple[int, int, int, int, int, str]] = []
        self._revisions: dict[int, int] = {}

    @property
    def available_ucr(self) -> int:
        """The credits that can still be reserved."""
        return self.granted_ucr - self.reserved_ucr - self.spent_ucr

    def grant(self, amount_ucr: int, now_ms: int) -> None:
        """Add credits; a negative amount takes available credits away.

        Raises:
            ValueError: fewer credits are available than are to be taken.
        """
        if amount_ucr < -self.available_ucr:
            raise ValueError("an account cannot hold less than nothing: some credits are reserved or spent")
        self.granted_ucr += amount_ucr
        self.ledger.append(Entry(now_ms, "grant", amount_ucr, None))

    def change_secret(self, secret: str, now_ms: int) -> None:
        """Change the secret that signs callbacks; the old one is kept as `previous_secret`."""
        self.previous_secret, self.secret, self.secret_changed_ms = self.secret, secret, now_ms

    def charge(self, amount_ucr: int, now_ms: int, tokens: tuple[int, int] | None = None) -> None:
        """Spend credits at once, without a task; at most what is available."""
        amount_ucr = min(amount_ucr, self.available_ucr)
        self.spent_ucr += amount_ucr
        self.ledger.append(Entry(now_ms, "charge", amount_ucr, None, tokens))

    def open(self, task: Reservation) -> None:
        """Reserve the credits of a new task, and count it as running."""
        self.reserved_ucr += task.reserved_ucr
        self.tasks.append(task.id)
        self.opened += 1
        if len(self.ledger) > LEDGER_KEPT:
            del self.ledger[: LEDGER_KEPT // 4]
        self.ledger.append(Entry(task.submitted_ms, "reserve", task.reserved_ucr, task.id))
        self._running += 1
        self.accepted.count(self.plan, task.submitted_ms)
        self._await_end(task)

    def revise(self, task: Reservation) -> None:
        """Replace the reservation of a task that a command has changed."""
        self._revisions[task.ordinal] = task.revision
        self._await_end(task)

    def _await_end(self, task: Reservation) -> None:
        if task.held_ms is None:
            due = (task.ends_ms, task.ordinal, task.revision, task.reserved_ucr, task.spends_ucr, task.id)
            heappush(self._due, due)

    def settle(self, now_ms: int) -> None:
        """Book every task that has ended by now."""
        due = self._due
        while due and due[0][0] <= now_ms:
            ends_ms, ordinal, revision, reserved_ucr, spent_ucr, task_id = heappop(due)
            if self._revisions and self._revisions.get(ordinal, 0) != revision:
                continue
            self._running -= 1
            self.reserved_ucr -= reserved_ucr
            self.spent_ucr += spent_ucr
            if spent_ucr:
                self.ledger.append(Entry(ends_ms, "settle", spent_ucr, task_id))
            if spent_ucr < reserved_ucr:
                self.ledger.append(Entry(ends_ms, "refund", reserved_ucr - spent_ucr, task_id))

    def running_tasks(self, now_ms: int) -> int:
        """Return the number of tasks that have not ended."""
        self.settle(now_ms)
        return self._running

    def next_end_ms(self) -> int | None:
        """Return when the next running task ends; None where no task is due."""
        due = self._due
        while due and self._revisions.get(due[0][1], 0) != due[0][2]:
            heappop(due)
        return due[0][0] if due else None
