"""Checks what OpenAPI's own schema lets pass: null values, infinite numbers, unknown keywords of JSON Schemas.

In YAML's flow style, a comma inside a plain text starts a new key: `{description: One, or two}` has the keys
`description` and `or two`, and the second is null. Other tools stop at that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from mockserver.spec.document import Document, Path_
from mockserver.spec.mistakes import NOTHING, Mistake, unknown_key
from mockserver.spec.schema import LINEAR

#: The keywords of JSON Schema 2020-12, and those that OpenAPI 3.1 adds; `x-` names are free.
_KEYWORDS = frozenset(
    (
        "$schema",
        "$id",
        "$ref",
        "$anchor",
        "$dynamicRef",
        "$dynamicAnchor",
        "$vocabulary",
        "$comment",
        "$defs",
        "definitions",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "dependentSchemas",
        "dependentRequired",
        "prefixItems",
        "items",
        "contains",
        "properties",
        "patternProperties",
        "additionalProperties",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
        "type",
        "enum",
        "const",
        "multipleOf",
        "maximum",
        "exclusiveMaximum",
        "minimum",
        "exclusiveMinimum",
        "maxLength",
        "minLength",
        "pattern",
        "maxItems",
        "minItems",
        "uniqueItems",
        "maxContains",
        "minContains",
        "maxProperties",
        "minProperties",
        "required",
        "title",
        "description",
        "default",
        "deprecated",
        "readOnly",
        "writeOnly",
        "examples",
        "format",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "discriminator",
        "xml",
        "externalDocs",
        "example",
    )
)
_ONE_SCHEMA = frozenset(
    (
        "not",
        "if",
        "then",
        "else",
        "items",
        "contains",
        "additionalProperties",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
        "contentSchema",
    )
)
_LIST_OF_SCHEMAS = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_MAP_OF_SCHEMAS = frozenset(("properties", "patternProperties", "dependentSchemas", "$defs", "definitions"))
#: Keys whose values may be any JSON: null means null there.
_ANY_JSON = frozenset(("example", "examples", "default", "const", "enum", "value"))
_PATTERN_FIX = "write it without look-around and back-references, and close each bracket"


def null_mistakes(document: Document) -> Iterator[Mistake]:
    """Yield the null values of a document."""
    for path in _nulls(document.data, ()):
        fix = "quote the text before it if it contains a comma, or remove the key"
        yield Mistake("value", path, "has no value", fix, NOTHING)


def number_mistakes(document: Document) -> Iterator[Mistake]:
    """Yield the numbers of a document that JSON cannot hold, such as `.nan`."""
    for path in _not_finite(document.data, ()):
        yield Mistake("value", path, "is not a finite number", "write a number", 0)


def keyword_mistakes(document: Document) -> Iterator[Mistake]:
    """Yield the unknown keywords of the schemas of a document."""
    for path in _unknown_keywords(document.data, (), schema=False):
        fix = "JSON Schema has no such keyword; own ones start with x-"
        if path[-1] == "pattern":
            yield Mistake("value", path, "is not a regular expression", _PATTERN_FIX, NOTHING)
        else:
            yield unknown_key(path, _KEYWORDS, fix)._replace(message=f"unknown key of a schema: {path[-1]}")


def _not_finite(value: Any, path: Path_) -> Iterator[Path_]:
    if isinstance(value, float) and not math.isfinite(value):
        yield path
    elif isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _not_finite(each, (*path, key))


def _nulls(value: Any, path: Path_) -> Iterator[Path_]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key.startswith("x-") or (key in _ANY_JSON and not _names_parts(path)):
                continue
            if each is None:
                yield (*path, key)
            else:
                yield from _nulls(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            if each is None:
                yield (*path, index)
            else:
                yield from _nulls(each, (*path, index))


def _names_parts(path: Path_) -> bool:
    """Tell whether the keys at this path are names that the author chose, such as those of properties."""
    return bool(path) and path[-1] in (*_MAP_OF_SCHEMAS, "schemas", "responses", "parameters", "headers", "paths")


def _is_pattern(value: Any) -> bool:
    """Tell whether schemas can use a pattern; a value that is not a string is reported elsewhere."""
    try:
        jsonschema_rs.Draft202012Validator({"pattern": value}, pattern_options=LINEAR)
    except (ValueError, jsonschema_rs.ValidationError):
        return not isinstance(value, str)
    return True


def _unknown_keywords(value: Any, path: Path_, *, schema: bool) -> Iterator[Path_]:
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _unknown_keywords(each, (*path, index), schema=schema)
        return
    if not isinstance(value, dict):
        return
    for key, each in value.items():
        here = (*path, key)
        if schema:
            unknown = key not in _KEYWORDS and not key.startswith("x-")
            if unknown or (key == "pattern" and not _is_pattern(each)):
                yield here
            elif key in _ONE_SCHEMA or key in _LIST_OF_SCHEMAS:
                yield from _unknown_keywords(each, here, schema=True)
            elif key in _MAP_OF_SCHEMAS and isinstance(each, dict):
                for name, part in each.items():
                    yield from _unknown_keywords(part, (*here, name), schema=True)
        elif key == "schema":
            yield from _unknown_keywords(each, here, schema=True)
        elif here == ("components", "schemas") and isinstance(each, dict):
            for name, part in each.items():
                yield from _unknown_keywords(part, (*here, name), schema=True)
        elif not key.startswith("x-") and (key not in _ANY_JSON or _names_parts(path)):
            yield from _unknown_keywords(each, here, schema=False)
