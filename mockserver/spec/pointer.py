"""Resolve JSON pointers (RFC 6901)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Returned by `pointed` for a missing value, where null could be a value.
MISSING = object()


def keys_of(pointer: str) -> tuple[str, ...]:
    """Return the keys of a pointer; its leading slash is optional."""
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in pointer.removeprefix("/").split("/"))


def pointed(value: Any, keys: tuple[str, ...], missing: Any = None) -> Any:
    """Follow keys through objects and arrays; return `missing` if one does not exist."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, missing)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return missing
    return value


def at(value: Any, path: Iterable[str | int], missing: Any = None) -> Any:
    """Do the same with a path whose indices may be numbers."""
    return pointed(value, tuple(map(str, path)), missing)
