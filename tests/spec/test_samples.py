"""A sample fits its schema, is the same for the same draw, and shows what the document shows."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from mockserver.chance import Chance
from mockserver.spec.samples import sample

DRAWN = Chance(7).draw("sample")
TREE = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "child": {"$ref": "#/components/schemas/Tree"},
        "twigs": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
    },
}
CAT = {
    "type": "object",
    "required": ["kind", "lives"],
    "properties": {"kind": {"type": "string"}, "lives": {"const": 9}},
}
DATA: dict[str, Any] = {"components": {"schemas": {"Tree": TREE, "Cat": CAT}}}

#: Schemas of every kind that answers have.
SCHEMAS: list[dict[str, Any]] = [
    {"type": "string", "minLength": 40},
    {"type": "string", "maxLength": 3},
    {"type": "string", "maxLength": 0},
    {"type": "string", "pattern": "^task_[0-9a-f]{12}$"},
    {"type": "string", "pattern": "^[A-Z]{3}$"},
    {"type": "string", "minLength": 5, "maxLength": 5, "pattern": "^[0-9]+$"},
    *({"type": "string", "format": each} for each in ("date-time", "date", "uuid", "email", "ipv4", "ipv6", "uri")),
    {"type": "integer", "minimum": 5, "maximum": 5},
    {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
    {"type": "integer", "minimum": 1, "multipleOf": 7},
    {"type": "integer", "maximum": -10},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 0.001},
    {"type": "number", "multipleOf": 0.5},
    {"type": ["null", "boolean"]},
    {"type": "null"},
    {"enum": [None, "a", "b"]},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3},
    {"type": "array", "items": {"type": "integer"}, "maxItems": 0},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
    {"type": "object", "required": ["free"], "additionalProperties": False, "properties": {"free": {}}},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"required": ["a", "b"]}]},
    {"allOf": [{"type": "integer", "minimum": 3}, {"minimum": 1, "maximum": 4}]},
    {"oneOf": [{"type": "null"}, {"type": "object", "required": ["a"], "properties": {"a": {"type": "boolean"}}}]},
    {"anyOf": [{"$ref": "#/components/schemas/Cat"}, {"type": "string"}]},
    {"$ref": "#/components/schemas/Tree"},
    {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Tree"}},
    {"properties": {"no_type": {"minLength": 2}}, "required": ["no_type"]},
    {},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_a_sample_fits(schema: dict[str, Any]) -> None:
    """Whatever the seed, and the same one each time."""
    validator = jsonschema_rs.Draft202012Validator({**schema, **DATA}, validate_formats=True)
    for seed in range(20):
        drawn = Chance(seed).draw("sample")
        made = sample(DATA, schema, drawn)
        assert [str(each) for each in validator.iter_errors(made)] == []
        assert sample(DATA, schema, drawn) == made


def test_what_the_document_shows_is_taken() -> None:
    """Examples, then defaults, then the first word of an enum."""
    properties = {
        "example": {"type": "string", "example": "shown"},
        "examples": {"type": "string", "examples": ["first", "second"]},
        "default": {"type": "integer", "default": 3},
        "enum": {"enum": ["one", "two"]},
        "const": {"const": 5},
    }
    made = sample(DATA, {"type": "object", "properties": properties}, DRAWN)
    assert made == {"example": "shown", "examples": "first", "default": 3, "enum": "one", "const": 5}


def test_other_seeds_make_other_values_and_a_new_field_changes_no_other() -> None:
    """A part has its own draw."""
    one: dict[str, Any] = {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}}}
    two = {"type": "object", "properties": {"at": {"type": "string"}, **one["properties"]}}
    assert sample(DATA, one, DRAWN) != sample(DATA, one, Chance(8).draw("sample"))
    assert sample(DATA, one, DRAWN)["id"] == sample(DATA, two, DRAWN)["id"]


def test_what_only_requests_have_is_left_out() -> None:
    """A password is written, and never shown."""
    schema = {"type": "object", "properties": {"id": {"const": 1}, "password": {"type": "string", "writeOnly": True}}}
    assert sample(DATA, schema, DRAWN) == {"id": 1}


def test_a_discriminator_names_the_branch() -> None:
    """By the mapping, or by the name of the schema."""
    cat = "#/components/schemas/Cat"
    schema: dict[str, Any] = {"oneOf": [{"$ref": cat}], "discriminator": {"propertyName": "kind"}}
    assert sample(DATA, schema, DRAWN) == {"kind": "Cat", "lives": 9}
    schema["discriminator"]["mapping"] = {"cat": cat}
    assert sample(DATA, schema, DRAWN) == {"kind": "cat", "lives": 9}


@pytest.mark.parametrize("required", [False, True])
def test_schemas_that_refer_to_each_other_a_lot_make_no_endless_value(required: bool) -> None:
    """Twenty schemas, each with a field for each."""
    names = [f"S{number}" for number in range(20)]
    fields = {name: {"$ref": f"#/components/schemas/{name}"} for name in names}
    rules = {"type": "object", "properties": fields, "required": names if required else []}
    data = {"components": {"schemas": {name: dict(rules) for name in names}}}
    made = sample(data, fields["S0"], DRAWN)
    assert len(repr(made)) < 100_000


def test_a_schema_that_needs_itself_has_an_end() -> None:
    """It cannot be satisfied; null stands for it."""
    itself = {"$ref": "#/components/schemas/Loop"}
    data = {"components": {"schemas": {"Loop": {"required": ["next"], "properties": {"next": itself}}}}}
    assert sample(data, itself, DRAWN) is None
