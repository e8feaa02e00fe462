"""Changing an answer's JSON: where its values stand, and putting others there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson

from mockserver.engine.messages import Response
from mockserver.spec.pointer import MISSING, keys_of, pointed

#: Where a value stands: the containers' keys that lead to it.
Place = tuple[str | int, ...]


def edited(response: Response, edit: Callable[[Any], Any]) -> Response | None:
    """Return the reply with its JSON changed; None where it is no JSON, or where nothing changed."""
    try:
        before = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return None
    after = edit(orjson.loads(response.body))
    return None if after == before else replace(response, body=orjson.dumps(after))


def leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Give every value that holds no others, with its place."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*place, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from leaves(each, (*place, index))
    else:
        yield place, value


def value_at(value: Any, place: Place) -> Any:
    """Return what stands at a place."""
    for key in place:
        value = value[key]
    return value


def put_at(value: Any, place: Place, new: Any) -> Any:
    """Put another value at a place."""
    if not place:
        return new
    holder = value
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = new
    return value


def place_of(value: Any, pointer: str) -> Place | None:
    """Return the place that a JSON pointer leads to, if there is one."""
    place: list[str | int] = []
    for key in keys_of(pointer):
        place.append(int(key) if isinstance(value, list) and key.isdecimal() else key)
        value = pointed(value, (key,), MISSING)
    return None if value is MISSING else tuple(place)
