"""Stop a client that keeps the processor or the event loop busy, and let Ctrl-C end a run."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from contracts.client.virtual_time.loop import VirtualLoop
from contracts.client.virtual_time.parts import as_part

#: A situation that takes longer than this in real time is given up; waits for a busy processor do not count.
LONGEST_RUN_S = 20.0
#: How often the interruption is repeated for a client that ignores it.
REPEAT_S = 1.0
_SCHEDULER = Path("/proc/thread-self/schedstat")


class HangsError(KeyboardInterrupt):
    """The client keeps the processor, or the event loop, busy.

    An event loop lets this kind of exception through instead of storing it in a task or logging it.
    """


def own_s() -> float:
    """Return real seconds, without those in which this thread waited for a processor (where the system tells)."""
    try:
        held_back_ns = int(_SCHEDULER.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        held_back_ns = 0
    with as_part(None):
        return time.monotonic() - held_back_ns / 1e9


@contextlib.contextmanager
def alarm(loop: VirtualLoop) -> Iterator[None]:
    """Interrupt a client that computes without end, and let Ctrl-C end the run; works in the main thread only.

    An exception raised by a signal handler may get lost in a garbage collector callback, or in a client that
    catches everything. So it is raised between two turns of the loop, and elsewhere only if there has been no
    turn for a while; and Ctrl-C is raised again at the end.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    stopped = False
    began_s = own_s()

    def ring(_number: int, _frame: FrameType | None) -> None:
        if not loop.is_running():
            return
        left_s = LONGEST_RUN_S - (own_s() - began_s)
        if left_s > 0 and not stopped:
            signal.setitimer(signal.ITIMER_REAL, left_s, REPEAT_S)
            return
        error, loop.overdue = loop.overdue, None
        if error is not None:  # there has been no turn since the last time
            raise error
        why = f"given up after {LONGEST_RUN_S:g} real seconds: the client does not yield"
        loop.overdue = KeyboardInterrupt() if stopped else HangsError(why)

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if not loop.is_running():
            raise KeyboardInterrupt
        loop.overdue = KeyboardInterrupt()
        signal.setitimer(signal.ITIMER_REAL, REPEAT_S, REPEAT_S)

    with contextlib.ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, ring))
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, stop))
        stack.callback(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, LONGEST_RUN_S, REPEAT_S)
        yield
    if stopped:
        raise KeyboardInterrupt
