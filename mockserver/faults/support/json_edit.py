"""Changes the JSON of a response."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson

from mockserver.engine.faults import Injection
from mockserver.engine.messages import Response
from mockserver.spec.pointer import MISSING, keys_of, pointed

#: The summary of the parameter that names the field.
FIELD = "JSON pointer to the field, such as /data/status; empty is a random field."
#: The place of a value: the keys that lead to it.
Place = tuple[str | int, ...]


def edited(response: Response, edit: Callable[[Any], Any]) -> Response | None:
    """Return the response with its JSON changed; None if it is not JSON, or if nothing changed."""
    try:
        before = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return None
    after = edit(orjson.loads(response.body))
    return None if after == before else replace(response, body=orjson.dumps(after))


def leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Return every value that is not a container, with its place."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*place, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from leaves(each, (*place, index))
    else:
        yield place, value


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Change every value that is not a container."""
    if isinstance(value, dict):
        return {key: mapped(each, change) for key, each in value.items()}
    return [mapped(each, change) for each in value] if isinstance(value, list) else change(value)


def field_changed(
    response: Response, pointer: str, injection: Injection, change: Callable[[Any], Any]
) -> Response | None:
    """Change the field at a JSON pointer, or a random field; None if the response does not have the field."""

    def edit(body: Any) -> Any:
        if pointer:
            place = place_of(body, pointer)
        else:
            places = [place for place, value in leaves(body) if value is not None]
            place = places[int(injection.chance() * len(places))] if places else None
        if place is None:
            return body
        if not place:
            return change(body)
        holder = body
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = change(holder[place[-1]])
        return body

    return edited(response, edit)


def place_of(value: Any, pointer: str) -> Place | None:
    """Return the place that a JSON pointer refers to; None if it does not exist."""
    place: list[str | int] = []
    for key in keys_of(pointer):
        place.append(int(key) if isinstance(value, list) and key.isdecimal() else key)
        value = pointed(value, (key,), MISSING)
    return None if value is MISSING else tuple(place)
