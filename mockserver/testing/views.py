"""What a test sees of a running server: its journal, accounts, tasks and clock.

Tasks and clocks come in two forms: with `async`, commands are awaited; without, they block.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from mockserver.clock import iso_of
from mockserver.edge.account_changes import change_account
from mockserver.edge.dispatcher import Report
from mockserver.edge.runtime import Runtime
from mockserver.engine.accounts import Account
from mockserver.engine.commands import Command
from mockserver.engine.state import ProviderState
from mockserver.engine.task import status_at
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

    def revoke(self) -> None:
        """Revoke the key."""
        self._change(revoked=True)

    def _change(self, **changes: Any) -> None:
        now_ms = self._runtime.clock.now_ms
        self._perform(lambda: change_account(self._state, self._account, changes, now_ms()))


class _TaskView:
    """A task as it is now."""

    def __init__(self, runtime: Runtime, task_id: str) -> None:
        self._runtime = runtime
        self.id = task_id
        runtime.world.find_task(task_id)

    @property
    def status(self) -> str:
        """The status now, in the provider's own word."""
        return self._status()[0]

    @property
    def progress(self) -> int:
        """Percent."""
        return self._status()[1]

    def _status(self) -> tuple[str, int, bool]:
        _, task = self._runtime.world.find_task(self.id)
        return status_at(task, self._runtime.clock.now_ms())


class AsyncTask(_TaskView):
    """A task of an async server, and its commands."""

    async def _command(self, command: Command, reason: str | None = None) -> None:
        await self._runtime.command(self.id, command, reason)

    async def hold(self) -> None:
        """Hold the task in its state."""
        await self._command("hold")

    async def release(self) -> None:
        """Release the held task."""
        await self._command("release")

    async def complete(self) -> None:
        """Complete the task now; return when its callback has been attempted."""
        await self._command("complete")

    async def fail(self, reason: str | None = None) -> None:
        """Fail the task now, for one of the provider's reasons."""
        await self._command("fail", reason)

    async def cancel(self) -> None:
        """Cancel the task now, if the provider has a cancelled state."""
        await self._command("cancel")


class AsyncClock:
    """The clock of an async server."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def now_ms(self) -> int:
        """Mock time in milliseconds since 1970."""
        return self._runtime.clock.now_ms()

    @property
    def now(self) -> str:
        """Mock time as ISO 8601, in UTC."""
        return iso_of(self.now_ms)

    async def advance(self, seconds: float) -> Report:
        """Advance; return when every callback that fell due has been attempted, retries included."""
        return await self._runtime.advance_to(self.now_ms + round(seconds * 1000))


class Task(_TaskView):
    """A task, and its commands."""

    def __init__(self, inner: AsyncTask, request: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        super().__init__(inner._runtime, inner.id)  # noqa: SLF001 - both views show the same task
        self._inner = inner
        self._call = request

    def hold(self) -> None:
        """Hold the task in its state."""
        self._call(self._inner.hold())

    def release(self) -> None:
        """Release the held task."""
        self._call(self._inner.release())

    def complete(self) -> None:
        """Complete the task now; return when its callback has been attempted."""
        self._call(self._inner.complete())

    def fail(self, reason: str | None = None) -> None:
        """Fail the task now, for one of the provider's reasons."""
        self._call(self._inner.fail(reason))

    def cancel(self) -> None:
        """Cancel the task now, if the provider has a cancelled state."""
        self._call(self._inner.cancel())


class Clock(AsyncClock):
    """The clock of a server."""

    def __init__(self, runtime: Runtime, request: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        super().__init__(runtime)
        self._call = request

    def advance(self, seconds: float) -> Report:  # type: ignore[override]  # the same, waited for
        """Advance; return when every callback that fell due has been attempted, retries included."""
        report: Report = self._call(super().advance(seconds))
        return report
