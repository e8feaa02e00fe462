"""Threads that take part in virtual time.

A thread counts as working until it waits: asleep, for bytes, or for another thread. While no thread works, the loop
may advance time. The loop notes in its own thread that a thread waits; the code that ends the wait counts the thread as
working at once, so that no time passes in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import threading
from _thread import allocate_lock
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

#: How long a cancelled thread may take to end, in real time, and how often it is interrupted.
_NOTICES_S = 0.2
_MOST_INTERRUPTS = 10
#: So many idle threads of a client may wait for its next situation; older ones are cancelled.
_MOST_IDLE = 64


class ThreadCancelledError(SystemExit):
    """The thread was cancelled."""


class Part(Protocol):
    """A thread's part in virtual time (see `parts`), as far as it is needed here."""

    loop: Any

    def leave(self) -> None:
        """Take no part any more."""


class Signal:
    """A real event, made of a lock that no patch touches. One thread waits for it, once."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the thread that waits."""
        with contextlib.suppress(RuntimeError):  # it is set already
            self._lock.release()

    def wait(self, timeout_s: float = -1) -> bool:
        """Wait in real time; tell whether it was set."""
        return self._lock.acquire(timeout=timeout_s)


@dataclass(slots=True)
class Threads:
    """The threads of one loop, and how many of them are working."""

    alive: set[VirtualThread] = field(default_factory=set)
    working: int = 0
    guard: Any = field(default_factory=allocate_lock)

    def cancel(self) -> None:
        """Cancel all threads, and make sure that they end; those that only wait for more work may stay."""
        left = [thread for thread in list(self.alive) if not thread.rest()]
        for thread in left:
            thread.cancel()
        for thread in left:
            thread.terminate()


#: Threads of clients between two situations.
_resting: list[VirtualThread] = []


class Wait:
    """One wait of a thread: for time, for files, or for another thread."""

    def __init__(self, thread: VirtualThread | None) -> None:
        self._thread = thread
        self._signal = Signal()
        #: None while it lasts; whether it ended because of what it was for.
        self.result: bool | None = None
        self._undo: list[Callable[[], object]] = []

    def finish(self, result: bool, by: Part | None = None) -> bool:
        """End the wait, from any thread; False if it had ended before. `by` is who ends it."""
        thread = self._thread
        with _guard:
            if self.result is not None:
                return False
            self.result = result
        if thread is not None:
            thread.wakes(by)
        self._signal.set()
        return True

    def arrange(
        self,
        loop: asyncio.AbstractEventLoop,
        seconds: float | None,
        reads: Sequence[int] = (),
        writes: Sequence[int] = (),
    ) -> None:
        """Have the loop end the wait by time, or when a file is ready; called in the loop."""
        if seconds is not None:
            self._undo.append(loop.call_later(seconds, self._end, False).cancel)
        for file in reads:
            loop.add_reader(file, self._end, True)
            self._undo.append(lambda file=file: loop.remove_reader(file))  # type: ignore[misc]
        for file in writes:
            loop.add_writer(file, self._end, True)
            self._undo.append(lambda file=file: loop.remove_writer(file))  # type: ignore[misc]

    def clean(self) -> None:
        """Undo what was arranged; called in the loop."""
        while self._undo:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._undo.pop()()

    def _end(self, result: bool) -> None:
        self.clean()
        self.finish(result)

    def block(self, timeout_s: float = -1) -> bool:
        """Wait in real time for the end."""
        return self._signal.wait(timeout_s)


#: Guards the ends of waits.
_guard = allocate_lock()


class VirtualThread:
    """A thread's part in virtual time. It counts as working from the start.

    `own` says that the client started it, and not the runner.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: Threads, *, own: bool = False) -> None:
        self._loop = loop
        self._threads = threads
        self._own = own
        #: What it takes part in; None until it begins.
        self.part: Part | None = None
        #: Set when it has asked the loop for something, or has ended.
        self.changed = Signal()
        self._ended = Signal()
        self._ident: int | None = None
        self._cancelled = False
        self._working = True
        self._refused = 0
        self._wait: Wait | None = None
        self._timed = True
        with threads.guard:
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
        self.wait(Wait(self), seconds)

    def wait(self, wait: Wait, seconds: float | None, reads: Sequence[int] = (), writes: Sequence[int] = ()) -> bool:
        """Wait until another thread ends it, until time has passed, or until a file is ready; tell which.

        Raises:
            ThreadCancelledError: the thread was cancelled.
        """
        self._timed = seconds is not None or bool(reads or writes)
        self._wait = wait
        if not self._cancelled:
            self.call_in_loop(self._begin_wait, wait, seconds, reads, writes)
            wait.block()
            self._wait = None
            if self._timed and not (reads or writes) and not self._cancelled:
                self.call_in_loop(wait.clean)
        if self._cancelled:
            wait.finish(False)
            self._refused += 1
            if self._refused > _MOST_INTERRUPTS:
                Signal().wait()  # it ignores the error; at least it does nothing more
            raise ThreadCancelledError("thread cancelled")
        return bool(wait.result)

    def call_in_loop(self, function: Callable[..., object], *given: object) -> None:
        """Have the loop call a function, if the loop still runs."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *given)
        self.changed.set()

    # -- called in any thread -------------------------------------------------------------------

    def wakes(self, by: Part | None) -> None:
        """Count as working again; one that rested joins the loop of the thread that woke it."""
        if self in _resting:
            _resting.remove(self)
            if by is None:
                if self.part is not None:
                    self.part.leave()
                return
            self._loop, self._threads = by.loop, by.loop.threads
            if self.part is not None:
                self.part.loop = by.loop
            with self._threads.guard:
                self._threads.alive.add(self)
        self._count(working=True)

    def end(self) -> None:
        """Stop counting as working."""
        self._count(working=False)
        with self._threads.guard:
            self._threads.alive.discard(self)

    # -- called in the loop ---------------------------------------------------------------------

    def rest(self) -> bool:
        """Let a client's thread that waits for another one, without a timeout, wait for the next situation."""
        wait = self._wait
        if not self._own or self._timed or self._working or wait is None or wait.result is not None:
            return False
        with self._threads.guard:
            self._threads.alive.discard(self)
        _resting.append(self)
        if len(_resting) > _MOST_IDLE:
            oldest = _resting.pop(0)
            oldest.cancel()
        return True

    def cancel(self) -> None:
        """Cancel the thread: it ends at its next wait."""
        self._cancelled = True
        wait = self._wait
        self.end()
        if wait is not None:
            wait.clean()
            wait.finish(False)

    def terminate(self) -> None:
        """Make sure that a cancelled thread ends, even if it never waits."""
        for _ in range(_MOST_INTERRUPTS):
            if self._ident is None or self._ended.wait(_NOTICES_S):
                return
            error = ctypes.py_object(ThreadCancelledError)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._ident), error)

    def _begin_wait(self, wait: Wait, seconds: float | None, reads: Sequence[int], writes: Sequence[int]) -> None:
        if self._cancelled:
            wait.finish(False)
            return
        with _guard:
            if wait.result is not None:
                return
            self._count(working=False)
        wait.arrange(self._loop, seconds, reads, writes)
        if wait.result is not None:  # ended meanwhile
            wait.clean()

    def _count(self, *, working: bool) -> None:
        threads = self._threads
        with threads.guard:
            if working != self._working and not (working and self._cancelled):
                self._working = working
                threads.working += 1 if working else -1
