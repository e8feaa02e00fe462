"""Deprecated: the old names of `mockserver.testing`, for one release."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any


def old_names(module: str, there: str, *same: str, **new: str) -> Callable[[str], Any]:
    """Return a module's `__getattr__` for old names: the `same` names are in `there`, the others as `new` says."""
    paths = {name: f"{there}.{name}" for name in same} | new

    def getattr_(name: str) -> Any:
        if name not in paths:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is deprecated; use {paths[name]}", DeprecationWarning, stacklevel=2)
        where, _, now = paths[name].rpartition(".")
        return getattr(importlib.import_module(where), now)

    return getattr_


__getattr__ = old_names(
    __name__,
    "mockserver.testing.views",
    *("AccountView", "AsyncClock", "AsyncTask", "Clock", "JournalView", "Task"),
    MockServer="mockserver.MockServer",
    Mock="mockserver.RunningServer",
    AsyncMock="mockserver.AsyncRunningServer",
)
