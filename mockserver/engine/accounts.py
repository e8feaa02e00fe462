"""Accounts and their ledger: reserve at submit, settle at the end, refund what was not used.

The invariant, at every instant: granted = available + reserved + spent, and all four are at least 0.
Settlement is lazy: before a balance is read, `settle` books every task that has ended by then, in the order in
which they ended. So the balance is a function of mock time, without timers.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Literal, NamedTuple

from mockserver.engine.limits import RateLog
from mockserver.provider import Plan

Kind = Literal["grant", "reserve", "settle", "refund", "charge"]


class Entry(NamedTuple):
    """A line of the ledger. `settle` spends reserved credits; `refund` makes the rest available again."""

    at_ms: int
    kind: Kind
    amount_ucr: int
    task_id: str | None


class Reservation(NamedTuple):
    """The credits that a task holds, and when they settle. A higher revision replaces the ones before it."""

    ends_ms: int
    #: The number of the task in its account.
    ordinal: int
    revision: int
    task_id: str
    reserved_ucr: int
    #: How much of it is spent when the task ends.
    spends_ucr: int


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
        self._due: list[Reservation] = []
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

    def change_secret(self, secret: str) -> None:
        """Change the secret that signs callbacks; the old one is kept as `previous_secret`."""
        self.previous_secret, self.secret = self.secret, secret

    def charge(self, amount_ucr: int, now_ms: int) -> None:
        """Spend credits at once, without a task; at most what is available."""
        amount_ucr = min(amount_ucr, self.available_ucr)
        self.spent_ucr += amount_ucr
        self.ledger.append(Entry(now_ms, "charge", amount_ucr, None))

    def open(self, reservation: Reservation, now_ms: int, *, held: bool = False) -> None:
        """Reserve the credits of a new task, and count it as running; a held task does not settle."""
        self.reserved_ucr += reservation.reserved_ucr
        self.tasks.append(reservation.task_id)
        self.ledger.append(Entry(now_ms, "reserve", reservation.reserved_ucr, reservation.task_id))
        self._running += 1
        if not held:
            heappush(self._due, reservation)

    def revise(self, reservation: Reservation, *, held: bool = False) -> None:
        """Replace the reservation of a task that a command has changed."""
        self._revisions[reservation.ordinal] = reservation.revision
        if not held:
            heappush(self._due, reservation)

    def settle(self, now_ms: int) -> None:
        """Book every task that has ended by now."""
        due = self._due
        while due and due[0].ends_ms <= now_ms:
            ends_ms, ordinal, revision, task_id, reserved_ucr, spends_ucr = heappop(due)
            if self._revisions and self._revisions.get(ordinal, 0) != revision:
                continue
            self._running -= 1
            self.reserved_ucr -= reserved_ucr
            self.spent_ucr += spends_ucr
            if spends_ucr:
                self.ledger.append(Entry(ends_ms, "settle", spends_ucr, task_id))
            if spends_ucr < reserved_ucr:
                self.ledger.append(Entry(ends_ms, "refund", reserved_ucr - spends_ucr, task_id))

    def running_tasks(self, now_ms: int) -> int:
        """Return the number of tasks that have not ended."""
        self.settle(now_ms)
        return self._running

    def next_end_ms(self) -> int | None:
        """Return when the next running task ends; None where no task is due."""
        due = self._due
        while due and self._revisions.get(due[0].ordinal, 0) != due[0].revision:
            heappop(due)
        return due[0].ends_ms if due else None
