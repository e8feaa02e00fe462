"""What a client starts that takes no part in virtual time: other processes, and threads that Python did not start.

While such a thing works, time jumps as if nothing were going on. So a client with one cannot be judged for not ending.
"""

from __future__ import annotations

import multiprocessing
import threading

_ADVICE = "virtual time cannot wait for that; test it with --command"


class Foreign:
    """The processes and threads that take no part, compared with those at the beginning."""

    def __init__(self) -> None:
        self._threads = frozenset(threading.enumerate())
        self._processes = _processes()

    def found(self) -> str:
        """Say what the client has started since; empty if nothing."""
        if _processes() - self._processes:
            return f"the client works in other processes: {_ADVICE}"
        threads = [each for each in set(threading.enumerate()) - self._threads if _is_foreign(each)]
        return f"the client has the thread {threads[0].name}, started outside `threading`: {_ADVICE}" if threads else ""


def _processes() -> frozenset[int | None]:
    return frozenset(each.pid for each in multiprocessing.active_children())


def _is_foreign(thread: threading.Thread) -> bool:
    return isinstance(thread, threading._DummyThread)  # noqa: SLF001 - it has no other mark
