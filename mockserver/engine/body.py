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
    if body.count(b"{") + body.count(b"[") > MAX_NESTING and _nested_too_deeply(value):
        raise BodyError(_TOO_DEEP)
    if (
        body.count(b'":') != _keys(value)
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


def _nested_too_deeply(value: Any) -> bool:
    """Go down level by level, without recursion."""
    level = [value]
    for _ in range(MAX_NESTING + 1):
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return False
        level = [child for each in level for child in (each.values() if isinstance(each, dict) else each)]
    return True


def _keys(value: Any) -> int:
    """Count the keys of all objects in a value."""
    if isinstance(value, dict):
        total = len(value)
        for each in value.values():
            if isinstance(each, dict | list):
                total += _keys(each)
        return total
    if isinstance(value, list):
        return sum(_keys(each) for each in value if isinstance(each, dict | list))
    return 0


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BodyError(f"the body has the key {key[:80]!r} twice in one object")
            seen.add(key)
    return out
