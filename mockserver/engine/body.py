"""Strict JSON parsing: UTF-8 only, no NaN, no duplicate keys, limited nesting."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson

#: Levels of nesting that are accepted; the schema validator and the serialiser take 255 at most.
MAX_NESTING = 100
_CONTAINERS = (dict, list)
_TOO_DEEP = f"the body is nested more than {MAX_NESTING} levels deep"


class BodyError(ValueError):
    """The body is not JSON that every parser reads in the same way."""


def parse_json(body: bytes, loaded: Any = None) -> Any:
    """Parse a body.

    orjson silently keeps the last of two equal keys. Every key is followed by a colon, so where there are as many
    colons as keys, no key is a duplicate. Where there are more (a colon in a string), the body is parsed a second
    time, unless the keys can still be counted: without backslashes, and without blanks between a key and its
    colon, each is one `":`.

    Args:
        body: the bytes.
        loaded: what orjson made of the body before, so that it is not parsed again; None is not parsed yet.

    Raises:
        BodyError: it is not strict JSON; the message says what is wrong, and where.
    """
    if not body:
        raise BodyError("the body is empty; JSON was expected")
    value = loaded
    if value is None:
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BodyError(f"the body is not valid JSON: {error}") from None
    keys = _keys(value, MAX_NESTING)
    if body.count(b":") != keys and (
        body.count(b'":') != keys
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
    """Count the keys of all objects in a value, which may have this many levels of nesting."""
    children: Iterable[Any]
    if value.__class__ is dict:
        children, total = value.values(), len(value)
    elif value.__class__ is list:
        children, total = value, 0
    else:
        return 0
    if not levels:
        raise BodyError(_TOO_DEEP)
    for each in children:
        if each.__class__ in _CONTAINERS:
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
