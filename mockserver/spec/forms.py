"""Makes the value of a form: its fields are texts, and numbers, lists or objects where a schema has those.

Names such as `list[]`, `list[0][name]` and `object[name]` lead into lists and objects. The value of a file is its name.
A text that is none of what the schema has stays one: the schema then says what is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson

from mockserver.provider import FormField
from mockserver.spec.document import Document
from mockserver.spec.schema import compile_schema

_DEEPEST = 8
_DEEPEST_JSON = 64
_BRANCHES = ("allOf", "anyOf", "oneOf")
_NESTED = re.compile(r"([^\[\]]+)((?:\[[^\[\]]{0,100}\]){1,8})")
_INSIDE = re.compile(r"\[([^\[\]]*)\]")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{0,18})?([eE][-+]?[0-9]{1,3})?")
_NONE: Any = object()
_TYPE_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def form_reader(document: Document, schema: Mapping[str, Any]) -> Callable[[Sequence[FormField]], dict[str, Any]]:
    """Return a function that makes the object of a form's fields.

    Args:
        document: the target of the schema's references.
        schema: what the object must be.
    """
    kind = _kind(document, schema, 0)

    def read(fields: Sequence[FormField]) -> dict[str, Any]:
        return _object(_tree(fields, kind), kind)

    return read


@dataclass(frozen=True)
class _Kind:
    """What the schema of a field says of its type."""

    types: frozenset[str] = frozenset()
    properties: Mapping[str, _Kind] = field(default_factory=dict)
    items: _Kind | None = None
    #: Tells whether a text may stay as it is, where other types are allowed besides.
    accepts: Callable[[str], bool] = lambda _text: True


_ANY = _Kind()


@dataclass
class _Branch:
    """The fields of one name, and those of names below it."""

    own: list[FormField] = field(default_factory=list)
    below: dict[str, _Branch] = field(default_factory=dict)


def _kind(document: Document, raw: Any, depth: int) -> _Kind:
    if depth > _DEEPEST:
        return _ANY
    parts = list(_parts(document, raw, 0))
    types: set[str] = set()
    for part in parts:
        types.update(_types(part))
    properties: dict[str, _Kind] = {}
    items = None
    for part in parts:
        declared = part.get("properties")
        for name, each in declared.items() if isinstance(declared, dict) else ():
            if name not in properties:
                properties[name] = _kind(document, each, depth + 1)
        if items is None and isinstance(part.get("items"), dict):
            items = _kind(document, part["items"], depth + 1)
    return _Kind(frozenset(types), properties, items, _text_test(document, raw, types))


def _parts(document: Document, raw: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Yield a schema and all that it consists of."""
    schema = document.followed(raw)
    yield schema
    if depth <= _DEEPEST:
        for word in _BRANCHES:
            for each in schema.get(word) or ():
                yield from _parts(document, each, depth + 1)


def _types(schema: Mapping[str, Any]) -> Iterable[str]:
    """Return the types that a schema has by its own words."""
    types = schema.get("type")
    if isinstance(types, str):
        return (types,)
    if isinstance(types, list):
        return tuple(map(str, types))
    values = [*(schema.get("enum") or ()), *([schema["const"]] if "const" in schema else ())]
    if values:
        return {_TYPE_NAMES[type(each)] for each in values if type(each) in _TYPE_NAMES}
    return [name for word, name in (("properties", "object"), ("items", "array")) if word in schema]


def _text_test(document: Document, raw: Any, types: set[str]) -> Callable[[str], bool]:
    if "string" not in types or types <= {"string", "null"} or not isinstance(raw, dict):
        return lambda _text: True
    found = cache(lambda: compile_schema(document, raw, of_request=True))
    return lambda text: found().accepts(text)


def _tree(fields: Sequence[FormField], kind: _Kind) -> _Branch:
    root = _Branch()
    for each in fields:
        here = root
        for key in _keys(each.name, kind):
            here = here.below.setdefault(key, _Branch())
        here.own.append(each)
    return root


def _keys(name: str, kind: _Kind) -> Iterator[str]:
    found = None if name in kind.properties else _NESTED.fullmatch(name)
    if found is None:
        yield name
        return
    yield found[1]
    yield from _INSIDE.findall(found[2])


def _object(branch: _Branch, kind: _Kind) -> dict[str, Any]:
    return {name: _value(each, kind.properties.get(name, _ANY)) for name, each in branch.below.items()}


def _value(branch: _Branch, kind: _Kind) -> Any:
    if branch.below:
        numbered = all(not key or key.isdecimal() for key in branch.below)
        if numbered and ("object" not in kind.types or "array" in kind.types):
            return list(_items(branch, kind.items or _ANY))
        return _object(branch, kind)
    values = branch.own
    if "array" in kind.types and not (len(values) == 1 and "string" in kind.types):
        whole = _json(values[0]) if len(values) == 1 and values[0].file_name is None else None
        return whole if isinstance(whole, list) else [_leaf(each, kind.items or _ANY) for each in values]
    return _leaf(values[0], kind) if len(values) == 1 else [_leaf(each, kind) for each in values]


def _items(branch: _Branch, kind: _Kind) -> Iterator[Any]:
    yield from (_leaf(each, kind) for each in branch.own)
    for each in branch.below.values():
        if each.below:
            yield _value(each, kind)
        else:
            yield from (_leaf(leaf, kind) for leaf in each.own)


def _leaf(leaf: FormField, kind: _Kind) -> Any:
    if leaf.file_name is not None:
        return leaf.file_name
    text = leaf.content.decode("utf-8", "replace")
    if leaf.media_type.startswith("application/json"):
        found = _json(leaf)
        return text if found is _NONE else found
    if not kind.types - {"string"} or ("string" in kind.types and kind.accepts(text)):
        return text
    for name, read in _READ.items():
        if name in kind.types and (value := read(text)) is not _NONE:
            return value
    return text


def _json(leaf: FormField) -> Any:
    return _parsed(leaf.content.decode("utf-8", "replace"))


def _parsed(text: str) -> Any:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _NONE
    return _NONE if _is_deep(found, _DEEPEST_JSON) else found


def _is_deep(value: Any, levels: int) -> bool:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(below) and (not levels or any(_is_deep(each, levels - 1) for each in below))


def _integer(text: str) -> Any:
    return int(text) if _INTEGER.fullmatch(text) else _NONE


def _number(text: str) -> Any:
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    if not math.isfinite(value):
        return _NONE
    return int(text) if _INTEGER.fullmatch(text) else value


def _container(type_: type) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        found = _parsed(text)
        return found if isinstance(found, type_) else _NONE

    return read


_READ: Mapping[str, Callable[[str], Any]] = {
    "integer": _integer,
    "number": _number,
    "boolean": lambda text: {"true": True, "false": False}.get(text.lower(), _NONE),
    "null": lambda text: None if text in ("", "null") else _NONE,
    "object": _container(dict),
    "array": _container(list),
}
