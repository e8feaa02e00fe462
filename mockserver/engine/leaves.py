"""Walks through JSON: its leaves with their names, and the links among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is no object or array, with the key that it stands under."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, str(key))
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each, name)
    else:
        yield name, value


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text."""
    return (each for _, each in leaves(value) if isinstance(each, str))


def links_in(value: Any) -> Iterator[str]:
    """Yield every link."""
    return (each for each in texts_in(value) if each.startswith(("https://", "http://")))
