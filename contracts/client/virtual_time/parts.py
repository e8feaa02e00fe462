"""Who takes part in virtual time: each thread of a client has a part, all other threads of the process have none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from contracts.client.virtual_time.threads import Threads, VirtualThread, Wait


class VirtualClock(Protocol):
    """The loop, as far as patched functions need it."""

    now_s: float
    start_s: float
    unknown_addresses: list[str]
    threads: Threads

    def skip(self, seconds: float) -> None:
        """Advance time."""

    def find(self, host: str, port: int) -> Any:
        """Find the server at an address."""

    def stand_in(self, host: str | bytes | None) -> str | None:
        """Return the address that stands for a host of the internet."""

    def ca(self) -> str:
        """Return the CA that is trusted for such hosts."""

    def block(self, wait: Wait, seconds: float | None, reads: Sequence[int], writes: Sequence[int]) -> None:
        """Wait in the loop's own thread, while everything else goes on."""

    def is_closed(self) -> bool:
        """Tell whether the loop is closed."""


@dataclass(slots=True)
class Part:
    """A thread's part in virtual time."""

    loop: Any  # a `VirtualClock`, which is an event loop
    #: None is the loop's own thread.
    thread: VirtualThread | None
    left: bool = False

    def leave(self) -> None:
        """Take no part any more."""
        self.left = True

    def wait(self, wait: Wait, seconds: float | None, reads: Sequence[int] = (), writes: Sequence[int] = ()) -> bool:
        """Wait until it is ended, until a file is ready, or until the time has passed; tell which."""
        if self.thread is not None:
            return self.thread.wait(wait, seconds, reads, writes)
        self.loop.block(wait, seconds, reads, writes)
        return bool(wait.result)


_virtual = threading.local()


def part_of_thread() -> Part | None:
    """Return this thread's part in virtual time; None if it takes no part."""
    part: Part | None = getattr(_virtual, "part", None)
    return None if part is None or part.left else part


def is_virtual() -> bool:
    """Tell whether this thread takes part in virtual time."""
    return part_of_thread() is not None


@contextmanager
def as_part(part: Part | None) -> Iterator[None]:
    """Let this thread take a part, or none."""
    before = getattr(_virtual, "part", None)
    _virtual.part = part
    try:
        yield
    finally:
        _virtual.part = before


@contextmanager
def in_virtual_time(loop: VirtualClock, thread: VirtualThread) -> Iterator[None]:
    """Put another thread in a loop's virtual time."""
    thread.part = Part(loop, thread)
    with as_part(thread.part):
        yield


def in_part(loop: VirtualClock, thread: VirtualThread, work: Callable[[], object]) -> None:
    """Do a thread's work in virtual time, from its begin to its end."""
    thread.begin()
    try:
        with in_virtual_time(loop, thread):
            work()
    finally:
        thread.call_in_loop(thread.end)
        thread.over()
