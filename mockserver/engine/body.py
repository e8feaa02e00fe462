"""Reading a JSON body strictly: UTF-8, no NaN, no key twice, no bottomless nesting."""

from __future__ import annotations

import json
from typing import Any

import orjson

#: Levels of nesting that are read; what judges a body, and what writes it again, goes down 255 at most.
MAX_NESTING = 100
_TOO_DEEP = f"the body is nested more than {MAX_NESTING} levels deep"


class BodyError(ValueError):
    """The body is not a JSON text that everybody would read alike."""


def parse_json(body: bytes) -> Any:
    """Parse a body.

    orjson takes the last of two equal keys without a word. In a body without backslashes, and without
    blanks between a key and its colon, every key that is written is one `":`; only where there are more
    of these than keys were found, or where that reasoning does not hold, is it read a second time.

    Raises:
        BodyError: it is not strict JSON; the message says what and where.
    """
    if not body:
        raise BodyError("the body is empty; JSON was expected")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyError(f"the body is not valid JSON: {error}") from None
    if (
        body.count(b'":') != _keys(value, MAX_NESTING)
        or b"\\" in body
        or b" :" in body
        or b"\t:" in body
        or b"\n:" in body
        or b"\r:" in body
    ):
        try:
            json.loads(body, object_pairs_hook=_without_repeats)
        except RecursionError:
            raise BodyError(_TOO_DEEP) from None
    return value


def _keys(value: Any, levels: int) -> int:
    """Count the keys of all objects in a value that may be nested so many levels deep."""
    if not isinstance(value, dict | list):
        return 0
    if not levels:
        raise BodyError(_TOO_DEEP)
    children, total = (value.values(), len(value)) if isinstance(value, dict) else (value, 0)
    for each in children:
        if isinstance(each, dict | list):
            total += _keys(each, levels - 1)
    return total


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BodyError(f"the body has the key {key[:80]!r} twice in one object")
            seen.add(key)
    return out
