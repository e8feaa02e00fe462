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
import functools
import inspect
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, Unpack

from mockserver.edge.arrival import Arrival
from mockserver.edge.build import start_server
from mockserver.edge.runtime import Runtime
from mockserver.edge.server import Server
from mockserver.engine.accounts import Account
from mockserver.engine.state import ProviderState
from mockserver.interception import interception
from mockserver.settings import Settings, checked
from mockserver.testing.given import GivenForProvider, GivenSettings
from mockserver.testing.provider_handle import ProviderHandle
from mockserver.testing.views import AccountView, AsyncClock, AsyncTask, Clock, JournalView, Task

T = TypeVar("T")
ClockT = TypeVar("ClockT", Clock, AsyncClock)
TaskT = TypeVar("TaskT", Task, AsyncTask)
Done = TypeVar("Done")
_STOP_WITHIN_S = 10.0
#: So long a call may block an event loop; then a receiver in that loop is what it waits for.
_BLOCKED_S = 5.0


class BlockedLoopError(RuntimeError):
    """A call has waited for the event loop that it blocks."""

    def __init__(self) -> None:
        super().__init__(
            "this call blocks the event loop of its caller, in which a receiver of callbacks may be waiting: use the "
            "fixture `async_mock_server`, or `async with MockServer()`, and await it"
        )


class MockServer:
    """A mock server, for `with` or `async with`; as a decorator, it gives a function the argument `mock_server`.

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
        providers: Mapping[str, GivenForProvider] | None = None,
        **settings: Unpack[GivenSettings],
    ) -> None:
        raw: dict[str, Any] = {"port": 0, "clock": "manual", "drain_s": 0.5, **settings}
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

    def __call__(self, test: Callable[..., T]) -> Callable[..., T]:
        """Decorate a function, or a coroutine function: for each call a server of its own, as `mock_server`."""
        settings = self._settings

        def fresh() -> MockServer:
            made = MockServer()
            made._settings = settings
            return made

        if inspect.iscoroutinefunction(test):

            @functools.wraps(test)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                async with fresh() as running:
                    return await test(*args, **kwargs, mock_server=running)

            decorated: Callable[..., Any] = run_async
        else:

            @functools.wraps(test)
            def run(*args: Any, **kwargs: Any) -> T:
                with fresh() as running:
                    return test(*args, **kwargs, mock_server=running)

            decorated = run
        signature = inspect.signature(test)
        # Whoever calls it need not give that argument: pytest would give it the fixture of this name.
        others = [each for each in signature.parameters.values() if each.name != "mock_server"]
        decorated.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return decorated

    async def __aenter__(self) -> AsyncRunningServer:
        """Start in the running event loop."""
        server = await start_server(self._settings)
        self._async_exit.push_async_callback(server.close)
        return AsyncRunningServer(server)

    async def __aexit__(self, *_error: object) -> None:
        """Stop."""
        await self._async_exit.aclose()

    def __enter__(self) -> RunningServer:
        """Start in a thread."""
        with ExitStack() as stack:
            thread = _Thread()
            stack.callback(thread.stop)
            server: Server = thread.run(start_server(self._settings))
            stack.callback(lambda: thread.run(server.close()))
            self._exit.push(stack.pop_all())
        return RunningServer(server, thread)

    def __exit__(self, *_error: object) -> None:
        """Stop, and end the thread."""
        self._exit.close()


class _Loop:
    """The event loop of the caller, which serves as well: coroutines are for the caller to await."""

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return True

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return the coroutine."""
        return work

    def perform(self, work: Callable[[], T]) -> T:
        """Call a function."""
        return work()


