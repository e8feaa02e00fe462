"""An event loop in virtual time.

Its rule: time stands still while anybody has something to do, and jumps to the next timer when nobody has.
Threads at work count as somebody; asleep (see `hands`) they wait for virtual time like everybody.
Servers that listen in this loop are reached within it; an address where nothing in the loop listens
refuses, and is noted.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import functools
import io
import itertools
import selectors
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from contracts.client.virtual_time.memory_transport import join
from contracts.client.virtual_time.patches import in_virtual_time, is_virtual
from contracts.client.virtual_time.threads import VirtualThread

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

#: How long a job given to a thread may take before the loop goes on without it; files are read in less.
_AT_ONCE_S = 0.05
#: How long the loop waits, really, for a thread at work before it looks again.
_LOOK_S = 0.5
#: How many turns pass between two looks of `watch`.
_TURNS = 500
_HERE = frozenset(("127.0.0.1", "::1", "localhost"))

Listener = tuple[asyncio.Server, "Callable[[], asyncio.BaseProtocol]"]


class StalledError(RuntimeError):
    """Everybody waits for something that nobody will do."""


class _Selector(selectors.DefaultSelector):
    """Looks after real files and sockets, and moves time on when there is nothing to look after."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.loop.turn()
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.threads_at_work:
            return list(super().select(_LOOK_S))
        if timeout is None:
            if self.loop.stalls:
                raise StalledError("everybody waits, and no timer is set")
            return list(super().select(_LOOK_S))
        self.loop.skip(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds cost nothing. It begins at 0 s."""

    def __init__(self) -> None:
        self.now_s = 0.0
        #: What `time.time()` said at 0 s.
        self.start_s = 0.0
        #: Whether waiting for nothing is an error; within `run_until_complete` of one's own it is.
        self.stalls = True
        self.threads_at_work = 0
        #: The threads that take part.
        self.threads: set[VirtualThread] = set()
        #: Called now and then, by turns of the loop: also while somebody is busy without end.
        self.watch: Callable[[], object] | None = None
        #: Raised at the next turn.
        self.overdue: BaseException | None = None
        self._turns = 0
        #: Addresses that somebody tried to reach, and nothing in the loop listens at.
        self.unknown_addresses: list[str] = []
        #: Ports under which servers are known here, and those that they really have: no run depends on the latter.
        self.known_as: dict[int, int] = {}
        self._listening: dict[int, Listener] = {}
        self._dialled: weakref.WeakKeyDictionary[socket.socket, tuple[Any, Callable[[], asyncio.BaseProtocol]]]
        self._dialled = weakref.WeakKeyDictionary()
        self._ports = itertools.count(49_152)
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-6  # sums of floats need not meet a timer to the last digit

    def time(self) -> float:
        """Return virtual seconds."""
        return self.now_s

    def skip(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds

    def turn(self) -> None:
        """Count a turn, and look after who is to be watched."""
        if self.overdue is not None:
            error, self.overdue = self.overdue, None
            raise error
        self._turns += 1
        if self.watch is not None and self._turns % _TURNS == 0:
            self.watch()

    # -- connections ----------------------------------------------------------------------------

    async def create_server(self, protocol_factory: Any, *args: Any, **options: Any) -> asyncio.Server:
        """Listen, for those in the loop and, on a real socket, for threads."""
        server = await super().create_server(protocol_factory, *args, **options)
        for each in server.sockets:
            self._listening[each.getsockname()[1]] = server, protocol_factory
        return server

    def find(self, host: str, port: int) -> Callable[[], asyncio.BaseProtocol]:
        """Return who listens at an address, in this loop.

        Raises:
            ConnectionRefusedError: nobody; it is noted.
        """
        server, factory = self._listening.get(self.known_as.get(port, port), (None, None))
        if host not in _HERE or server is None or factory is None or not server.sockets:
            self.unknown_addresses.append(f"{host}:{port}")
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nothing in this loop listens at {host}:{port}")
        return factory

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect to a server of this loop, or be refused."""
        self._dialled[sock] = (address, self.find(address[0], address[1]))

    def _make_socket_transport(self, sock: Any, protocol: Any, waiter: Any = None, **options: Any) -> Any:
        dialled = self._dialled.pop(sock, None)
        if dialled is None:
            return super()._make_socket_transport(sock, protocol, waiter, **options)  # type: ignore[misc]
        address, factory = dialled
        wire = join(self, protocol, factory(), sock, address, next(self._ports))
        self.call_soon(protocol.connection_made, wire)
        if waiter is not None:
            self.call_soon(_met, waiter)
        return wire

    async def sock_sendall(self, sock: socket.socket, data: Any) -> None:
        """Send on a socket of one's own; those of this loop cannot be had so."""
        if sock in self._dialled:
            raise OSError("in virtual time, sockets are used through transports")
        await super().sock_sendall(sock, data)

    async def sendfile(self, transport: Any, file: Any, offset: int = 0, count: int | None = None, **_: Any) -> int:
        """Send a file, read at once."""
        file.seek(offset)
        content = file.read() if count is None else file.read(count)
        transport.write(content)
        return len(content)

    # -- threads --------------------------------------------------------------------------------

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run something in a thread; what ends soon has ended before anything else happens.

        What reads files is done at once, in this thread: it takes less than going to another.
        """
        if executor is None and _reads_files(func):
            return _done(self, _now(func, args))
        if executor is None:
            executor = self._executor()
        thread = VirtualThread(self)
        job = executor.submit(_in_time, thread, func, *args) if _shares(executor) else executor.submit(func, *args)
        job.add_done_callback(lambda _: thread.changed.set())
        thread.changed.wait(_AT_ONCE_S)
        if job.done():
            thread.end()
            return _done(self, job)
        out = asyncio.wrap_future(job, loop=self)
        out.add_done_callback(lambda _: thread.end())
        return out

    def cancel(self) -> None:
        """Wait for no thread any more, and see to it that they end."""
        left = list(self.threads)
        for thread in left:
            thread.cancel()
        for thread in left:
            thread.terminate()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - as its base
        """Have no more threads; those at work are not waited for."""
        executor, self._default_executor = self._default_executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    def _executor(self) -> concurrent.futures.ThreadPoolExecutor:
        if self._default_executor is None:
            self._default_executor = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="virtual")
        return self._default_executor

    _default_executor: concurrent.futures.ThreadPoolExecutor | None


def _shares(executor: Any) -> bool:
    """Tell whether what an executor runs can take part: it is done in this process, and this thread does."""
    return is_virtual() and isinstance(executor, concurrent.futures.ThreadPoolExecutor)


def _in_time(thread: VirtualThread, func: Callable[..., Any], *args: Any) -> Any:
    thread.begin()
    try:
        with in_virtual_time(thread):
            return func(*args)
    finally:
        thread.over()


def _reads_files(func: Any) -> bool:
    """Tell whether a job is one of those of a file being sent."""
    if isinstance(func, functools.partial):  # asyncio.to_thread runs it in a context
        func = func.args[0] if func.args else func.func
    owner = getattr(func, "__self__", None)
    return isinstance(owner, io.IOBase | Path | web.FileResponse)


def _now(func: Any, args: tuple[Any, ...]) -> concurrent.futures.Future[Any]:
    job: concurrent.futures.Future[Any] = concurrent.futures.Future()
    try:
        job.set_result(func(*args))
    except Exception as error:  # noqa: BLE001 - it is given on
        job.set_exception(error)
    return job


def _met(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _done(loop: VirtualLoop, job: concurrent.futures.Future[Any]) -> asyncio.Future[Any]:
    out = loop.create_future()
    error = None if job.cancelled() else job.exception()
    if job.cancelled():
        out.cancel()
    elif error is not None:
        out.set_exception(error)
    else:
        out.set_result(job.result())
    return out
