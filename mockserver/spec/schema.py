"""JSON Schemas of a spec, compiled for the hot path with jsonschema-rs; problems are explained in plain English."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import jsonschema_rs

from mockserver.provider import Problem, Schema
from mockserver.spec.document import Document, followed
from mockserver.spec.pointer import keys_of

_PROBLEMS_SHOWN = 10
_FORMS_TOLD = 4
_DEFAULTS_DEPTH = 8
#: Keywords with lists of values, not of schemas.
_VALUES = frozenset(("enum", "examples", "required"))
_GRAVE = frozenset(("required", "type"))
#: An engine without look-around and back-references: it takes time linear in the text, whatever the pattern.
LINEAR = jsonschema_rs.RegexOptions()


def compile_schema(
    document: Document, schema: dict[str, Any], lifted: tuple[str, ...] | None = None, *, of_request: bool = False
) -> Schema:
    """Compile a schema that may refer to the document's components.

    Args:
        document: the target of the `$ref`s.
        schema: the schema itself.
        lifted: path of properties to a field whose text rules (pattern, format, length) are checked
            elsewhere; used for callback addresses, which have separate rules.
        of_request: what is read-only need not be there, even if it is required.

    Raises:
        ValueError: it is not a valid schema.
    """
    closed = _closed(document, schema)
    if of_request:
        _free_read_only(closed)
    if lifted:
        _lift(closed, lifted)
    validator = jsonschema_rs.Draft202012Validator(closed, validate_formats=True, pattern_options=LINEAR)

    def problems(value: Any) -> list[Problem]:
        found = list(validator.iter_errors(value))
        if len(found) > 1:
            found.sort(key=lambda error: [str(key) for key in error.instance_path])
        return [_problem(error) for error in found[:_PROBLEMS_SHOWN]]

    def grave_problems(value: Any) -> list[Problem]:
        return [_problem(error) for error in validator.iter_errors(value) if _is_grave(error)][:_PROBLEMS_SHOWN]

    names = _field_names(closed, closed, 0, {})
    return Schema(
        validator.is_valid,
        problems,
        _defaults(closed),
        lambda value: list(_unknown_fields(value, names, "")),
        lambda keys: _missing_field(keys, names),
        grave_problems,
    )


def lazy_request_schema(document: Document, schema: dict[str, Any]) -> Schema:
    """Return a schema of requests that is compiled when it is first used: most of a large document's never are.

    What is read-only need not be in a request, even if it is required.
    """
    found = cache(lambda: compile_schema(document, schema, of_request=True))
    return Schema(
        lambda value: found().accepts(value),
        lambda value: found().problems(value),
        lambda value: found().with_defaults(value),
        lambda value: found().unknown_fields(value),
        lambda keys: found().missing_field(keys),
        lambda value: found().grave_problems(value),
    )


def _free_read_only(root: dict[str, Any]) -> None:
    """Require nothing that is read-only."""
    waiting: list[Any] = [root]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            required, properties = here.get("required"), here.get("properties")
            if isinstance(required, list) and isinstance(properties, dict):
                read_only = [name for name, raw in properties.items() if followed(root, raw).get("readOnly") is True]
                here["required"] = [name for name in required if name not in read_only]
            waiting.extend(value for key, value in here.items() if isinstance(value, dict) or key not in _VALUES)
        elif isinstance(here, list):
            waiting.extend(here)


def _closed(document: Document, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with the components that it refers to."""
    out = deepcopy(schema)
    components: dict[str, dict[str, Any]] = {}
    waiting: list[Any] = [out]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            reference = here.get("$ref")
            if isinstance(reference, str) and reference.startswith("#/components/"):
                pointer = "/".join(reference.split("/")[:4])
                kind, name = keys_of(pointer[1:])[1:]
                if name not in components.setdefault(kind, {}):
                    components[kind][name] = part = deepcopy(document.resolve(pointer))
                    waiting.append(part)
            waiting.extend(here.values())
        elif isinstance(here, list):
            waiting.extend(here)
    if components:
        out["components"] = components
    return out


def _lift(root: dict[str, Any], path: tuple[str, ...]) -> None:
    """Remove the text rules of one property."""
    schema = followed(root, root)
    for key in path[:-1]:
        schema = followed(root, schema.get("properties", {}).get(key))
    holder = schema.get("properties", {})
    if path[-1] in holder:
        field = followed(root, holder[path[-1]])
        holder[path[-1]] = {key: value for key, value in field.items() if key not in ("pattern", "format", "maxLength")}


class _Defaults(NamedTuple):
    """The defaults of an object's properties, and of nested objects."""

    own: dict[str, Any]
    below: dict[str, _Defaults]


def _defaults(root: dict[str, Any]) -> Callable[[Any], Any]:
    """Return a function that fills in the defaults of an object's properties, at every depth."""
    defaults = _property_defaults(root, followed(root, root), 0, {})
    if not defaults.own and not defaults.below:
        return lambda value: value
    return lambda value: _filled(value, defaults)


