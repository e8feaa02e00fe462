"""The server in your own process, for tests.

    async with MockServer() as mock:                 with MockServer() as mock:
        client = Client(mock.url("evolink"))             client = Client(mock.url("evolink"))
        task_id = await client.submit("a kite")          task_id = client.submit("a kite")
        await mock.clock.advance(90)                     mock.clock.advance(90)

Both listen on a real, free port. Without `async` the server lives in a thread of its own and every call
waits; with it, calls that may deliver callbacks are awaited. The clock is manual unless you say otherwise,
so that nothing in a test has to wait.
"""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from mockserver.clock import iso_of
from mockserver.edge.runtime import receivers_tls
from mockserver.edge.server import Server
from mockserver.engine.task import status_at
from mockserver.provider import UCR
from mockserver.settings import ConfigError, ProviderSettings, Settings, checked
from mockserver.spec.catalog import load_providers
from mockserver.testing.provider_handle import ProviderHandle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
    from types import TracebackType

    from mockserver.edge.dispatcher import Report
    from mockserver.edge.runtime import Runtime
    from mockserver.engine.accounts import Account
    from mockserver.engine.commands import Command
    from mockserver.engine.state import ProviderState
    from mockserver.provider import Provider
    from mockserver.testing.provider_handle import Perform

T = TypeVar("T")
_STOP_WITHIN_S = 10.0


class MockServer:
    """A mock server for `with` or `async with`.

    Args:
        specs: spec files of your own (or one of them), beside the built-in ones.
        providers: settings by provider, such as ``{"evolink": {"failure_rate": 0.1}}``.
        settings: any setting of the command line by its name: `seed`, `clock`, `speed`, `only`,
            `credits`, `callback_targets`, `port`, …

    Raises:
        ConfigError: a setting means nothing.
        SpecError: a spec cannot be served.
    """

    def __init__(
        self,
        *,
        specs: Iterable[str | Path] | str | Path = (),
        providers: Mapping[str, Mapping[str, Any]] | None = None,
        **settings: Any,
    ) -> None:
        raw: dict[str, Any] = {"port": 0, "clock": "manual", **settings}
        if providers is not None:
            raw["providers"] = {
                name: {key: list(value) if isinstance(value, tuple) else value for key, value in each.items()}
                for name, each in providers.items()
            }
        known = [name for name in Settings.__dataclass_fields__ if name != "spec"]
        given = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in raw.items()}
        values = checked({name: value for name, value in given.items() if value is not None}, known)
        files = [specs] if isinstance(specs, str | os.PathLike) else specs
        self._settings = replace(Settings(**values), spec=tuple(str(file) for file in files))
        self._running: AsyncRunningServer | None = None
        self._thread: _Thread | None = None

    async def __aenter__(self) -> AsyncRunningServer:
        """Start in the running event loop."""
        self._running = await _start(self._settings)
        return self._running

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        if self._running is not None:
            await self._running.server.close()

    def __enter__(self) -> RunningServer:
        """Start in a thread of its own."""
        self._thread = _Thread()
        try:
            running = self._thread.request(_start(self._settings))
        except BaseException:
            self._thread.stop()
            raise
        self._running = running
        return RunningServer(running, self._thread)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and end the thread."""
        assert self._thread is not None
        try:
            if self._running is not None:
                self._thread.request(self._running.server.close())
        finally:
            self._thread.stop()


async def _start(settings: Settings) -> AsyncRunningServer:
    return AsyncRunningServer(await Server.start(settings, providers_of(settings)))


def providers_of(settings: Settings) -> list[Provider]:
    """Load the providers that settings describe, and check the settings against them.

    Raises:
        ConfigError: a setting does not fit the providers.
        SpecError: a spec cannot be served.
    """
    dialects = {name: each.dialects for name, each in settings.providers.items() if each.dialects}
    providers = load_providers(settings.spec, builtin=settings.builtin, dialects=dialects, only=settings.only)
    known = {provider.name: provider for provider in providers}
    for name, each in settings.providers.items():
        if settings.only is not None and name != settings.only:
            continue
        _check_provider(name, each, known)
    _check_files(settings)
    return providers


def _check_provider(name: str, settings: ProviderSettings, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise ConfigError(f"providers.{name}: there is no such provider; there are {', '.join(known)}")
    if settings.plan is not None and settings.plan not in known[name].plans:
        plans = ", ".join(known[name].plans)
        raise ConfigError(f"providers.{name}.plan: there is no plan {settings.plan!r}; there are {plans}")


def _check_files(settings: Settings) -> None:
    """See whether the files that settings name can be used, before anything listens."""
    if settings.watch and settings.scenario is None:
        raise ConfigError("watch: there is no scenario's file to watch; `scenario` names one")
    try:
        receivers_tls(settings.callback_ca)
    except OSError as error:
        what = error.strerror or "it holds no certificates"
        raise ConfigError(f"callback_ca {settings.callback_ca}: cannot be read as a CA file: {what}") from None
    if settings.journal is not None:
        try:
            Path(settings.journal).open("ab").close()
        except OSError as error:
            raise ConfigError(f"journal {settings.journal}: cannot be written: {error.strerror}") from None


class _Thread:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mockserver", daemon=True)
        self._thread.start()

    def request(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def perform(self, work: Callable[[], T]) -> T:
        """Run something between two turns of the loop; just so when the loop has ended."""
        if not self._thread.is_alive():
            return work()

        async def perform() -> T:
            return work()

        return self.request(perform())

    def stop(self) -> None:
        self.request(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_WITHIN_S)
        self._loop.close()


class _Common:
    """What needs no waiting, and is the same with and without `async`; about one world of the server."""

    def __init__(self, server: Server, session: str | None = None) -> None:
        self.server = server
        self._session = session

    @property
    def runtime(self) -> Runtime:
        """The world, with its clock, journal and courier."""
        return self.server.runtime if self._session is None else self.server.sessions.get(self._session)

    def url(self, provider: str) -> str:
        """Return the address under which a provider's paths begin.

        Raises:
            KeyError: the provider is not served.
        """
        self._state(provider)
        return self.runtime.base_urls[provider]

    def key(self, provider: str) -> str:
        """Return an API key that works."""
        return self._state(provider).provider.key.example

    @property
    def admin_url(self) -> str:
        """Address of the control plane of this world."""
        return f"{self.server.root_url}{'' if self._session is None else f'/~{self._session}'}/__admin"

    def provider(self, name: str) -> ProviderHandle:
        """Return a provider, to be told what is to go wrong; also as `mock.NAME`.

        Raises:
            KeyError: the provider is not served.
        """
        self._state(name)
        return ProviderHandle(self.runtime, name, self._perform)

    def __getattr__(self, name: str) -> ProviderHandle:
        """Return the provider of this name."""
        if name.startswith("_") or name == "server":  # of an object that is only being made, as by copy
            raise AttributeError(name)
        if name in self.runtime.world.providers:
            return self.provider(name)
        raise AttributeError(f"there is no {name!r} here; the providers are {', '.join(self.runtime.world.providers)}")

    def _perform(self, work: Callable[[], T]) -> T:
        """Run something where the server's state may be touched."""
        return work()

    def _state(self, provider: str) -> ProviderState:
        try:
            return self.runtime.world.providers[provider]
        except KeyError:
            known = ", ".join(self.runtime.world.providers)
            raise KeyError(f"{provider!r} is not served; there are {known}") from None

    @property
    def journal(self) -> JournalView:
        """What went over the wire so far."""
        return JournalView(self.runtime, self._perform)

    def account(self, provider: str, key: str | None = None) -> AccountView:
        """Return the account of a key (of the key that works, where none is named)."""
        state, runtime = self._state(provider), self.runtime
        account = self._perform(lambda: state.account(key or state.provider.key.example, runtime.clock.now_ms()))
        return AccountView(runtime, state, account, self._perform)


