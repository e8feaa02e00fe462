"""Reading a JSON body strictly: UTF-8, no NaN, no key twice, no bottomless nesting."""

from __future__ import annotations

import json
from typing import Any

import orjson


class BodyError(ValueError):
    """The body is not a JSON text that everybody would read alike."""


def parse_json(body: bytes) -> Any:
    """Parse a body.

    orjson takes the last of two equal keys without a word. Outside strings a JSON text has one colon
    for each key, so only a body with more colons than keys is read a second time, to be sure.

    Raises:
        BodyError: it is not strict JSON; the message says what and where.
    """
    if not body:
        raise BodyError("the body is empty; JSON was expected")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyError(f"the body is not valid JSON: {error}") from None
    if body.count(b":") != _keys(value):
        try:
            json.loads(body, object_pairs_hook=_without_repeats)
        except RecursionError:
            raise BodyError("the body is nested too deeply") from None
    return value


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
