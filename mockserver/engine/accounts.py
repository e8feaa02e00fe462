"""Accounts and their ledger: reserve at submit, settle at the end, give back what was not used.

The law, at every instant: granted = available + reserved + spent, and none of them is negative.
Settling is lazy: whoever looks at an account first lets everything settle that has ended by then, in
the order in which it ended, so that the balance is a function of mock time although nothing ticks.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Literal, NamedTuple

from mockserver.engine.limits import RateLog

if TYPE_CHECKING:
    from mockserver.engine.task import Task
    from mockserver.provider import Plan

Kind = Literal["grant", "reserve", "settle", "refund", "charge"]


class Entry(NamedTuple):
    """A line of the ledger. `settle` spends out of what was reserved; `refund` gives the rest back."""

    at_ms: int
    kind: Kind
    amount_ucr: int
    task_id: str | None


class Account:
    """One API key's account at one provider. Money is in micro-credits."""

    __slots__ = (
        "_due",
        "_revisions",
        "_running",
        "granted_ucr",
        "id",
        "key",
        "ledger",
        "plan",
        "previous_secret",
        "rate",
        "request_base",
        "requests",
        "reserved_ucr",
        "revoked",
        "secret",
        "spent_ucr",
        "tasks",
    )

    def __init__(self, account_id: str, key: str, plan: Plan, secret: str | None) -> None:
        self.id: str = account_id
        self.key: str = key
        self.plan: Plan = plan
        self.secret: str | None = secret
        self.previous_secret: str | None = None
        self.revoked = False
        self.rate = RateLog()
        self.requests = 0
        self.request_base = 0
        self.tasks: list[str] = []
        self.granted_ucr: int = 0
        self.reserved_ucr: int = 0
        self.spent_ucr: int = 0
        self.ledger: list[Entry] = []
        self._running = 0
        self._due: list[tuple[int, int, int, Task]] = []
        self._revisions: dict[int, int] = {}

    @property
    def available_ucr(self) -> int:
        """What can still be reserved."""
        return self.granted_ucr - self.reserved_ucr - self.spent_ucr

    def grant(self, amount_ucr: int, now_ms: int) -> None:
        """Add credits, or with a negative amount take available ones away.

        Raises:
            ValueError: more was to be taken than is available.
        """
        if amount_ucr < -self.available_ucr:
            raise ValueError("an account cannot hold less than nothing: some credits are reserved or spent")
        self.granted_ucr += amount_ucr
        self.ledger.append(Entry(now_ms, "grant", amount_ucr, None))

    def change_secret(self, secret: str) -> None:
        """Sign callbacks with another secret from now on."""
        self.previous_secret, self.secret = self.secret, secret

    def charge(self, amount_ucr: int, now_ms: int) -> None:
        """Spend at once, without a task, as far as the credits go."""
        amount_ucr = min(amount_ucr, self.available_ucr)
        self.spent_ucr += amount_ucr
        self.ledger.append(Entry(now_ms, "charge", amount_ucr, None))

    def open(self, task: Task) -> None:
        """Take a new task on: its credits are reserved, its place among the running ones is taken."""
        self.reserved_ucr += task.reserved_ucr
        self.tasks.append(task.id)
        self.ledger.append(Entry(task.submitted_ms, "reserve", task.reserved_ucr, task.id))
        self._running += 1
        if task.held_ms is None:
            heappush(self._due, (task.ends_ms, task.ordinal, task.revision, task))

    def replaced(self, new: Task) -> None:
        """A command changed a task that had not ended; what was booked to happen to it is void."""
        self._revisions[new.ordinal] = new.revision
        if new.held_ms is None:
            heappush(self._due, (new.ends_ms, new.ordinal, new.revision, new))

    def settle(self, now_ms: int) -> None:
        """Book everything that has ended by now."""
        due = self._due
        while due and due[0][0] <= now_ms:
            _, ordinal, revision, task = heappop(due)
            if self._revisions and self._revisions.get(ordinal, 0) != revision:
                continue
            self._running -= 1
            self.reserved_ucr -= task.reserved_ucr
            spent_ucr = task.spends_ucr
            self.spent_ucr += spent_ucr
            if spent_ucr:
                self.ledger.append(Entry(task.ends_ms, "settle", spent_ucr, task.id))
            if spent_ucr < task.reserved_ucr:
                self.ledger.append(Entry(task.ends_ms, "refund", task.reserved_ucr - spent_ucr, task.id))

    def running_tasks(self, now_ms: int) -> int:
        """Return how many tasks have not ended."""
        self.settle(now_ms)
        return self._running

    def next_end_ms(self) -> int | None:
        """Return when the next running task ends; None when none is due to."""
        due = self._due
        while due and self._revisions.get(due[0][1], 0) != due[0][2]:
            heappop(due)
        return due[0][0] if due else None