class JournalView:
    """The journal as a sequence of records (see specs/journal.schema.json)."""

    def __init__(self, runtime: Runtime, perform: Perform) -> None:
        self._runtime = runtime
        self._perform = perform

    def find(self, **wanted: str | int | None) -> list[dict[str, Any]]:
        """Return the records that agree with every word: kind, provider, operation, task, status and so on."""
        found: list[dict[str, Any]] = self._perform(lambda: list(self._runtime.journal.records(**wanted)))
        return found

    def count(self, **wanted: str | int | None) -> int:
        """Count them."""
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
    """An account: what it holds, and what it may."""

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
        available_ucr: int = self._perform(self._available_ucr)
        return available_ucr / UCR

    @available_credits.setter
    def available_credits(self, credits_left: float) -> None:
        wanted_ucr = round(credits_left * UCR)

        def change() -> None:
            missing_ucr = wanted_ucr - self._available_ucr()
            self._account.grant(missing_ucr, self._runtime.clock.now_ms())

        self._perform(change)

    def _available_ucr(self) -> int:
        self._account.settle(self._runtime.clock.now_ms())
        return self._account.available_ucr

    @property
    def plan(self) -> str:
        """Name of the plan."""
        return self._account.plan.name

    @plan.setter
    def plan(self, name: str) -> None:
        self._account.plan = self._state.provider.plans[name]

    def set_secret(self, secret: str) -> None:
        """Set what signs this account's callbacks from now on."""
        self._perform(lambda: self._account.change_secret(secret))

    def revoke(self) -> None:
        """Let the key be refused from now on."""
        self._account.revoked = True


class _TaskFacts:
    def __init__(self, runtime: Runtime, task_id: str) -> None:
        self._runtime = runtime
        self.id = task_id
        runtime.world.find_task(task_id)

    @property
    def status(self) -> str:
        """How the task stands now, in the provider's own word."""
        return self._standing()[0]

    @property
    def progress(self) -> int:
        """Percent."""
        return self._standing()[1]

    def _standing(self) -> tuple[str, int, bool]:
        _, task = self._runtime.world.find_task(self.id)
        return status_at(task, self._runtime.clock.now_ms())


