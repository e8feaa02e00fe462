"""The server in your own process, for tests.

    async with MockServer() as mock:                 with MockServer() as mock:
        client = Client(mock.url("evolink"))             client = Client(mock.url("evolink"))
        task_id = await client.submit("a kite")          task_id = client.submit("a kite")
        await mock.clock.advance(90)                     mock.clock.advance(90)

Both listen on a free port. Without `async` the server runs in a thread and every call blocks; with it, calls
that may deliver callbacks are awaited. The clock is manual by default, so that a test never waits.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from mockserver.edge.build import start_server
from mockserver.edge.runtime import Runtime
from mockserver.edge.server import Server
from mockserver.engine.state import ProviderState
from mockserver.settings import Settings, checked
from mockserver.testing.provider_handle import ProviderHandle
from mockserver.testing.views import AccountView, AsyncClock, AsyncTask, Clock, JournalView, Task

T = TypeVar("T")
_STOP_WITHIN_S = 10.0


class MockServer:
    """A mock server, for `with` or `async with`.

    Args:
        specs: one or more spec files to serve beside the built-in ones.
        providers: settings by provider, such as ``{"evolink": {"failure_rate": 0.1}}``.
        settings: any setting of the command line by its name: `seed`, `clock`, `speed`, `only`,
            `credits`, `callback_targets`, `port`, …

    Raises:
        ConfigError: a setting is unknown or invalid.
        SpecError: a spec is invalid.
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
        self._async_exit = AsyncExitStack()
        self._exit = ExitStack()

    async def __aenter__(self) -> AsyncRunningServer:
        """Start in the running event loop."""
        running = await _start(self._settings)
        self._async_exit.push_async_callback(running.server.close)
        return running

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self._async_exit.aclose()

    def __enter__(self) -> RunningServer:
        """Start in a thread."""
        with ExitStack() as stack:
            thread = _Thread()
            stack.callback(thread.stop)
            running = thread.request(_start(self._settings))
            stack.callback(lambda: thread.request(running.server.close()))
            self._exit.push(stack.pop_all())
        return RunningServer(running, thread)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and end the thread."""
        self._exit.close()


async def _start(settings: Settings) -> AsyncRunningServer:
    server = await start_server(settings)
    return AsyncRunningServer(server)


class _Thread:
    """A running event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mockserver", daemon=True)
        self._thread.start()

    def request(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop; wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def perform(self, work: Callable[[], T]) -> T:
        """Run a function in the loop; directly, if the loop has ended."""
        if not self._thread.is_alive():
            return work()

        async def perform() -> T:
            return work()

        return self.request(perform())

    def stop(self) -> None:
        """Stop the loop and join the thread."""
        self.request(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_WITHIN_S)
        self._loop.close()


class _Server:
    """One session of a running server: what is the same with and without `async`."""

    def __init__(self, server: Server, session: str | None = None) -> None:
        self.server = server
        self._session = session

    @property
    def runtime(self) -> Runtime:
        """The state of this session: engine, clock, journal, dispatcher."""
        return self.server.runtime if self._session is None else self.server.sessions.get(self._session)

    def url(self, provider: str) -> str:
        """Return the address under which a provider's paths begin.

        Raises:
            KeyError: the provider is not served.
        """
        self._state(provider)
        return self.runtime.base_urls[provider]

    def key(self, provider: str) -> str:
        """Return a valid API key."""
        return self._state(provider).provider.key.example

    @property
    def admin_url(self) -> str:
        """Address of the control plane of this session."""
        return f"{self.server.root_url}{'' if self._session is None else f'/~{self._session}'}/__admin"

    def provider(self, name: str) -> ProviderHandle:
        """Return the handle of a provider, which injects faults; `mock.NAME` is the same.

        Raises:
            KeyError: the provider is not served.
        """
        self._state(name)
        return ProviderHandle(self.runtime, name, self._perform)

    def __getattr__(self, name: str) -> ProviderHandle:
        """Return the provider of this name."""
        if name.startswith("_") or name == "server":  # before __init__, as copy does
            raise AttributeError(name)
        if name in self.runtime.world.providers:
            return self.provider(name)
        raise AttributeError(f"no attribute or provider {name!r}; providers: {', '.join(self.runtime.world.providers)}")

    def _perform(self, work: Callable[[], T]) -> T:
        """Run a function where the server's state may be changed."""
        return work()

    def _state(self, provider: str) -> ProviderState:
        try:
            return self.runtime.world.providers[provider]
        except KeyError:
            known = ", ".join(self.runtime.world.providers)
            raise KeyError(f"{provider!r} is not served; served: {known}") from None

    @property
    def journal(self) -> JournalView:
        """The journal of this session."""
        return JournalView(self.runtime, self._perform)

    def account(self, provider: str, key: str | None = None) -> AccountView:
        """Return the account of a key (default: of `key(provider)`)."""
        state, runtime = self._state(provider), self.runtime
        account = self._perform(lambda: state.account(key or state.provider.key.example, runtime.clock.now_ms()))
        return AccountView(runtime, state, account, self._perform)


class AsyncRunningServer(_Server):
    """A running server, inside `async with`."""

    @property
    def clock(self) -> AsyncClock:
        """The clock of this session."""
        return AsyncClock(self.runtime)

    def task(self, task_id: str) -> AsyncTask:
        """Return a task of any provider.

        Raises:
            KeyError: no task has this id.
        """
        return AsyncTask(self.runtime, task_id)

    async def reset(self) -> None:
        """Reset: no tasks, accounts or faults, an empty journal."""
        await self.runtime.reset()

    def session(self, name: str) -> AsyncRunningServer:
        """Return a session of the same server; create it if it does not exist.

        Raises:
            SessionError: the name is invalid, or there are too many sessions.
        """
        self.server.sessions.get(name)
        return AsyncRunningServer(self.server, name)

    async def drop(self) -> None:
        """Drop this session; the default session is reset instead."""
        if self._session is None:
            await self.reset()
        elif self.server.sessions.known(self._session) is not None:
            await self.server.sessions.drop(self._session)


class RunningServer(_Server):
    """A running server, inside `with`."""

    def __init__(self, inner: AsyncRunningServer, thread: _Thread) -> None:
        super().__init__(inner.server, inner._session)  # noqa: SLF001 - both views show the same server
        self._inner = inner
        self._thread = thread
        self._call = thread.request

    @property
    def runtime(self) -> Runtime:
        """The state of this session; a dropped session is created again."""
        return self._perform(lambda: self._inner.runtime)

    def _perform(self, work: Callable[[], T]) -> T:
        """Run a function in the thread of the server."""
        return self._thread.perform(work)

    @property
    def clock(self) -> Clock:
        """The clock of this session."""
        return Clock(self.runtime, self._call)

    def task(self, task_id: str) -> Task:
        """Return a task of any provider.

        Raises:
            KeyError: no task has this id.
        """
        return Task(self._inner.task(task_id), self._call)

    def reset(self) -> Self:
        """Reset: no tasks, accounts or faults, an empty journal."""
        self._call(self._inner.reset())
        return self

    def session(self, name: str) -> RunningServer:
        """Return a session of the same server; create it if it does not exist.

        Raises:
            SessionError: the name is invalid, or there are too many sessions.
        """
        return RunningServer(self._perform(lambda: self._inner.session(name)), self._thread)

    def drop(self) -> None:
        """Drop this session; the default session is reset instead."""
        self._call(self._inner.drop())
