"""An event loop in virtual time.

Its rule: time does not pass while there is work, and jumps to the next timer when there is none. A working thread
(see `threads`) counts as work; a sleeping one waits for virtual time. Servers that listen in this loop are reached
within it; a connection to any other address is refused and recorded.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import functools
import io
import itertools
import selectors
import socket
import weakref
from asyncio.sslproto import SSLProtocol
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from contracts.client.virtual_time.memory_transport import connect
from contracts.client.virtual_time.parts import is_virtual
from contracts.client.virtual_time.threads import Signal, Threads, VirtualThread, Wait
from mockserver.interception.names import Names, normal_name

#: How long the loop waits, in real time, for a job in a thread before it continues; reading a file takes less.
_SHORT_JOB_S = 0.05
#: How long the loop waits, in real time, for a working thread before it checks again.
_CHECK_S = 0.5
#: How many turns pass between two calls of `watch`.
_TURNS = 500
_HERE = frozenset(("127.0.0.1", "::1", "localhost"))

Listener = tuple[asyncio.Server, "Callable[[], asyncio.BaseProtocol]"]


class Place(NamedTuple):
    """Where a server listens."""

    host: str
    #: The real one.
    port: int
    factory: Callable[[], asyncio.BaseProtocol]


class StalledError(RuntimeError):
    """A deadlock: every task is waiting and no timer is set."""


class _Turn(deque[asyncio.Handle]):
    """The callbacks of a turn. A turn within a turn may have called some of them already."""

    def popleft(self) -> asyncio.Handle:
        return super().popleft() if self else _NOTHING


class _Nothing(asyncio.Handle):
    """A callback that does nothing."""

    def __init__(self) -> None:
        self._cancelled = True


_NOTHING = _Nothing()


class _Selector(selectors.DefaultSelector):
    """Waits for real files and sockets, and advances time when there are no events."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.loop.turn()
        working = self.loop.threads.working  # read before the files: a thread wakes the loop before it waits
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready or timeout == 0:
            return ready
        if working:
            return list(super().select(_CHECK_S))
        if timeout is None:
            if self.loop.stalls:
                raise StalledError("deadlock: every task is waiting and no timer is set")
            return list(super().select(_CHECK_S))
        self.loop.skip(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds cost no real time. Time starts at 0 s."""

    def __init__(self) -> None:
        self.now_s = 0.0
        #: The value of `time.time()` at 0 s.
        self.start_s = 0.0
        #: Whether a deadlock is an error.
        self.stalls = True
        #: The threads that take part.
        self.threads = Threads()
        #: Called regularly, by turns of the loop, also while a client is busy without end.
        self.watch: Callable[[], object] | None = None
        #: Raised at the next turn.
        self.overdue: BaseException | None = None
        self._turns = 0
        #: Addresses that were dialled although nothing in the loop listens there.
        self.unknown_addresses: list[str] = []
        #: The ports that clients see, and the real ones: no run depends on the latter.
        self.known_as: dict[int, int] = {}
        #: The addresses that stand for hosts of the internet, the real ports of the servers that are these hosts here,
        #: and the CA that is trusted for them (PEM).
        self.names = Names()
        self.mocked: dict[str, int] = {}
        self.ca: Callable[[], str] = str
        self._listening: dict[int, Listener] = {}
        self._dialled: weakref.WeakKeyDictionary[socket.socket, tuple[Any, Callable[[], asyncio.BaseProtocol]]]
        self._dialled = weakref.WeakKeyDictionary()
        self._ports = itertools.count(49_152)
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self._ready = _Turn()
        self._clock_resolution = 1e-6  # sums of floats may miss a timer by the last digit

    def time(self) -> float:
        """Return virtual seconds."""
        return self.now_s

    def skip(self, seconds: float) -> None:
        """Advance time."""
        self.now_s += seconds

    def turn(self) -> None:
        """Count a turn; raise what is overdue, and call `watch`."""
        if self.overdue is not None:
            error, self.overdue = self.overdue, None
            raise error
        self._turns += 1
        if self.watch is not None and self._turns % _TURNS == 0:
            self.watch()

    # -- connections ----------------------------------------------------------------------------

    async def create_server(self, protocol_factory: Any, *args: Any, **options: Any) -> asyncio.Server:
        """Listen within the loop and, for threads, on a real socket."""
        server = await super().create_server(protocol_factory, *args, **options)
        for each in server.sockets:
            self._listening[each.getsockname()[1]] = server, protocol_factory
        return server

    def lead(self, hosts: Iterable[str], port: int, ca: Callable[[], str]) -> None:
        """Let a server that listens at a real port be these hosts of the internet, with certificates of a CA."""
        self.names, self.mocked, self.ca = Names(hosts), dict.fromkeys(hosts, port), ca

    def stand_in(self, host: str | bytes | None) -> str | None:
        """Return the address that stands for a host of the internet; None if no server here is that host."""
        name = normal_name(host)
        return self.names.address_of(name) if name in self.mocked else None

    def find(self, host: str, port: int) -> Place:
        """Return the server at an address in this loop, or with a name that leads here.

        Raises:
            ConnectionRefusedError: the server does not exist; the address is recorded.
        """
        name = self.names.host_of(normal_name(host)) or normal_name(host)
        mocked = self.mocked.get(name)
        real = self.known_as.get(port, port) if mocked is None else mocked
        server, factory = self._listening.get(real, (None, None))
        is_here = mocked is not None or host in _HERE
        if not is_here or server is None or factory is None or not server.sockets:
            self.unknown_addresses.append(f"{host}:{port}")
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nothing in this loop listens at {host}:{port}")
        return Place(host if mocked is None else "127.0.0.1", real, factory)

    async def getaddrinfo(self, host: Any, port: Any, **options: int) -> Any:
        """Look a name up, at once: no thread is needed where nobody outside is asked."""
        return socket.getaddrinfo(host, port, **options)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect to a server in this loop, or refuse."""
        self._dialled[sock] = (address, self.find(address[0], address[1]).factory)

    def _make_socket_transport(self, sock: Any, protocol: Any, waiter: Any = None, **options: Any) -> Any:
        dialled = self._dialled.pop(sock, None)
        if dialled is None:
            return super()._make_socket_transport(sock, protocol, waiter, **options)  # type: ignore[misc]
        address, factory = dialled
        transport = connect(self, protocol, factory(), sock, address, next(self._ports))
        self.call_soon(protocol.connection_made, transport)
        if waiter is not None:
            self.call_soon(_finish, waiter)
        return transport

    def _make_ssl_transport(
        self,
        rawsock: Any,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        **options: Any,
    ) -> Any:
        if rawsock not in self._dialled:
            sides = {"server_side": server_side, "server_hostname": server_hostname}
            return super()._make_ssl_transport(rawsock, protocol, sslcontext, waiter, **sides, **options)  # type: ignore[misc]
        timeouts = {name: value for name, value in options.items() if name.endswith("_timeout")}
        tls = SSLProtocol(self, protocol, sslcontext, waiter, server_side, server_hostname, **timeouts)
        self._make_socket_transport(rawsock, tls)
        return tls._app_transport  # noqa: SLF001 - as asyncio's own loop does

    async def sock_sendall(self, sock: socket.socket, data: Any) -> None:
        """Send on a plain socket; sockets connected within this loop cannot be used that way."""
        if sock in self._dialled:
            raise OSError("in virtual time, use sockets through transports")
        await super().sock_sendall(sock, data)

    async def sendfile(self, transport: Any, file: Any, offset: int = 0, count: int | None = None, **_: Any) -> int:
        """Read a file, and send it."""
        file.seek(offset)
        content = file.read() if count is None else file.read(count)
        transport.write(content)
        return len(content)

    # -- threads --------------------------------------------------------------------------------

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run a function in a thread; a short one ends before anything else happens.

        A function that reads files runs at once in this thread, which is faster than handing it to another.
        """
        if executor is None and _reads_files(func):
            return _done(self, _now(func, args))
        if executor is None:
            executor = self._executor()
        if is_virtual() and isinstance(executor, concurrent.futures.ThreadPoolExecutor):
            job = executor.submit(func, *args)  # its threads take part
            _await_shortly(job)
            return _done(self, job) if job.done() else asyncio.wrap_future(job, loop=self)
        thread = VirtualThread(self, self.threads)  # counts as working until the job has ended
        job = executor.submit(func, *args)
        out = asyncio.wrap_future(job, loop=self)
        out.add_done_callback(lambda _: thread.end())
        return out

    def block(self, wait: Wait, seconds: float | None, reads: Sequence[int], writes: Sequence[int]) -> None:
        """Wait in this loop's own thread, while everything else goes on: turns within a turn."""
        wait.arrange(self, seconds, reads, writes)
        task = asyncio.current_task(self)
        if task is not None:
            asyncio.tasks._leave_task(self, task)  # noqa: SLF001
        try:
            while wait.result is None:
                if not self.threads.working or not wait.block(_SHORT_JOB_S):
                    self._run_once()  # type: ignore[attr-defined]
        finally:
            wait.clean()
            if task is not None:
                asyncio.tasks._enter_task(self, task)  # noqa: SLF001

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - as its base
        """Shut the executor down, without waiting for working threads."""
        executor, self._default_executor = self._default_executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    def _executor(self) -> concurrent.futures.ThreadPoolExecutor:
        if self._default_executor is None:
            self._default_executor = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="virtual")
        return self._default_executor

    _default_executor: concurrent.futures.ThreadPoolExecutor | None


def _await_shortly(job: concurrent.futures.Future[Any]) -> None:
    """Wait a moment, in real time, for a job that may be short."""
    ended = Signal()
    job.add_done_callback(lambda _: ended.set())
    ended.wait(_SHORT_JOB_S)


def _reads_files(func: Any) -> bool:
    """Tell whether a function reads a file that is being sent."""
    if isinstance(func, functools.partial):  # asyncio.to_thread wraps it
        func = func.args[0] if func.args else func.func
    owner = getattr(func, "__self__", None)
    return isinstance(owner, io.IOBase | Path | web.FileResponse)


def _now(func: Any, args: tuple[Any, ...]) -> concurrent.futures.Future[Any]:
    job: concurrent.futures.Future[Any] = concurrent.futures.Future()
    try:
        job.set_result(func(*args))
    except Exception as error:  # noqa: BLE001 - it is passed on
        job.set_exception(error)
    return job


def _finish(waiter: asyncio.Future[None]) -> None:
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
