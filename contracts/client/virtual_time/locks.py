"""`threading` and `queue` as clients see them: who waits for another thread lets virtual time pass.

Everything in `threading`, `queue` and `concurrent.futures` waits for a lock at last. So only locks, the start and the
end of threads, and the queue without locks are replaced.
"""

from __future__ import annotations

import queue
import threading
from _thread import allocate_lock
from collections import deque
from typing import Any

from contracts.client.virtual_time.parts import as_part, in_part, part_of_thread
from contracts.client.virtual_time.threads import VirtualThread, Wait

_real_rlock = threading.RLock
_real_simple_queue = queue.SimpleQueue
_real_start = threading.Thread.start
_real_join = threading.Thread.join
#: Whether a client is being loaded: what its module creates is for virtual time.
_loading = threading.local()


class VirtualLock:
    """A lock for any thread. It is handed over in the order in which threads came."""

    def __init__(self) -> None:
        self._guard = allocate_lock()
        self._held = False
        self._waits: deque[Wait] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock."""
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        part = part_of_thread()
        with self._guard:
            if not self._held:
                self._held = True
                return True
            if not blocking or timeout == 0:
                return False
            wait = Wait(None if part is None else part.thread)
            self._waits.append(wait)
        try:
            if part is None:
                wait.block(timeout)
            else:
                part.wait(wait, None if timeout == -1 else timeout)
        except BaseException:
            self._give_up(wait)
            if wait.result:
                self.release()  # it was handed over in the last moment
            raise
        self._give_up(wait)
        return bool(wait.result)

    def _give_up(self, wait: Wait) -> None:
        """End a wait, unless the lock was handed over."""
        if wait.finish(False) or not wait.result:
            with self._guard:
                if wait in self._waits:
                    self._waits.remove(wait)

    def release(self) -> None:
        """Give the lock to the next, or free it."""
        with self._guard:
            if not self._held:
                raise RuntimeError("release unlocked lock")
            part = part_of_thread()
            while self._waits:
                wait = self._waits.popleft()
                if wait.finish(True, part):
                    return
            self._held = False

    def locked(self) -> bool:
        """Tell whether it is taken."""
        return self._held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._guard = allocate_lock()
        self._held = False
        self._waits.clear()


def _is_for_clients() -> bool:
    return part_of_thread() is not None or getattr(_loading, "on", False)


def _lock() -> Any:
    return VirtualLock() if _is_for_clients() else allocate_lock()


def _rlock() -> Any:
    # The one in Python waits for a lock of this module's making.
    return threading._PyRLock() if _is_for_clients() else _real_rlock()  # type: ignore[attr-defined]  # noqa: SLF001


def _simple_queue() -> Any:
    return queue._PySimpleQueue() if _is_for_clients() else _real_simple_queue()  # type: ignore[attr-defined]  # noqa: SLF001


def _start(thread: threading.Thread) -> None:
    part = part_of_thread()
    if part is None or thread._started.is_set():  # type: ignore[attr-defined]  # noqa: SLF001
        _real_start(thread)
        return
    loop = part.loop
    virtual = VirtualThread(loop, loop.threads, own=True)
    ended = VirtualLock()
    ended.acquire()
    bootstrap = thread._bootstrap  # type: ignore[attr-defined]  # noqa: SLF001

    def work() -> None:
        try:
            bootstrap()
        finally:
            ended.release()

    thread._bootstrap = lambda: in_part(loop, virtual, work)  # type: ignore[attr-defined]  # noqa: SLF001
    thread._virtual_end = ended  # type: ignore[attr-defined]  # noqa: SLF001
    thread.daemon = True  # a client's thread does not keep this program
    try:
        with as_part(None):
            _real_start(thread)
    except BaseException:
        virtual.end()
        raise
    finally:
        thread.__dict__.pop("_bootstrap", None)


def _join(thread: threading.Thread, timeout: float | None = None) -> None:
    ended: VirtualLock | None = getattr(thread, "_virtual_end", None)
    if ended is None or part_of_thread() is None or thread is threading.current_thread():
        _real_join(thread, timeout)
    elif ended.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
        ended.release()
        with as_part(None):
            _real_join(thread)


#: What is replaced while a loop runs in virtual time: object, name, replacement.
PATCHES: tuple[tuple[Any, str, Any], ...] = (
    (threading, "_allocate_lock", _lock),
    (threading, "Lock", _lock),
    (threading, "RLock", _rlock),
    (queue, "SimpleQueue", _simple_queue),
    (threading.Thread, "start", _start),
    (threading.Thread, "join", _join),
)


def loading(on: bool) -> None:
    """Say whether this thread loads a client."""
    _loading.on = on
