"""What tells the time, or waits, as clients see it in virtual time.

Seconds are those of the loop; sleeping and waiting advance them. This applies only to threads that take part (see
`parts`); other threads of the process keep the real functions.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType

from contracts.client.virtual_time import locks, tls, waits
from contracts.client.virtual_time.clocks import put_clocks
from contracts.client.virtual_time.parts import Part, VirtualClock, as_part, part_of_thread
from mockserver.interception.replaced import Replaced

_real_sleep = time.sleep
_lock = threading.RLock()
#: How many loops run in virtual time, or load a client; the patches are in place while there is one.
_users = 0
_replaced = Replaced()


def _sleep(seconds: float, /) -> None:
    part = part_of_thread()
    if part is None:
        _real_sleep(seconds)
    elif seconds < 0:
        raise ValueError("sleep length must be non-negative")
    elif part.thread is None:
        part.loop.skip(seconds)
    else:
        part.thread.sleep(seconds)


@contextmanager
def virtual_time(loop: VirtualClock, start_s: float) -> Iterator[None]:
    """Put a loop's own thread in virtual time. `start_s` is the value of `time.time()` at its start."""
    loop.start_s = start_s
    with _patched(), as_part(Part(loop, None)):
        yield


@contextmanager
def loaded_for_virtual_time() -> Iterator[None]:
    """Load a client: the locks, queues and pools that its module creates are for virtual time."""
    with _patched():
        locks.loading(True)
        try:
            yield
        finally:
            locks.loading(False)


@contextmanager
def _patched() -> Iterator[None]:
    global _users  # noqa: PLW0603 - it counts the users of patches of other modules
    with _lock:
        _users += 1
        if _users == 1:
            _patch()
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _unpatch()


def _patch() -> None:
    put_clocks(virtual=True)
    _replaced.put((*locks.PATCHES, *waits.PATCHES, *tls.PATCHES))
    sleepers = _sleepers(len(sys.modules))
    _replaced.put((module, name, _sleep) for module, name in sleepers if vars(module).get(name) is _real_sleep)


@lru_cache(maxsize=1)
def _sleepers(_modules: int) -> list[tuple[ModuleType, str]]:
    """Find where `sleep` is held, by any name; again when there are more modules."""
    return [
        (module, name)
        for module in list(sys.modules.values())
        if isinstance(module, ModuleType) and module.__name__ != __name__
        for name, value in list(vars(module).items())
        if value is _real_sleep
    ]


def _unpatch() -> None:
    _replaced.undo()
    put_clocks(virtual=False)
