"""`time` as clients see it in virtual time: seconds are the loop's, and sleeping moves them.

Only threads that take part see it so; everybody else in the process has the real time. What a client
imported by name (`from time import sleep`) before the patch stays real.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contracts.virtual.loop import VirtualLoop

_real = {
    name: getattr(time, name) for name in ("time", "monotonic", "perf_counter", "sleep", "time_ns", "monotonic_ns")
}
_taking_part = threading.local()


@dataclass(slots=True)
class _Part:
    """A thread's part in virtual time."""

    loop: VirtualLoop
    start_s: float
    #: The loop's own thread: when it sleeps, nothing else goes on.
    drives: bool


def _part() -> _Part | None:
    return getattr(_taking_part, "part", None)


def _unix_s() -> float:
    part = _part()
    return float(_real["time"]()) if part is None else part.start_s + part.loop.now_s


def _monotonic_s() -> float:
    part = _part()
    return float(_real["monotonic"]()) if part is None else part.loop.now_s


def _perf_s() -> float:
    part = _part()
    return float(_real["perf_counter"]()) if part is None else part.loop.now_s


def _sleep(seconds: float) -> None:
    part = _part()
    if part is None:
        _real["sleep"](seconds)
    elif part.drives:
        part.loop.skip(max(0.0, seconds))
    else:
        woken = threading.Event()
        part.loop.call_soon_threadsafe(_doze, part.loop, max(0.0, seconds), woken)
        woken.wait()


def _doze(loop: VirtualLoop, seconds: float, woken: threading.Event) -> None:
    """A thread goes to sleep: it is not at work until it is woken."""
    loop.threads_at_work -= 1

    def wake() -> None:
        loop.threads_at_work += 1
        woken.set()

    loop.call_later(seconds, wake)


_PATCHES: dict[str, Callable[..., object]] = {
    "time": _unix_s,
    "monotonic": _monotonic_s,
    "perf_counter": _perf_s,
    "sleep": _sleep,
    "time_ns": lambda: int(_unix_s() * 1_000_000_000),
    "monotonic_ns": lambda: int(_monotonic_s() * 1_000_000_000),
}


@contextmanager
def virtual_time(loop: VirtualLoop, start_s: float, *, drives: bool = True) -> Iterator[None]:
    """Let this thread live by a loop's time. `start_s` is what `time.time()` says at its beginning."""
    before = _part()
    _taking_part.part = _Part(loop, start_s, drives)
    for name, patch in _PATCHES.items():
        setattr(time, name, patch)
    try:
        yield
    finally:
        _taking_part.part = before
        if drives:
            for name, real in _real.items():
                setattr(time, name, real)