def _property_defaults(
    root: dict[str, Any], schema: dict[str, Any], depth: int, known: dict[tuple[int, int], _Defaults]
) -> _Defaults:
    found = known.get((id(schema), depth))
    if found is not None:
        return found
    found = known[id(schema), depth] = _Defaults({}, {})
    if depth > _DEFAULTS_DEPTH:
        return found
    for name, raw in _properties_of(schema):
        field = followed(root, raw)
        default = raw.get("default", field.get("default")) if isinstance(raw, dict) else None
        if default is not None:
            found.own[name] = default
        below = _property_defaults(root, field, depth + 1, known)
        if below.own or below.below:
            found.below[name] = below
    return found


def _properties_of(schema: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    properties = schema.get("properties")
    return properties.items() if isinstance(properties, dict) else ()


def _filled(value: Any, defaults: _Defaults) -> Any:
    if not isinstance(value, dict):
        return value
    out = {**defaults.own, **value}
    for name, below in defaults.below.items():
        if name in out:
            out[name] = _filled(out[name], below)
    return out


class _FieldNames(NamedTuple):
    """The fields that an object may have, and those of objects in them; none is an object of any fields."""

    below: dict[str, _FieldNames]


def _field_names(root: dict[str, Any], raw: Any, depth: int, known: dict[tuple[int, int], _FieldNames]) -> _FieldNames:
    """Collect the names of fields, those of alternatives included; a schema that is reached twice is read once."""
    schema = followed(root, raw)
    found = known.get((id(schema), depth))
    if found is not None:
        return found
    found = known[id(schema), depth] = _FieldNames({})
    if depth > _DEFAULTS_DEPTH:
        return found
    for name, field in _properties_of(schema):
        found.below[name] = _field_names(root, field, depth + 1, known)
    branches = [part for word in ("allOf", "anyOf", "oneOf") for part in schema.get(word) or ()]
    for part in (*branches, *(schema[word] for word in ("then", "else") if word in schema)):
        for name, names in _field_names(root, part, depth + 1, known).below.items():
            found.below.setdefault(name, names)
    return found


def _unknown_fields(value: Any, names: _FieldNames, place: str) -> Iterator[str]:
    """Yield the fields of an object that have no name in the schema, with the path to each."""
    if not isinstance(value, dict) or not names.below:
        return
    for name, each in value.items():
        if name in names.below:
            yield from _unknown_fields(each, names.below[name], f"{place}{name}.")
        else:
            yield f"{place}{name}"


def _missing_field(keys: tuple[str, ...], names: _FieldNames) -> tuple[str, list[str]] | None:
    """Return the first key that leads to no field, and the fields that are there."""
    for key in keys:
        if not names.below:
            return None
        if key not in names.below:
            return key, list(names.below)
        names = names.below[key]
    return None


def _is_grave(error: jsonschema_rs.ValidationError) -> bool:
    """Tell whether something is missing or of another type; of several forms, in each."""
    branches = error.kind.as_dict().get("context")
    if error.kind.name in ("oneOf", "anyOf") and branches:
        return all(any(map(_is_grave, branch)) for branch in branches)
    return error.kind.name in _GRAVE


def _problem(error: jsonschema_rs.ValidationError) -> Problem:
    """Explain a validation error, without quoting what the client sent."""
    path = [str(key) for key in error.instance_path]
    details = error.kind.as_dict()
    if error.kind.name == "required":
        path.append(str(details["property"]))
        message = "is required"
    elif "unexpected" in details:
        path.append(str(details["unexpected"][0])[:80])
        message = "unknown field"
    else:
        words = _WORDS.get(error.kind.name)
        message = "is not allowed here" if words is None else words(details)
    name = ".".join(path)
    return Problem(f"{name}: {message}" if name else f"the body {message}", name or None)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _none_of(details: dict[str, Any]) -> str:
    """Explain why the value matches none of the allowed forms."""
    wants = [_problem(branch[0]).message.removeprefix("the body ") for branch in details.get("context", ()) if branch]
    if not wants or len(wants) > _FORMS_TOLD:
        return "does not match any allowed form"
    return f"does not match any allowed form ({'; or '.join(wants)})"


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "type": lambda details: f"must be of type {' or '.join(details['types'])}",
    "enum": lambda details: (
        f"must be {'one of ' if len(details['options']) > 1 else ''}{', '.join(map(_written, details['options']))}"
    ),
    "const": lambda details: f"must be {_written(details['expected_value'])}",
    "minLength": lambda details: "must not be empty" if details["limit"] == 1 else "is too short",
    "maxLength": lambda details: f"is longer than {details['limit']} characters",
    "minimum": lambda details: f"must be at least {details['limit']}",
    "maximum": lambda details: f"must be at most {details['limit']}",
    "exclusiveMinimum": lambda details: f"must be more than {details['limit']}",
    "exclusiveMaximum": lambda details: f"must be less than {details['limit']}",
    "multipleOf": lambda details: f"must be a multiple of {_written(details['multiple_of'])}",
    "minItems": lambda details: f"must have at least {details['limit']} items",
    "maxItems": lambda details: f"must have at most {details['limit']} items",
    "uniqueItems": lambda _details: "contains duplicate items",
    "minProperties": lambda details: f"must have at least {details['limit']} fields",
    "maxProperties": lambda details: f"must have at most {details['limit']} fields",
    "pattern": lambda _details: "does not match the required pattern",
    "format": lambda details: f"is not a well-formed {details['format']}",
    "oneOf": _none_of,
    "anyOf": _none_of,
    "not": lambda _details: "contains mutually exclusive fields",
}
