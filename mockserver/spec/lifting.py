"""Makes one schema of a user's document a JSON Schema of OpenAPI 3.1, whatever version it was written for.

OpenAPI 3.0 says `nullable`, and `exclusiveMinimum: true`. Real documents also have keywords of a wrong form, and
patterns with look-around. Nothing of that keeps a document from being served: such a keyword is left out, and told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mockserver.patterns import InvalidPatternError, LinearPattern
from mockserver.spec.loading import shortened

_TYPES = ("null", "boolean", "object", "array", "number", "integer", "string")
#: Keywords that name or place a schema: it is moved, and found by its place alone.
_DROPPED = frozenset(("$id", "id", "$schema", "$anchor", "$vocabulary", "nullable"))
#: Pairs of a bound and of the keyword that OpenAPI 3.0 makes it exclusive with.
_EXCLUSIVE = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))

#: A keyword that is left out, and why.
LeftOut = tuple[str, str]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(each, str) and each in _TYPES for each in names)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_pattern(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        LinearPattern(value)
    except InvalidPatternError:
        return False
    return True


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_schemas(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


#: What the value of a keyword must be, and what it is called.
_FORMS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), (_is_number, "a number")),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains"),
        (_is_size, "a whole number from 0"),
    ),
    "type": (_is_type, f"one of {', '.join(_TYPES)}"),
    "required": (_is_texts, "a list of names"),
    "enum": (lambda value: isinstance(value, list) and bool(value), "a list"),
    "pattern": (_is_pattern, "a regular expression without look-around and back-references"),
    **dict.fromkeys(
        ("format", "title", "description", "$comment", "contentEncoding", "contentMediaType", "$dynamicRef"),
        (_is_text, "a text"),
    ),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), (_is_switch, "true or false")),
    "examples": (lambda value: isinstance(value, list), "a list"),
    **dict.fromkeys(
        ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "discriminator"),
        (_is_mapping, "a mapping"),
    ),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), (_is_schemas, "a list of schemas")),
}


def lifted(schema: Mapping[str, Any]) -> tuple[dict[str, Any], list[LeftOut]]:
    """Return a schema as OpenAPI 3.1 writes it, and what is left out; the schemas in it stay as they are."""
    out = {key: value for key, value in schema.items() if key not in _DROPPED or (key == "id" and _is_mapping(value))}
    _lift_bounds(out)
    left_out = list(_of_wrong_form(out))
    for key, _ in left_out:
        del out[key]
    if isinstance(out.get("type"), list):
        out["type"] = list(dict.fromkeys(out["type"]))
    return (_with_null(out) if schema.get("nullable") is True else out), left_out


def _lift_bounds(out: dict[str, Any]) -> None:
    for bound, exclusive in _EXCLUSIVE:
        if isinstance(out.get(exclusive), bool) and out.pop(exclusive) and bound in out:
            out[exclusive] = out.pop(bound)


def _of_wrong_form(schema: Mapping[str, Any]) -> Iterator[LeftOut]:
    for key, value in schema.items():
        if key in _FORMS and not _FORMS[key][0](value):
            yield key, f"is not {_FORMS[key][1]}: {shortened(repr(value))}"


def _with_null(out: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows null as well."""
    if "type" not in out:
        constrains = any(key in out for key in ("$ref", "allOf", "anyOf", "oneOf", "enum", "const"))
        return {"anyOf": [out, {"type": "null"}]} if constrains else out
    kinds = out["type"] if isinstance(out["type"], list) else [out["type"]]
    allowed = {**out, "type": [*kinds, *(["null"] if "null" not in kinds else [])]}
    if "enum" in out and None not in out["enum"]:
        allowed["enum"] = [*out["enum"], None]
    if any(key in out for key in ("$ref", "allOf", "anyOf", "oneOf", "const")):
        return {"anyOf": [out, {"type": "null"}]}
    return allowed
