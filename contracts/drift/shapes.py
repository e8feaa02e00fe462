"""Holds JSON against a shape of the spec: a declared schema, or the template that an answer is made from.

Unlike a validator, it reports fields that a schema does not name, even where the schema allows more of them. Every
problem knows its place in the spec and the edit that would close it. `Shape` is the main type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from contracts.drift.places import Edit, Keys, Place, flow
from mockserver.spec.pointer import MISSING, keys_of, pointed

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

#: The keyword that leads from a schema made of a template to the template's place.
AT = "x-at"
_ALTERNATIVES = ("anyOf", "oneOf")
#: Keywords that forbid fields: each unknown field is reported by itself.
_ABOUT_UNKNOWN = ("additionalProperties", "unevaluatedProperties")
_SHOWN = 80


@dataclass(frozen=True)
class Problem:
    """One way in which a value does not fit: its kind, what was seen and asked, where, and the edit."""

    kind: str
    seen: str
    asks: str
    place: Place
    cause: tuple[object, ...]
    edit: Callable[[list[Any]], Edit | None]
    value: Any


class Shape:
    """A schema, with the place of each of its parts in a document."""

    def __init__(self, place: Place, schema: dict[str, Any] | None = None) -> None:
        """Take the schema at a place, or one that was made from the template there."""
        self.place = place
        self._made = schema is not None
        root = place.mapping() if schema is None else schema
        self.schema = {**root, "components": place.document.data.get("components", {})}
        self._validator = Draft202012Validator(self.schema)

    def problems(self, value: Any, whole: str = "the body") -> list[Problem]:
        """Return what does not fit; `whole` is what the value is called."""
        found = [self._problem(error, value, whole) for error in self._errors(self._validator.iter_errors(value))]
        found += self._unknown(value, [((), self.schema)], "")
        return found

    def accepts(self, value: Any) -> bool:
        """Tell whether a value is valid and has no unknown field."""
        return not self.problems(value)

    def _errors(self, errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
        """Yield errors; of alternatives, those of the one that fits best."""
        for error in errors:
            if error.validator in _ALTERNATIVES and error.context:
                branches: dict[Any, list[ValidationError]] = {}
                for each in error.context:
                    branches.setdefault(each.schema_path[0], []).append(each)
                yield from self._errors(min(branches.values(), key=_misfit))
            elif error.validator not in _ABOUT_UNKNOWN:
                yield error

    # -- where a part of the schema stands ------------------------------------------------------

    def _where(self, path: Keys) -> Place:
        """Return the place of the part of the schema at a path that goes through references."""
        if self._made:
            return self._where_made(path)
        here = self.place
        for key in path:
            here = (here if str(key) in here.mapping() else here.followed()).at(key)
        return here

    def _where_made(self, path: Keys) -> Place:
        here: Any = self.schema
        keys = here[AT]
        for key in path:
            here = here[key]
            keys = here.get(AT, keys) if isinstance(here, dict) else keys
        return Place(self.place.document, tuple(keys))

    # -- what does not fit ----------------------------------------------------------------------

    def _problem(self, error: ValidationError, body: Any, whole: str) -> Problem:
        path: Keys = tuple(error.absolute_schema_path)
        at, name, value = _path_text(error.absolute_path), str(error.validator), error.instance
        what = at or whole
        if error.validator == "required":
            required: Any = error.validator_value
            there: Any = value
            lacking = [each for each in required if each not in there]
            missing = next((each for each in lacking if error.message.startswith(repr(each))), lacking[0])
            place = self._where(path)
            seen, asks = f"{_joined(at, missing)} is missing", f"{_joined(at, missing)} is required"
            return Problem("fields", seen, asks, place, ("missing", missing), self._optional(path, missing), None)
        if error.validator is None:  # the schema `false`
            name = next(self._excluded(error, body), "")
            place = self._where((*path, name) if name else path)
            seen, asks = f"{_joined(at, name) if name else what} is there", "the spec excludes it here"
            return Problem("fields", seen, asks, place, ("there",), lambda _: Edit(place, {}), None)
        place = self._where(path)
        edit = _edit_of_template(place) if self._made else _edit_of_keyword(place, name, error.validator_value)
        found = _shown(value)
        seen = f"{what} is {found}" if name != "type" else f"{what} is {_type_of(value)}: {found}"
        cause = (name, _type_of(value)) if name == "type" else (name,)
        return Problem("values", seen, f"{name}: {_shown(error.validator_value)}", place, cause, edit, value)

    def _excluded(self, error: ValidationError, body: Any) -> Iterator[str]:
        """Yield the field that a schema `false` excludes: the error tells only what is in it."""
        there = pointed(body, tuple(map(str, error.absolute_path)))
        for name, each in self._where(tuple(error.absolute_schema_path)).mapping().items():
            if each is False and isinstance(there, dict) and there.get(name, MISSING) is error.instance:
                yield name

    def _optional(self, path: Keys, missing: str) -> Callable[[list[Any]], Edit | None]:
        """Return the edit that makes a required field optional."""
        place = self._where(path)
        if not self._made:
            rest = [each for each in place.value if each != missing]
            return lambda _: Edit(place, rest or MISSING, f"remove {missing} from {place.pointer}")
        template = place.mapping()
        renamed = {f"{key}?" if key == missing else key: each for key, each in template.items()}
        return lambda _: Edit(place, renamed, f"rename {place.at(missing).pointer} to {missing}?")

    def _unknown(self, value: Any, parts: list[tuple[Keys, Any]], at: str) -> Iterator[Problem]:
        """Yield the fields of a value that no part of the schema names, and those of the values in it."""
        parts = [each for part in parts for each in self._expanded(part, value)]
        if isinstance(value, list):
            for index, each in enumerate(value):
                inner = [found for part in parts for found in _items(part, index)]
                yield from self._unknown(each, inner, f"{at}[]")
            return
        if not isinstance(value, dict):
            return
        homes = [path for path, schema in parts if "properties" in schema]
        for key, each in value.items():
            inner = [found for part in parts for found in _property(part, key)]
            if inner:
                yield from self._unknown(each, inner, _joined(at, key))
            elif homes:
                yield self._unknown_field(self._where(homes[0]), key, each, _joined(at, key))

    def _unknown_field(self, home: Place, key: str, value: Any, at: str) -> Problem:
        seen, asks = f"unknown field {at} ({_shown(value)})", "there is no such field"
        if self._made:
            place = home

            def edit(values: list[Any]) -> Edit:
                return Edit(place.at(f"{key}?"), values[0])

        else:
            home = home.followed()
            place = home.at("properties")

            def edit(values: list[Any]) -> Edit:
                return Edit(place.at(key), inferred(values))

        return Problem("fields", seen, asks, place, ("unknown", key), edit, value)

    def _expanded(self, part: tuple[Keys, Any], value: Any) -> Iterator[tuple[Keys, dict[str, Any]]]:
        """Yield a part of the schema and all those that apply to the same value with it."""
        path, schema = part
        for _ in range(50):
            reference = schema.get("$ref") if isinstance(schema, dict) else None
            if not isinstance(reference, str):
                break
            if len(schema) > 1:
                yield path, {key: each for key, each in schema.items() if key != "$ref"}
            schema = pointed(self.schema, keys_of(reference.removeprefix("#")))
        if not isinstance(schema, dict):
            return
        yield path, schema
        for index, each in enumerate(schema.get("allOf", ())):
            yield from self._expanded(((*path, "allOf", index), each), value)
        for word in _ALTERNATIVES:
            branches = list(enumerate(schema.get(word, ())))
            fitting = [each for each in branches if self._validator.evolve(schema=each[1]).is_valid(value)]
            for index, each in fitting or branches:
                yield from self._expanded(((*path, word, index), each), value)
        if "if" in schema:
            holds = self._validator.evolve(schema=schema["if"]).is_valid(value)
            for word in ("if", "then") if holds else ("else",):
                yield from self._expanded(((*path, word), schema.get(word)), value)
        for name, each in schema.get("dependentSchemas", {}).items():
            if isinstance(value, dict) and name in value:
                yield from self._expanded(((*path, "dependentSchemas", name), each), value)


def _items(part: tuple[Keys, dict[str, Any]], index: int) -> Iterator[tuple[Keys, Any]]:
    path, schema = part
    first = schema.get("prefixItems", ())
    if index < len(first):
        yield (*path, "prefixItems", index), first[index]
    elif "items" in schema:
        yield (*path, "items"), schema["items"]


def _property(part: tuple[Keys, dict[str, Any]], key: str) -> Iterator[tuple[Keys, Any]]:
    path, schema = part
    if key in schema.get("properties", {}):
        yield (*path, "properties", key), schema["properties"][key]
        return
    for pattern, each in schema.get("patternProperties", {}).items():
        if Draft202012Validator({"pattern": pattern}).is_valid(key):
            yield (*path, "patternProperties", pattern), each
    more = schema.get("additionalProperties")
    if isinstance(more, dict) and more:
        yield (*path, "additionalProperties"), more


def _misfit(errors: Iterable[ValidationError]) -> tuple[bool, int]:
    """Rank an alternative: one of another type fits worst, then one with more errors."""
    errors = list(errors)
    wrong_constant = any(each.validator in ("const", "enum", "type") for each in errors)
    return wrong_constant and len(errors) > 1, len(errors)


def _path_text(keys: Iterable[str | int]) -> str:
    text = ""
    for key in keys:
        text = f"{text}[]" if isinstance(key, int) else _joined(text, key)
    return text


def _joined(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, dict | list) else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _type_of(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    kinds = {str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return kinds.get(type(value), "object")


def inferred(values: list[Any]) -> dict[str, Any]:
    """Return a schema for the values that a new field was seen with."""
    types = list(dict.fromkeys(_type_of(each) for each in values))
    if "number" in types and "integer" in types:
        types.remove("integer")
    out: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    objects = [each for each in values if isinstance(each, dict)]
    keys = list(dict.fromkeys(key for each in objects for key in each))
    if keys:
        out["properties"] = {key: inferred([each[key] for each in objects if key in each]) for key in keys}
    items = [each for value in values if isinstance(value, list) for each in value]
    if items:
        out["items"] = inferred(items)
    return out


def _edit_of_keyword(place: Place, name: str, asked: Any) -> Callable[[list[Any]], Edit | None]:
    """Return the edit of a schema's keyword that lets the values through."""
    above = Place(place.document, place.keys[:-1])

    def edit(values: list[Any]) -> Edit | None:
        if name == "oneOf":
            changed = {"anyOf" if key == "oneOf" else key: each for key, each in above.mapping().items()}
            return Edit(above, changed, f"replace oneOf of {above.pointer} by anyOf")
        if name == "type":
            known = asked if isinstance(asked, list) else [asked]
            types = list(dict.fromkeys((*known, *(_type_of(each) for each in values))))
            return Edit(place, types)
        if name in ("enum", "const"):
            known = list(asked) if name == "enum" else [asked]
            known += [each for each in dict.fromkeys(map(_hashable, values)) if each not in known]
            if name == "enum":
                return Edit(place, known, f"add {', '.join(map(flow, known[len(asked) :]))} to {place.pointer}")
            rest = {key: each for key, each in above.mapping().items() if key != "const"}
            words = f"replace const of {above.pointer} by enum: {flow(known)}"
            return Edit(above, {**rest, "enum": known}, words)
        numbers = [each for each in values if isinstance(each, int | float)]
        if name in ("minimum", "exclusiveMinimum") and numbers:
            return Edit(place, min(numbers) - (name != "minimum"))
        if name in ("maximum", "exclusiveMaximum") and numbers:
            return Edit(place, max(numbers) + (name != "maximum"))
        sizes = [len(each) for each in values if isinstance(each, str | list | dict)]
        if name in ("minLength", "minItems", "minProperties") and sizes:
            return Edit(place, min(sizes))
        if name in ("maxLength", "maxItems", "maxProperties") and sizes:
            return Edit(place, max(sizes))
        return Edit(place, MISSING)

    return edit


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _edit_of_template(place: Place) -> Callable[[list[Any]], Edit | None]:
    """Return the edit of a template: the value that was seen."""
    return lambda values: Edit(place, values[0])
