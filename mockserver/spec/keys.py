"""Checks keys and values that OpenAPI's own schema lets pass: null values, and unknown keywords of JSON Schemas.

In YAML's flow style, a comma inside a plain text starts a new key: `{description: One, or two}` has the keys
`description` and `or two`, and the second is null. Other tools stop at that.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from mockserver.spec.document import Document, SpecIssue

_Path = tuple[str | int, ...]

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


def key_issues(document: Document) -> list[SpecIssue]:
    """Return the null values and the unknown keywords of a document, in and out of its dialects."""
    issues = dict.fromkeys(_issues(document))
    for name, entry in _dialects(document.data).items():
        patched = document.patched(entry["patch"])
        for issue in _issues(patched):
            if issue not in issues:
                in_dialect = SpecIssue(issue.file, issue.line, f"in the dialect {name}, {issue.message}", issue.fix)
                issues[in_dialect] = None
    return list(issues)


def _dialects(data: dict[str, Any]) -> dict[str, Any]:
    mock = data.get("x-mock")
    found = mock.get("dialects") if isinstance(mock, dict) else None
    entries = found.items() if isinstance(found, dict) else ()
    return {name: each for name, each in entries if isinstance(each, dict) and isinstance(each.get("patch"), dict)}


def _issues(document: Document) -> Iterator[SpecIssue]:
    for path in _nulls(document.data, ()):
        yield document.issue(path, "has no value", "quote the text before it if it contains a comma, or remove the key")
    for path in _unknown_keywords(document.data, (), schema=False):
        known = get_close_matches(str(path[-1]), _KEYWORDS, 1)
        fix = f"did you mean {known[0]}?" if known else "JSON Schema has no such keyword; own ones start with x-"
        yield document.issue(path, "unknown key of a schema", fix)


def _nulls(value: Any, path: _Path) -> Iterator[_Path]:
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


def _names_parts(path: _Path) -> bool:
    """Tell whether the keys at this path are names that the author chose, such as those of properties."""
    return bool(path) and path[-1] in (*_MAP_OF_SCHEMAS, "schemas", "responses", "parameters", "headers", "paths")


def _unknown_keywords(value: Any, path: _Path, *, schema: bool) -> Iterator[_Path]:
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _unknown_keywords(each, (*path, index), schema=schema)
        return
    if not isinstance(value, dict):
        return
    for key, each in value.items():
        here = (*path, key)
        if schema:
            if key not in _KEYWORDS and not key.startswith("x-"):
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