class _AwaitedThread(_Loop):
    """The event loop of a server in a thread, for coroutines in another loop, which may be asyncio's or trio's."""

    def __init__(self, thread: _Thread) -> None:
        self._thread = thread
        self.perform = thread.perform  # type: ignore[method-assign]

    @property
    def is_running(self) -> bool:
        return self._thread.is_running

    async def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the server's loop; the caller's goes on meanwhile."""
        future = self._thread.submit(work)
        if _within_trio():
            trio = sys.modules["trio"]
            return await trio.to_thread.run_sync(future.result)
        return await asyncio.wrap_future(future)


class _Thread(_Loop):
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mockserver", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Begin a coroutine in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the loop; wait for its result.

        Raises:
            BlockedLoopError: the caller's event loop is waited for, which cannot go on meanwhile.
        """
        future = self.submit(work)
        if not _within_a_loop():
            return future.result()
        try:
            return future.result(_BLOCKED_S)
        except TimeoutError:
            if future.done():
                raise
            future.cancel()
            raise BlockedLoopError from None

    def perform(self, work: Callable[[], T]) -> T:
        """Call a function in the loop; directly, if the loop has ended."""
        if not self._thread.is_alive():
            return work()

        async def perform() -> T:
            return work()

        result: T = self.run(perform())
        return result

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop the loop and join the thread."""
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_WITHIN_S)
        self._loop.close()


class _Server(Generic[ClockT, TaskT, Done]):
    """One session of a running server."""

    _clock: type[ClockT]
    _task: type[TaskT]

    def __init__(self, server: Server, loop: _Loop | None = None, session: str | None = None) -> None:
        self.server = server
        self._loop = loop or _Loop()
        self._perform = self._loop.perform
        self._session = session

    @property
    def runtime(self) -> Runtime:
        """The state of this session: engine, clock, journal, dispatcher; a dropped session is created again."""
        if self._session is None:
            return self.server.runtime
        return self._perform(partial(self.server.sessions.get, self._session))

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
        return self._account(provider, lambda state, now_ms: state.account(key or state.provider.key.example, now_ms))

    def create_key(self, provider: str) -> AccountView:
        """Open an account with a new key, and return it.

        Raises:
            NoKeyFormatError: the spec does not say what keys look like.
        """
        return self._account(provider, ProviderState.create_key)

    def _account(self, provider: str, find: Callable[[ProviderState, int], Account]) -> AccountView:
        state, runtime = self._state(provider), self.runtime
        account = self._perform(lambda: find(state, runtime.clock.now_ms()))
        return AccountView(runtime, state, account, self._perform)

    @property
    def clock(self) -> ClockT:
        """The clock of this session."""
        return self._clock(self.runtime, self._loop.run)

    def task(self, task_id: str) -> TaskT:
        """Return a task of any provider.

        Raises:
            KeyError: no task has this id.
        """
        return self._task(self.runtime, task_id, self._loop.run)

    def session(self, name: str) -> Self:
        """Return a session of the same server; create it if it does not exist.

        Raises:
            SessionError: the name is invalid, or too many sessions exist.
        """
        self._perform(partial(self.server.sessions.get, name))
        return type(self)(self.server, self._loop, name)

    def drop(self) -> Done:
        """Drop this session; the default session is reset instead."""
        done: Done = self._loop.run(self._drop())
        return done

    async def _drop(self) -> None:
        if self._session is None:
            await self.server.runtime.reset()
        elif self.server.sessions.known(self._session) is not None:
            await self.server.sessions.drop(self._session)

    async def _listen(self) -> tuple[asyncio.Server, int, Path]:
        """Take the connections that are meant for real hosts; return how to stop that, the port, and the CA's file."""
        ca = await asyncio.to_thread(lambda: self.server.authority.certificate)
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        port: int = listener.getsockname()[1]
        return await self.server.also_listen(listener, self._by_name), port, ca

    @property
    def _by_name(self) -> Arrival:
        return Arrival(by_name=True, session=self._session)


class AsyncRunningServer(_Server[AsyncClock, AsyncTask, Coroutine[Any, Any, None]]):
    """A running server, inside `async with`, or `RunningServer.awaited()`."""

    _clock, _task = AsyncClock, AsyncTask

    async def reset(self) -> None:
        """Reset: no tasks, accounts or faults, an empty journal."""
        await self._loop.run(self.runtime.reset())

    @asynccontextmanager
    async def intercept(self, allow_hosts: Iterable[str] | str = ()) -> AsyncIterator[Self]:
        """Intercept the providers' real hosts; see `RunningServer.intercept`."""
        listening, port, ca = await self._loop.run(self._listen())
        try:
            with interception(self.server.hosts, port, ca, allow_hosts):
                await _turns()  # the loop sees which connections have been ended
                yield self
        finally:
            await self._loop.run(self.server.stop_listening(listening, self._by_name))
            await _turns()


class RunningServer(_Server[Clock, Task, None]):
    """A running server, inside `with`."""

    _clock, _task = Clock, Task

    def awaited(self) -> AsyncRunningServer:
        """Return the same session for coroutines: what may deliver callbacks is awaited, and blocks no event loop."""
        assert isinstance(self._loop, _Thread)
        return AsyncRunningServer(self.server, _AwaitedThread(self._loop), self._session)

    def reset(self) -> Self:
        """Reset: no tasks, accounts or faults, an empty journal."""
        self._loop.run(self.runtime.reset())
        return self

    @contextmanager
    def intercept(self, allow_hosts: Iterable[str] | str = ()) -> Iterator[Self]:
        """Lead the providers' real hosts to this server, for every HTTP client in this process, until the block ends.

        `https://` with a provider's own host is the mock: for requests, httpx, aiohttp, urllib and urllib3, also for
        clients, sessions, TLS contexts and threads that exist already. This machine can be reached as before. Any
        other host is refused with a `HostRefusedError`, an OSError that names it, unless `allow_hosts` has it: NAME,
        NAME:PORT or `*.NAME`. What connects in C, such as pycurl and grpc, is not intercepted, nor are other
        processes (`mockserver exec` is for those).

        Raises:
            InterceptionError: a block with one of these hosts has begun and not ended.
            ConfigError: an entry of `allow_hosts` is not a host.
            AuthorityError: the local CA can be neither read nor made.
        """
        listening, port, ca = self._loop.run(self._listen())
        try:
            with interception(self.server.hosts, port, ca, allow_hosts):
                yield self
        finally:
            if self._loop.is_running:
                self._loop.run(self.server.stop_listening(listening, self._by_name))


def _within_a_loop() -> bool:
    """Tell whether the caller is a coroutine of asyncio, or called by one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _within_trio() -> bool:
    """Tell whether the caller is a coroutine of trio."""
    sniffio = sys.modules.get("sniffio")
    return sniffio is not None and not _within_a_loop() and sniffio.current_async_library() == "trio"


async def _turns() -> None:
    """Let the loop see what has become of its connections."""
    for _ in range(3):
        await asyncio.sleep(0)