class AsyncTask(_TaskFacts):
    """A task, to be steered."""

    async def _command(self, command: Command, reason: str | None = None) -> None:
        await self._runtime.command(self.id, command, reason)

    async def hold(self) -> None:
        """Keep it as it stands."""
        await self._command("hold")

    async def release(self) -> None:
        """Let it go on."""
        await self._command("release")

    async def complete(self) -> None:
        """Let it succeed now; returns when the callback has been attempted."""
        await self._command("complete")

    async def fail(self, reason: str | None = None) -> None:
        """Let it fail now, for one of the provider's reasons."""
        await self._command("fail", reason)

    async def cancel(self) -> None:
        """Cancel it now, where the provider knows that."""
        await self._command("cancel")


class AsyncClock:
    """Mock time."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self._runtime.clock.now_ms()

    @property
    def now(self) -> str:
        """ISO 8601, UTC."""
        return iso_of(self.now_ms)

    async def advance(self, seconds: float) -> Report:
        """Move on; returns when all that fell due has been done, callbacks and retries included."""
        return await self._runtime.advance_to(self.now_ms + round(seconds * 1000))


class AsyncRunningServer(_Common):
    """A running server, inside `async with`."""

    @property
    def clock(self) -> AsyncClock:
        """Mock time."""
        return AsyncClock(self.runtime)

    def task(self, task_id: str) -> AsyncTask:
        """Return a task of any provider.

        Raises:
            KeyError: there is none with this id.
        """
        return AsyncTask(self.runtime, task_id)

    async def reset(self) -> None:
        """Start over: no tasks, no accounts, no faults, an empty journal."""
        await self.runtime.reset()

    def session(self, name: str) -> AsyncRunningServer:
        """Return another world of the same server, made now if there is none of this name.

        Raises:
            SessionError: the name is none, or there are too many sessions.
        """
        self.server.sessions.get(name)
        return AsyncRunningServer(self.server, name)

    async def drop(self) -> None:
        """End this session; the nameless world starts over."""
        if self._session is None:
            await self.reset()
        elif self.server.sessions.known(self._session) is not None:
            await self.server.sessions.drop(self._session)


class Task(_TaskFacts):
    """A task, to be steered."""

    def __init__(self, inner: AsyncTask, request: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        super().__init__(inner._runtime, inner.id)  # noqa: SLF001 - two faces of one thing
        self._inner = inner
        self._call = request

    def hold(self) -> None:
        """Keep it as it stands."""
        self._call(self._inner.hold())

    def release(self) -> None:
        """Let it go on."""
        self._call(self._inner.release())

    def complete(self) -> None:
        """Let it succeed now; returns when the callback has been attempted."""
        self._call(self._inner.complete())

    def fail(self, reason: str | None = None) -> None:
        """Let it fail now, for one of the provider's reasons."""
        self._call(self._inner.fail(reason))

    def cancel(self) -> None:
        """Cancel it now, where the provider knows that."""
        self._call(self._inner.cancel())


class Clock(AsyncClock):
    """Mock time."""

    def __init__(self, runtime: Runtime, request: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        super().__init__(runtime)
        self._call = request

    def advance(self, seconds: float) -> Report:  # type: ignore[override]  # the same, waited for
        """Move on; returns when all that fell due has been done, callbacks and retries included."""
        report: Report = self._call(super().advance(seconds))
        return report


class RunningServer(_Common):
    """A running server, inside `with`."""

    def __init__(self, inner: AsyncRunningServer, thread: _Thread) -> None:
        super().__init__(inner.server, inner._session)  # noqa: SLF001 - two faces of one thing
        self._inner = inner
        self._thread = thread
        self._call = thread.request

    @property
    def runtime(self) -> Runtime:
        """The world, with its clock, journal and courier; a session that was dropped is made anew."""
        return self._perform(lambda: self._inner.runtime)

    def _perform(self, work: Callable[[], T]) -> T:
        """Run something in the server's own thread."""
        return self._thread.perform(work)

    @property
    def clock(self) -> Clock:
        """Mock time."""
        return Clock(self.runtime, self._call)

    def task(self, task_id: str) -> Task:
        """Return a task of any provider.

        Raises:
            KeyError: there is none with this id.
        """
        return Task(self._inner.task(task_id), self._call)

    def reset(self) -> Self:
        """Start over: no tasks, no accounts, no faults, an empty journal."""
        self._call(self._inner.reset())
        return self

    def session(self, name: str) -> RunningServer:
        """Return another world of the same server, made now if there is none of this name.

        Raises:
            SessionError: the name is none, or there are too many sessions.
        """
        return RunningServer(self._perform(lambda: self._inner.session(name)), self._thread)

    def drop(self) -> None:
        """End this session; the nameless world starts over."""
        self._call(self._inner.drop())
