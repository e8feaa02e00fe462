"""Keeps large YAML documents as JSON in the user's cache directory, by their content: JSON is read far faster.

A file that is missing, damaged or cannot be written costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

#: Below this, reading again is fast enough.
LEAST_LENGTH = 200_000
_MOST_KEPT = 20
#: Changes with what the loader makes of a text.
_FORM = "1"


def cached(text: str, load: Callable[[str], Any]) -> Any:
    """Return what a text is loaded as, from the cache where it is there."""
    if len(text) < LEAST_LENGTH:
        return load(text)
    from mockserver.certificates import cache_directory  # noqa: PLC0415 - only large documents need it

    name = hashlib.sha256(f"{_FORM}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()
    file = cache_directory() / "documents" / f"{name}.json"
    try:
        return orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        data = load(text)
        _keep(file, data)
        return data


def _keep(file: Path, data: Any) -> None:
    try:
        content = orjson.dumps(data)
        if orjson.loads(content) != data:  # .nan is null in JSON
            return
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = file.with_name(f"{file.name}.{os.getpid()}")
        part.write_bytes(content)
        part.replace(file)
        kept = sorted(file.parent.glob("*.json"), key=lambda each: each.stat().st_mtime_ns)
        for old in kept[:-_MOST_KEPT]:
            old.unlink(missing_ok=True)
    except (OSError, TypeError, ValueError, RecursionError):
        return
