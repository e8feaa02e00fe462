"""Deprecated: the old names of `mockserver.testing`, for one release."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def old_names(module: str, new: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module's `__getattr__` for old names; `new` says where each is now, as module:name."""

    def getattr_(name: str) -> Any:
        if name not in new:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        there, _, now = new[name].partition(":")
        warnings.warn(f"{module}.{name} is deprecated; use {there}.{now}", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(there), now)

    return getattr_


__getattr__ = old_names(
    __name__,
    {
        "MockServer": "mockserver:MockServer",
        "Mock": "mockserver:RunningServer",
        "AsyncMock": "mockserver:AsyncRunningServer",
        **{name: f"mockserver.testing.views:{name}" for name in ("AccountView", "AsyncClock", "AsyncTask")},
        **{name: f"mockserver.testing.views:{name}" for name in ("Clock", "JournalView", "Task")},
    },
)
