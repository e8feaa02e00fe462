"""What a test sees of a running server: its journal, accounts, tasks and clock.

Tasks and clocks come in two forms that differ in one function, `run`, which is given the coroutine of a command:
it returns the coroutine, to be awaited, or runs it in the server's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Generic, TypeVar

from mockserver.clock import iso_of
from mockserver.edge.account_changes import apply_changes
from mockserver.edge.dispatcher import Report
from mockserver.edge.runtime import Runtime
from mockserver.engine.accounts import Account
from mockserver.engine.commands import Command
from mockserver.engine.state import ProviderState
from mockserver.engine.task import TaskStatus, status_at
from mockserver.provider import UCR
from mockserver.testing.provider_handle import Perform


class JournalView:
    """The journal, as a sequence of records (specs/journal.schema.json)."""

    def __init__(self, runtime: Runtime, perform: Perform) -> None:
        self._runtime = runtime
        self._perform = perform

    def find(self, **wanted: str | int | None) -> list[dict[str, Any]]:
        """Return the records that match every filter: kind, provider, operation, status and so on."""
        found: list[dict[str, Any]] = self._perform(lambda: list(self._runtime.journal.records(**wanted)))
        return found

    def count(self, **wanted: str | int | None) -> int:
        """Count the records that match every filter."""
        return len(self.find(**wanted))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.find())

    def __len__(self) -> int:
        return len(self._runtime.journal)

    def ndjson(self) -> bytes:
        """Return the journal as NDJSON."""
        written: bytes = self._perform(self._runtime.journal.ndjson)
        return written


class AccountView:
    """An account: credits, plan, key and secret."""

    def __init__(self, runtime: Runtime, state: ProviderState, account: Account, perform: Perform) -> None:
        self._runtime = runtime
        self._state = state
        self._account = account
        self._perform = perform

    @property
    def id(self) -> str:
        """The public id."""
        return self._account.id

    @property
    def key(self) -> str:
        """The key, as it is now."""
        return self._account.key

    @property
    def available_credits(self) -> float:
        """Credits that can be spent."""

        def available_ucr() -> int:
            self._account.settle(self._runtime.clock.now_ms())
            return self._account.available_ucr

        found: int = self._perform(available_ucr)
        return found / UCR

    @available_credits.setter
    def available_credits(self, credits_left: float) -> None:
        self._change(available_credits=credits_left)

    @property
    def plan(self) -> str:
        """Name of the plan."""
        return self._account.plan.name

    @plan.setter
    def plan(self, name: str) -> None:
        self._change(plan=name)

    def set_secret(self, secret: str) -> None:
        """Set the secret that signs the callbacks of this account from now on."""
        self._change(secret=secret)

    def set_webhook(self, url: str | None, events: Sequence[str] | None = None) -> None:
        """Set where the callbacks of tasks go that are submitted from now on without an address, and which events."""
        self._change(webhook_url=url, webhook_events=events)

    def revoke(self) -> None:
        """Revoke the key."""
        self._change(revoked=True)

    def rotate_key(self) -> str:
        """Replace the key and return the new one; the old one is refused from now on, the account stays as it is.

        Raises:
            NoKeyFormatError: the spec does not say what keys look like.
        """
        key: str = self._perform(lambda: self._state.rotate_key(self._account))
        return key

    def _change(self, **changes: Any) -> None:
        now_ms = self._runtime.clock.now_ms
        self._perform(lambda: apply_changes(self._state, self._account, changes, now_ms()))


#: Takes the coroutine of a command: returns it, or its result.
Run = Callable[[Coroutine[Any, Any, Any]], Any]
Done = TypeVar("Done")
Moved = TypeVar("Moved")


class _Task(Generic[Done]):
    """A task as it is now, and its commands."""

    def __init__(self, runtime: Runtime, task_id: str, run: Run) -> None:
        self._runtime = runtime
        self._run = run
        self.id = task_id
        runtime.world.find_task(task_id)

    @property
    def status(self) -> str:
        """The current status, in the provider's own term."""
        return self._status().status

    @property
    def progress(self) -> int:
        """Percent."""
        return self._status().progress

    def _status(self) -> TaskStatus:
        return status_at(self._runtime.world.find_task(self.id)[1], self._runtime.clock.now_ms())

    def _command(self, command: Command, reason: str | None = None) -> Done:
        async def perform() -> None:
            await self._runtime.command(self.id, command, reason)

        done: Done = self._run(perform())
        return done

    def hold(self) -> Done:
        """Hold the task in its state."""
        return self._command("hold")

    def release(self) -> Done:
        """Release the held task."""
        return self._command("release")

    def complete(self) -> Done:
        """Complete the task now; return when its callback has been attempted."""
        return self._command("complete")

    def fail(self, reason: str | None = None) -> Done:
        """Fail the task now, for one of the provider's reasons."""
        return self._command("fail", reason)

    def cancel(self) -> Done:
        """Cancel the task now, if the provider has a cancelled state."""
        return self._command("cancel")


class Task(_Task[None]):
    """A task of a server in a thread: commands block."""


class AsyncTask(_Task[Coroutine[Any, Any, None]]):
    """A task of an async server: await its commands."""


class _Clock(Generic[Moved]):
    """The clock of a server."""

    def __init__(self, runtime: Runtime, run: Run) -> None:
        self._runtime = runtime
        self._run = run

    @property
    def now_ms(self) -> int:
        """Mock time in milliseconds since 1970."""
        return self._runtime.clock.now_ms()

    @property
    def now(self) -> str:
        """Mock time as ISO 8601, in UTC."""
        return iso_of(self.now_ms)

    def advance(self, seconds: float) -> Moved:
        """Advance; return when every callback that fell due has been attempted, retries included."""

        async def perform() -> Report:
            return await self._runtime.advance_to(self.now_ms + round(seconds * 1000))

        report: Moved = self._run(perform())
        return report


class Clock(_Clock[Report]):
    """The clock of a server in a thread: `advance` blocks."""


class AsyncClock(_Clock[Coroutine[Any, Any, Report]]):
    """The clock of an async server: await `advance`."""
