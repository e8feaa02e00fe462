"""The fields of a schema, whatever it is made of, and what their names say."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mockserver.spec.document import followed

_DEEPEST = 4
#: A schema with more fields is not read to its end.
_MOST = 250
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name: `taskId`, `task_id` and `task-id` have the same."""
    return tuple(each.lower() for each in _WORD.findall(name))


def these(text: str) -> frozenset[str]:
    """Return the words of a list."""
    return frozenset(text.split())


@dataclass(frozen=True, eq=False)
class Field:
    """A field of an object: its keys from the top, its schema, and whether it is always there."""

    path: tuple[str, ...]
    schema: Mapping[str, Any]
    required: bool

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its own name."""
        return words_of(self.path[-1])


def flat(data: Mapping[str, Any], raw: Any, within: tuple[int, ...] = ()) -> dict[str, Any]:
    """Return a schema as one mapping: all of `allOf`, and what any of its alternatives has."""
    node = followed(data, raw)
    if id(node) in within or len(within) > 2 * _DEEPEST:
        return {}
    inner = (*within, id(node))
    out: dict[str, Any] = {}
    for each in _list(node.get("allOf")):
        _add(out, flat(data, each, inner), every=True)
    branches = [
        made
        for word in ("oneOf", "anyOf")
        for each in _list(node.get(word))
        if (made := flat(data, each, inner)) and made.get("type") != "null"
    ]
    for number, each in enumerate(branches):
        _add(out, each, every=number == 0)
    _add(out, node, every=True)
    for word in ("allOf", "oneOf", "anyOf"):
        out.pop(word, None)
    return out


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _add(out: dict[str, Any], more: Mapping[str, Any], *, every: bool) -> None:
    """Add what a part of a schema says; where it is one of several that may be meant, no more is required."""
    for word, value in more.items():
        if word == "properties" and isinstance(value, dict):
            known = dict(out.get("properties", {}))
            for name, each in value.items():
                known[name] = _either(known[name], each) if name in known else each
            out["properties"] = known
        elif word == "required" and isinstance(value, list):
            old = out.get("required", [])
            out["required"] = [*old, *(each for each in value if each not in old)] if every else old
        elif word not in out:
            out[word] = value
    if not every:
        out["required"] = [each for each in out.get("required", ()) if each in more.get("required", ())]


def _either(one: Any, other: Any) -> Any:
    """Return the schema of a field that several alternatives have: the values of all."""
    values = [*dict.fromkeys(map(str, (*_values(one), *_values(other))))]
    if values and isinstance(one, dict):
        return {**{key: each for key, each in one.items() if key != "const"}, "enum": values}
    return one


def _values(schema: Any) -> list[Any]:
    if not isinstance(schema, dict):
        return []
    return [schema["const"]] if "const" in schema else _list(schema.get("enum"))


def properties_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a flat schema."""
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def fields_of(data: Mapping[str, Any], raw: Any) -> Iterator[Field]:
    """Yield the fields of a schema, and then those of objects in it; not those of arrays."""
    waiting: deque[tuple[dict[str, Any], tuple[str, ...], bool]] = deque([(flat(data, raw), (), True)])
    left = _MOST
    while waiting:
        schema, path, required = waiting.popleft()
        for name, each in properties_of(schema).items():
            needed = required and name in schema.get("required", ())
            inner, left = flat(data, each), left - 1
            if left < 0:
                return
            yield Field((*path, name), inner, needed)
            if len(path) + 1 < _DEEPEST and properties_of(inner):
                waiting.append((inner, (*path, name), needed))


def types_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types that a schema allows, but null."""
    types = schema.get("type", ())
    listed = types if isinstance(types, list | tuple) else [types]
    found = tuple(each for each in listed if isinstance(each, str) and each != "null")
    if found:
        return found
    if properties_of(schema):
        return ("object",)
    return ("array",) if "items" in schema else ()


def is_text(schema: Mapping[str, Any]) -> bool:
    """Tell whether a value may be a text."""
    return "string" in types_of(schema) or not types_of(schema)


def shown(schema: Mapping[str, Any]) -> Any:
    """Return what a schema shows of a value; None where it shows nothing."""
    for word in ("const", "example", "default"):
        if schema.get(word) is not None:
            return schema[word]
    for word in ("examples", "enum"):
        if isinstance(schema.get(word), list) and schema[word]:
            return schema[word][0]
    return None
