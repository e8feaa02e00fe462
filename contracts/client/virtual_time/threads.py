"""Threads that take part in virtual time.

A hand is at work until it waits: asleep, or for bytes. Then the loop is free to move time on, and wakes it
when its time has come or its bytes have. What a hand asks is done by the loop, in the loop's own thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from contracts.client.virtual_time.loop import VirtualLoop

#: How long a hand that was let go may take to notice, really, and how often it is told.
_NOTICES_S = 0.2
_TIMES_TOLD = 10


class ThreadCancelledError(SystemExit):
    """Nobody waits for this thread any more."""


class VirtualThread:
    """A thread's part in virtual time: it is at work from now on."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        #: Set when it has asked the loop for something, or has ended.
        self.changed = threading.Event()
        self._ended = threading.Event()
        self._woken = threading.Event()
        self._ident: int | None = None
        self._gone = False
        self._in_time = True
        self._working = True
        self._refused = 0
        self._timer: asyncio.TimerHandle | None = None
        self._reads: int | None = None
        loop.threads_at_work += 1
        loop.threads.add(self)

    # -- in the thread --------------------------------------------------------------------------

    def begin(self) -> None:
        """Say which thread this is."""
        self._ident = threading.get_ident()

    def over(self) -> None:
        """Say that the work is done."""
        self._ident = None
        self._ended.set()
        self.changed.set()

    def sleep(self, seconds: float) -> None:
        """Wait for time to pass.

        Raises:
            LetGoError: nobody waits for this thread any more.
        """
        self._ask(self._wait, seconds, None)

    def await_bytes(self, sock: socket.socket) -> None:
        """Wait until there is something to read.

        Raises:
            TimeoutError: nothing came within the socket's timeout.
            LetGoError: nobody waits for this thread any more.
        """
        self._ask(self._wait, sock.gettimeout(), sock.fileno())
        if not self._in_time:
            raise TimeoutError("timed out")

    def call_in_loop(self, function: Callable[..., object], *given: object) -> None:
        """Have the loop do something, if it still does anything."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function, *given)
        self.changed.set()

    def _ask(self, function: Callable[..., object], *given: object) -> None:
        self._woken.clear()
        if not self._gone:
            self.call_in_loop(function, *given)
            self._woken.wait()
        if self._gone:
            self._refused += 1
            if self._refused > _TIMES_TOLD:
                threading.Event().wait()  # it does not hear; at least it does no work
            raise ThreadCancelledError("nobody waits for this thread any more")

    # -- in the loop ----------------------------------------------------------------------------

    def end(self) -> None:
        """Be at work no more."""
        self._count(working=False)
        self.loop.threads.discard(self)

    def cancel(self) -> None:
        """Wait for it no more: it ends at its next wait."""
        self._gone = True
        self._stop_waiting()
        self.end()
        self._woken.set()

    def terminate(self) -> None:
        """See to it that a thread that was let go ends, even one that never waits."""
        for _ in range(_TIMES_TOLD):
            if self._ended.wait(_NOTICES_S) or self._ident is None:
                return
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._ident), ctypes.py_object(ThreadCancelledError)
            )

    def _wait(self, seconds: float | None, reads: int | None) -> None:
        if self._gone:
            return
        self._count(working=False)
        self._reads = reads
        if reads is not None:
            self.loop.add_reader(reads, self._wake, True)
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, self._wake, reads is None)

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
            if not self.loop.is_closed():
                self.loop.remove_reader(self._reads)
            self._reads = None

    def _count(self, *, working: bool) -> None:
        if working != self._working:
            self._working = working
            self.loop.threads_at_work += 1 if working else -1
