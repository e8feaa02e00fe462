"""Let the waits and clocks of a Python program run CONTRACT_TIME_SCALE times as fast.

A command's Python loads it as `sitecustomize`, before the program. It needs only the standard library, of Python 3.8
or later. Timeouts of sockets stay real: a busy machine does not answer any faster.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from importlib.machinery import PathFinder
from typing import Any

_CLOCKS = ("time", "monotonic", "perf_counter")
_SELECTORS = ("SelectSelector", "PollSelector", "EpollSelector", "DevpollSelector", "KqueueSelector")


def scale_time(scale: float) -> None:
    """Scale clocks and waits of this process."""
    for name in _CLOCKS:
        setattr(time, name, _faster(getattr(time, name), scale))
        setattr(time, f"{name}_ns", _faster(getattr(time, f"{name}_ns"), scale))
    time.sleep = _shorter_sleep(time.sleep, scale)

    import selectors  # noqa: PLC0415 - these take their clocks from `time` when they are loaded
    import threading  # noqa: PLC0415

    for name in _SELECTORS:
        kind: Any = getattr(selectors, name, None)
        if kind is not None:
            kind.select = _shorter_wait(kind.select, scale)
    condition: Any = threading.Condition
    condition.wait = _shorter_wait(condition.wait, scale)


def _faster(read: Any, scale: float) -> Any:
    first = read()
    kind = type(first)
    return lambda: first + kind((read() - first) * scale)


def _shorter_sleep(sleep: Any, scale: float) -> Any:
    return lambda seconds: sleep(seconds / scale)


def _shorter_wait(wait: Any, scale: float) -> Any:
    def shorter(self: Any, timeout: float | None = None) -> Any:
        return wait(self, None if timeout is None else timeout / scale)

    return shorter


def _load_next() -> None:
    """Load the `sitecustomize` that this one hides, if any."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - the program may not need pathlib
    path = [each for each in sys.path if os.path.abspath(each) != here]  # noqa: PTH100
    found = PathFinder.find_spec("sitecustomize", path)
    if found is not None and found.loader is not None:
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)


if __name__ == "sitecustomize":
    scale_time(float(os.environ["CONTRACT_TIME_SCALE"]))
    _load_next()
