"""JSON pointers (RFC 6901): the one place that follows them."""

from __future__ import annotations

from typing import Any

#: What `pointed` returns for a pointer that leads nowhere, where null could also be a value.
MISSING = object()


def keys_of(pointer: str) -> tuple[str, ...]:
    """Return the keys of a pointer, with or without its first slash."""
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in pointer.removeprefix("/").split("/"))


def pointed(value: Any, keys: tuple[str, ...], missing: Any = None) -> Any:
    """Follow keys through objects and arrays; return `missing` where they lead nowhere."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, missing)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return missing
    return value
