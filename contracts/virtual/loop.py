"""An event loop in virtual time.

Its rule: time stands still while anybody has something to do, and jumps to the next timer when nobody has.
Threads at work count as somebody; asleep (see `patches`) they wait for virtual time like everybody.
Servers that listen in this loop are reached within it; an address where nothing in the loop listens
refuses, and is noted.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import io
import itertools
import selectors
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from contracts.virtual.wires import join

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from _typeshed import FileDescriptorLike

#: How long a job given to a thread may take before the loop goes on without it; files are read in less.
_AT_ONCE_S = 0.05
#: How long the loop waits, really, for a thread at work before it looks again.
_LOOK_S = 0.5


class StalledError(RuntimeError):
    """Everybody waits for something that nobody will do."""


class _Selector(selectors.DefaultSelector):
    """Looks after real files and sockets, and moves time on when there is nothing to look after."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
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
        #: Whether waiting for nothing is an error; within `run_until_complete` of one's own it is.
        self.stalls = True
        self.threads_at_work = 0
        #: Addresses that somebody tried to reach, and nothing in the loop listens at.
        self.strays: list[str] = []
        self._listening: dict[int, Callable[[], asyncio.BaseProtocol]] = {}
        self._dialled: dict[int, tuple[Any, Callable[[], asyncio.BaseProtocol]]] = {}
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

    # -- connections ----------------------------------------------------------------------------

    async def create_server(self, protocol_factory: Any, *args: Any, **options: Any) -> asyncio.Server:
        """Listen, for those in the loop and, on a real socket, for threads."""
        server = await super().create_server(protocol_factory, *args, **options)
        for each in server.sockets:
            self._listening[each.getsockname()[1]] = protocol_factory
        return server

    def stop_listening(self, port: int) -> None:
        """Reach nobody at this port from now on."""
        self._listening.pop(port, None)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect to a server of this loop, or be refused."""
        host, port = address[0], address[1]
        factory = self._listening.get(port) if host in ("127.0.0.1", "::1") else None
        if factory is None:
            self.strays.append(f"{host}:{port}")
            raise ConnectionRefusedError(111, f"nothing in this loop listens at {host}:{port}")
        self._dialled[sock.fileno()] = (address, factory)

    def _make_socket_transport(self, sock: Any, protocol: Any, waiter: Any = None, **options: Any) -> Any:
        dialled = self._dialled.pop(sock.fileno(), None)
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
        self._refuse_bare(sock)
        await super().sock_sendall(sock, data)

    def _refuse_bare(self, sock: FileDescriptorLike) -> None:
        if not isinstance(sock, int) and sock.fileno() in self._dialled:
            raise OSError("in virtual time, sockets are used through transports")

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
        self.threads_at_work += 1
        job = executor.submit(func, *args)
        try:
            job.exception(timeout=_AT_ONCE_S)
        except (concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
            pass
        else:
            self.threads_at_work -= 1
            return _done(self, job)
        out = asyncio.wrap_future(job, loop=self)
        out.add_done_callback(lambda _: self._thread_ended())
        return out

    def _thread_ended(self) -> None:
        self.threads_at_work -= 1

    def _executor(self) -> concurrent.futures.ThreadPoolExecutor:
        if self._default_executor is None:
            self._default_executor = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="virtual")
        return self._default_executor

    _default_executor: concurrent.futures.ThreadPoolExecutor | None


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
    error = job.exception()
    if error is not None:
        out.set_exception(error)
    else:
        out.set_result(job.result())
    return out
