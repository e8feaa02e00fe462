"""Finds links in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def links_in(value: Any) -> Iterator[str]:
    """Yield every link in an answer."""
    if isinstance(value, str):
        if value.startswith(("https://", "http://")):
            yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from links_in(each)
