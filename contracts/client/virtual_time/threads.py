"""Threads that take part in virtual time.

A thread counts as working until it waits: asleep, or for bytes. While no thread works, the loop may advance time;
it wakes a thread when its time has come or its bytes have. The loop does, in its own thread, what a thread asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

#: How long a cancelled thread may take to end, in real time, and how often it is interrupted.
_NOTICES_S = 0.2
_MOST_INTERRUPTS = 10


class ThreadCancelledError(SystemExit):
    """The thread was cancelled."""


@dataclass(slots=True)
class Threads:
    """The threads of one loop, and how many of them are working."""

    alive: set[VirtualThread] = field(default_factory=set)
    working: int = 0

    def cancel(self) -> None:
        """Cancel all threads, and make sure that they end."""
        left = list(self.alive)
        for thread in left:
            thread.cancel()
        for thread in left:
            thread.terminate()


class VirtualThread:
    """A thread's part in virtual time. It counts as working from the start."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: Threads) -> None:
        self._loop = loop
        self._threads = threads
        #: Set when it has asked the loop for something, or has ended.
        self.changed = threading.Event()
        self._ended = threading.Event()
        self._woken = threading.Event()
        self._ident: int | None = None
        self._cancelled = False
        self._in_time = True
        self._working = True
        self._refused = 0
        self._timer: asyncio.TimerHandle | None = None
        self._reads: int | None = None
        threads.working += 1
        threads.alive.add(self)

    # -- called in the thread -------------------------------------------------------------------

    def begin(self) -> None:
        """Note which thread this is."""
        self._ident = threading.get_ident()

    def over(self) -> None:
        """Note that the work is done."""
        self._ident = None
        self._ended.set()
        self.changed.set()

    def sleep(self, seconds: float) -> None:
        """Wait for virtual time to pass.

        Raises:
            ThreadCancelledError: the thread was cancelled.
        """
        self._ask(self._wait, seconds, None)

    def await_bytes(self, sock: socket.socket) -> None:
        """Wait until there is something to read.

        Raises:
            TimeoutError: nothing was received within the socket's timeout.
            ThreadCancelledError: the thread was cancelled.
        """
        self._ask(self._wait, sock.gettimeout(), sock.fileno())
        if not self._in_time:
            raise TimeoutError("timed out")

    def call_in_loop(self, function: Callable[..., object], *given: object) -> None:
        """Have the loop call a function, if the loop still runs."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *given)
        self.changed.set()

    def _ask(self, function: Callable[..., object], *given: object) -> None:
        self._woken.clear()
        if not self._cancelled:
            self.call_in_loop(function, *given)
            self._woken.wait()
        if self._cancelled:
            self._refused += 1
            if self._refused > _MOST_INTERRUPTS:
                threading.Event().wait()  # it ignores the error; at least it does nothing more
            raise ThreadCancelledError("thread cancelled")

    # -- called in the loop ---------------------------------------------------------------------

    def end(self) -> None:
        """Stop counting as working."""
        self._count(working=False)
        self._threads.alive.discard(self)

    def cancel(self) -> None:
        """Cancel the thread: it ends at its next wait."""
        self._cancelled = True
        self._stop_waiting()
        self.end()
        self._woken.set()

    def terminate(self) -> None:
        """Make sure that a cancelled thread ends, even if it never waits."""
        for _ in range(_MOST_INTERRUPTS):
            if self._ended.wait(_NOTICES_S) or self._ident is None:
                return
            error = ctypes.py_object(ThreadCancelledError)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._ident), error)

    def _wait(self, seconds: float | None, reads: int | None) -> None:
        if self._cancelled:
            return
        self._count(working=False)
        self._reads = reads
        if reads is not None:
            self._loop.add_reader(reads, self._wake, True)
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self._wake, reads is None)

    def _wake(self, in_time: bool) -> None:
        self._stop_waiting()
        self._in_time = in_time
        self._count(working=True)
        self._woken.set()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reads is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._reads)
            self._reads = None

    def _count(self, *, working: bool) -> None:
        if working != self._working:
            self._working = working
            self._threads.working += 1 if working else -1
