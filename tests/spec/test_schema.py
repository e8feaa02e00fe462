"""Compiled schemas: the fast validator agrees with the reference one, explains itself, and fills in defaults."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engine import providers
from support.tables import for_each

from mockserver.provider import Problem
from mockserver.spec.document import Document
from mockserver.spec.pointer import pointed
from mockserver.spec.schema import compile_schema
from mockserver.spec.vocabulary import builtin_specs

DOCUMENTS = {path.stem: Document.read(path) for path in builtin_specs()}
MODELS = {
    f"{stem}/{name}": (document, entry["request"], entry["example"])
    for stem, document in DOCUMENTS.items()
    for name, entry in document.data["x-mock"]["models"].items()
}
EMPTY = Document("none", "", {})


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """Judge a value by a schema without a document."""
    return compile_schema(EMPTY, schema).accepts(value)


def explained(schema: dict[str, Any], value: Any) -> list[tuple[str | None, str]]:
    """Return field and message of every problem."""
    return [(problem.field, problem.message) for problem in compile_schema(EMPTY, schema).problems(value)]


def reference(document: Document, pointer: str) -> jsonschema.Draft202012Validator:
    """Make the reference validator of a schema in a document."""
    return jsonschema.Draft202012Validator({"$ref": pointer, "components": document.data["components"]})


# -- agreement with the reference -------------------------------------------------------------------

#: Strings that matter to some field of some spec, and others; none ends in a newline, before which Python's $ matches.
STRINGS = st.sampled_from(
    ["", "auto", "16:9", "9:16", "720P", "720p", "1080p", "4k", "4K", "en-US", "e", "https://a.example/x", "http://a"]
) | st.text(max_size=6).filter(lambda text: not text.endswith("\n"))
NUMBERS = st.sampled_from([0, 3, 4, 5, 6, 7, 8, 10, 11, 6.0, 6.5, -1, 1e300, 2**64 - 1, -(2**63)])
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | STRINGS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(STRINGS, children, max_size=3),
    max_leaves=4,
)


@st.composite
def bodies(draw: st.DrawFn, document: Document, pointer: str, example: dict[str, Any]) -> Any:
    """Spoil an example in some places, or add fields that the schema knows."""
    body = deepcopy(example)
    schema = document.resolve(pointer)
    for _ in range(draw(st.integers(0, 4))):
        here, known = body, schema
        while draw(st.booleans()) and (inner := [key for key, each in here.items() if isinstance(each, dict)]):
            key = draw(st.sampled_from(inner))
            known = _resolved(document, known.get("properties", {}).get(key, {}))
            here = here[key]
        names = sorted({*known.get("properties", {}), *here, "unknown"})
        name = draw(st.sampled_from(names))
        if draw(st.integers(0, 4)) == 0:
            here.pop(name, None)
        else:
            field = _resolved(document, known.get("properties", {}).get(name, {}))
            here[name] = draw(_near(document, field) | ANYTHING)
    return body


def _resolved(document: Document, schema: Any) -> dict[str, Any]:
    while isinstance(schema, dict) and "$ref" in schema:
        schema = document.resolve(schema["$ref"])
    return schema if isinstance(schema, dict) else {}


def _near(document: Document, field: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Draw values at the borders of what a field allows."""
    found: list[Any] = [*field.get("enum", []), *field.get("examples", [])]
    if "const" in field:
        found.append(field["const"])
    for limit in ("minimum", "maximum", "exclusiveMinimum"):
        if limit in field:
            found += [field[limit] - 1, field[limit], field[limit] + 1, float(field[limit]), field[limit] + 0.5]
    for limit in ("minLength", "maxLength"):
        if limit in field and field[limit] <= 2048:
            found += ["é" * field[limit], "\N{GRINNING FACE}" * (field[limit] + 1)]
    if "items" in field:
        item = _resolved(document, field["items"])
        filling: Any = "https://a.example/x"
        if "properties" in item:
            filling = {"url": filling, "start": 0, "ends": 1}
        found += [[filling] * count for count in (0, 1, 2, 5, 6, 7, 8)]
    return st.sampled_from(found) if found else st.nothing()


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=25)
@given(data=st.data())
def test_both_validators_judge_a_submit_body_alike(name: str, data: st.DataObject) -> None:
    """Good, spoilt and borderline bodies of every model are accepted by both validators or by neither."""
    document, pointer, example = MODELS[name]
    fast = compile_schema(document, document.resolve(pointer))
    body = data.draw(bodies(document, pointer, example))
    assert fast.accepts(body) == reference(document, pointer).is_valid(body)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=25)
@given(data=st.data())
def test_every_refusal_is_explained_and_no_other(name: str, data: st.DataObject) -> None:
    """A body has problems exactly when it is not accepted: at most ten, each in words, with the field at fault."""
    document, pointer, example = MODELS[name]
    fast = compile_schema(document, document.resolve(pointer))
    body = data.draw(bodies(document, pointer, example))
    problems = fast.problems(body)
    assert bool(problems) is not fast.accepts(body)
    assert len(problems) <= 10
    for problem in problems:
        assert problem.message
        if problem.field is None:
            assert problem.message.startswith("the body ")
        else:
            assert problem.message.startswith(f"{problem.field}: ")
            holder, _, last = problem.field.rpartition(".")
            there = pointed(body, tuple(holder.split("."))) if holder else body
            missing = problem.message.endswith("is required")
            assert missing is (isinstance(there, dict) and last not in there)


TYPES = ["string", "integer", "number", "boolean", "null", "array", "object"]
NAMES = st.sampled_from(["a", "b", "c"])
SMALL = st.integers(0, 3)


def _schemas(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parts: dict[str, st.SearchStrategy[Any]] = {
        "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, max_size=2, unique=True),
        "enum": st.lists(st.none() | st.booleans() | SMALL | st.sampled_from(["", "a", 1.0]), min_size=1, max_size=3),
        "const": st.none() | st.booleans() | SMALL | st.just("a") | st.just([1]) | st.just({"a": 0}),
        "minimum": SMALL,
        "maximum": SMALL,
        "exclusiveMinimum": SMALL,
        "multipleOf": st.integers(1, 3),
        "minLength": SMALL,
        "maxLength": SMALL,
        "pattern": st.sampled_from(["^a", "b", "^[0-9]+", "a.c"]),
        "minItems": SMALL,
        "maxItems": SMALL,
        "uniqueItems": st.booleans(),
        "items": children,
        "required": st.lists(NAMES, max_size=2, unique=True),
        "properties": st.dictionaries(NAMES, children, max_size=3),
        "additionalProperties": st.booleans() | children,
        "minProperties": SMALL,
        "allOf": st.lists(children, min_size=1, max_size=2),
        "anyOf": st.lists(children, min_size=1, max_size=2),
        "oneOf": st.lists(children, min_size=1, max_size=2),
        "not": children,
        "if": children,
        "then": children,
        "else": children,
    }
    keys = st.lists(st.sampled_from(sorted(parts)), max_size=4, unique=True)
    return keys.flatmap(lambda chosen: st.fixed_dictionaries({key: parts[key] for key in chosen}))


SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.recursive(st.just({}) | _schemas(st.just({})), _schemas, max_leaves=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 4) | st.sampled_from([1.0, 1.5, "", "a", "ab", "abc", "7"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(NAMES, children, max_size=3),
    max_leaves=5,
)


@pytest.mark.slow
@settings(max_examples=150)
@given(SCHEMAS, st.lists(VALUES, min_size=5, max_size=5))
def test_both_validators_judge_any_schema_alike(schema: dict[str, Any], values: list[Any]) -> None:
    """Of schemas and values at random, what one validator accepts the other does too; every problem has words."""
    fast, slow = compile_schema(EMPTY, schema), jsonschema.Draft202012Validator(schema)
    for value in values:
        verdict = slow.is_valid(value)
        assert fast.accepts(value) is verdict
        problems = fast.problems(value)
        assert bool(problems) is not verdict
        assert all(isinstance(problem.message, str) and problem.message for problem in problems)
        fast.with_defaults(value)


# -- words ------------------------------------------------------------------------------------------


@for_each(
    ("schema", "value", "problems"),
    [
        ({"type": "string"}, 1, [(None, "the body must be of type string")]),
        ({"properties": {"a": {"type": ["string", "null"]}}}, {"a": 1}, [("a", "a: must be of type null or string")]),
        ({"required": ["a", "b"]}, {}, [("a", "a: is required"), ("b", "b: is required")]),
        ({"properties": {"a": {"required": ["b"]}}}, {"a": {}}, [("a.b", "a.b: is required")]),
        ({"items": {"minimum": 2}}, [2, 1], [("1", "1: must be at least 2")]),
        ({"maximum": 2}, 3, [(None, "the body must be at most 2")]),
        ({"exclusiveMinimum": 0}, 0, [(None, "the body must be more than 0")]),
        ({"exclusiveMaximum": 1}, 1, [(None, "the body must be less than 1")]),
        ({"multipleOf": 2}, 3, [(None, "the body must be a multiple of 2")]),
        ({"enum": ["a", 1, None, True]}, "b", [(None, "the body must be one of a, 1, null, true")]),
        ({"const": "a"}, "b", [(None, "the body must be a")]),
        ({"const": None}, 1, [(None, "the body must be null")]),
        ({"minLength": 1}, "", [(None, "the body must not be empty")]),
        ({"minLength": 2}, "a", [(None, "the body is too short")]),
        ({"maxLength": 2}, "abc", [(None, "the body is longer than 2 characters")]),
        ({"pattern": "^a"}, "b", [(None, "the body does not match the required pattern")]),
        ({"minItems": 1}, [], [(None, "the body must have at least 1 items")]),
        ({"maxItems": 1}, [1, 2], [(None, "the body must have at most 1 items")]),
        ({"uniqueItems": True}, [1, 1], [(None, "the body contains duplicate items")]),
        ({"minProperties": 2}, {"a": 1}, [(None, "the body must have at least 2 fields")]),
        ({"maxProperties": 0}, {"a": 1}, [(None, "the body must have at most 0 fields")]),
        (
            {"properties": {"a": {}}, "additionalProperties": False},
            {"a": 1, "b": 2},
            [("b", "b: unknown field")],
        ),
        ({"unevaluatedProperties": False}, {"b": 2}, [("b", "b: unknown field")]),
        ({"properties": {"a": False}}, {"a": 1}, [("a", "a: is not allowed here")]),
        (
            {"oneOf": [{"type": "integer"}, {"const": "auto"}]},
            "x",
            [(None, "the body does not match any allowed form (must be of type integer; or must be auto)")],
        ),
        ({"not": {"required": ["a"]}}, {"a": 1}, [(None, "the body contains mutually exclusive fields")]),
    ],
)
def test_a_problem_is_told_in_words(schema: dict[str, Any], value: Any, problems: list[tuple[str | None, str]]) -> None:
    """Each rule has words of its own, with the path of the field and the limit that it broke."""
    assert explained(schema, value) == problems


def test_problems_come_in_the_order_of_their_fields() -> None:
    """Of several problems the order is that of the fields' paths, the same in every run."""
    schema = {"properties": {name: {"type": "string"} for name in "cab"}, "required": ["z"]}
    assert [field for field, _ in explained(schema, {"c": 1, "b": 1, "a": 1})] == ["z", "a", "b", "c"]


def test_ten_problems_are_enough() -> None:
    """A body with a thousand problems is told ten."""
    assert len(explained({"items": {"type": "string"}}, list(range(1_000)))) == 10


@for_each("name", MODELS)
def test_what_the_client_sent_is_not_repeated(name: str) -> None:
    """No message shows a value of the body, however wrong: it may be secret, and it may be endless."""
    document, pointer, example = MODELS[name]
    fast = compile_schema(document, document.resolve(pointer))
    secret = "s3cr3t" * 1_000
    for field in document.resolve(pointer)["properties"]:
        for value in (secret, [secret], {"a": secret}):
            for problem in fast.problems({**example, field: value}):
                assert "s3cr3t" not in problem.message
                assert len(problem.message) < 300


def test_an_invalid_schema_is_refused() -> None:
    """A type that does not exist is told when the spec is read."""
    with pytest.raises(ValueError, match="nonsense"):
        compile_schema(EMPTY, {"type": "nonsense"})


def test_a_reference_that_leads_nowhere_is_refused() -> None:
    """A component that is not there is told when the spec is read."""
    with pytest.raises(KeyError):
        compile_schema(EMPTY, {"$ref": "#/components/schemas/Nothing"})


def test_references_may_go_in_circles() -> None:
    """A schema of trees is compiled and judges trees."""
    tree = {"type": "object", "properties": {"left": {"$ref": "#/components/schemas/Tree"}, "n": {"type": "integer"}}}
    document = Document("d", "", {"components": {"schemas": {"Tree": tree}}})
    fast = compile_schema(document, {"$ref": "#/components/schemas/Tree"})
    assert fast.accepts({"left": {"left": {"n": 1}}})
    assert not fast.accepts({"left": {"left": {"n": "1"}}})
    assert fast.with_defaults({"left": {"n": 1}}) == {"left": {"n": 1}}


def test_formats_are_judged() -> None:
    """A text that does not have the format its schema names is refused, and told so."""
    schema = {"properties": {"url": {"type": "string", "format": "uri"}}}
    fast = compile_schema(EMPTY, schema)
    assert fast.accepts({"url": "https://client.example/a.mp4"})
    assert not fast.accepts({"url": "no uri at all"})
    assert fast.problems({"url": "no uri at all"})[0].message == "url: is not a well-formed uri"


# -- the callback address ---------------------------------------------------------------------------


def test_a_lifted_field_loses_its_text_rules_only() -> None:
    """Pattern, format and greatest length are lifted; that it is a string stays, and so does every other field."""
    text = {"type": "string", "pattern": "^https:", "format": "uri", "maxLength": 9}
    schema = {"properties": {"url": text, "other": text}, "required": ["url"]}
    fast = compile_schema(EMPTY, schema, ("url",))
    verdicts = [
        fast.accepts(value) for value in ({"url": "ftp://long.example"}, {"url": 7}, {}, {"url": "", "other": "x"})
    ]
    assert verdicts == [True, False, False, False]
    assert schema["properties"]["url"] == text  # type: ignore[index]


def test_a_field_is_lifted_through_references_and_levels() -> None:
    """The field may stand below others and behind references; who else refers to the same schema keeps it."""
    components = {
        "Url": {"type": "string", "pattern": "^https:"},
        "Hook": {"properties": {"to": {"$ref": "#/components/schemas/Url"}}},
    }
    document = Document("d", "", {"components": {"schemas": components}})
    schema = {
        "properties": {"hook": {"$ref": "#/components/schemas/Hook"}, "image": {"$ref": "#/components/schemas/Url"}}
    }
    fast = compile_schema(document, schema, ("hook", "to"))
    assert fast.accepts({"hook": {"to": "http://a"}})
    assert not fast.accepts({"image": "http://a"})


@pytest.mark.parametrize("path", [("missing",), ("a", "b", "c"), ("a", "missing")])
def test_a_field_that_is_not_there_needs_no_lifting(path: tuple[str, ...]) -> None:
    """A provider whose schema does not describe the field compiles all the same."""
    assert compile_schema(EMPTY, {"properties": {"a": {"properties": {"b": True}}}}, path).accepts({"a": {}})


# -- defaults ---------------------------------------------------------------------------------------

#: What the documents say stands for a field that was not sent.
DEFAULTS: dict[str, dict[str, Any]] = {
    "gemini_omni": {"aspect_ratio": "16:9", "duration": 6, "resolution": "720P"},
    "gemini-omni-flash": {"aspect_ratio": "16:9", "duration": 6, "resolution": "720P"},
    "gemini_omni_flash": {"aspect_ratio": "16:9", "duration": 6, "resolution": "720P"},
    "gemini-omni-flash-text-to-video": {"duration": 10, "aspect_ratio": "16:9"},
    "gemini-omni-video": {},
    "gemini-omni-character": {},
    "gemini-omni-audio": {},
}


@for_each("model", DEFAULTS)
def test_the_documents_defaults_are_filled_in(model: str) -> None:
    """A body with only a model and a prompt is completed with the documents' defaults, and nothing else."""
    provider = next(each for each in providers().values() if model in each.models)
    body = {"model": model, "prompt": "x"}
    assert provider.models[model].request.with_defaults(body) == {**DEFAULTS[model], **body}


def test_cruns_inner_defaults_are_filled_in() -> None:
    """Crun's defaults stand inside `input`: 720p and 4 s."""
    fill = providers()["crun"].models["google/gemini-omni"].request.with_defaults
    filled = fill({"model": "google/gemini-omni", "input": {"prompt": "x"}})
    assert filled["input"] == {"prompt": "x", "resolution": "720p", "duration": 4}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=25)
@given(data=st.data())
def test_defaults_change_nothing_that_was_sent(name: str, data: st.DataObject) -> None:
    """Whatever was sent stays, the body itself is not touched, filling twice is filling once, good stays good."""
    document, pointer, example = MODELS[name]
    fast = compile_schema(document, document.resolve(pointer))
    body = data.draw(bodies(document, pointer, example))
    before = deepcopy(body)
    filled = fast.with_defaults(body)
    assert body == before
    assert _holds(filled, body)
    assert fast.with_defaults(filled) == filled


def _holds(filled: Any, sent: Any) -> bool:
    """Tell whether everything that was sent is still there."""
    if isinstance(sent, dict) and isinstance(filled, dict):
        return all(key in filled and _holds(filled[key], value) for key, value in sent.items())
    return bool(filled == sent)


def test_null_is_sent() -> None:
    """A field that was sent as null is not filled in."""
    fill = compile_schema(EMPTY, {"properties": {"a": {"default": 1}}}).with_defaults
    assert (fill({"a": None}), fill({}), fill([]), fill(None)) == ({"a": None}, {"a": 1}, [], None)


def test_a_false_default_is_a_default() -> None:
    """0, false and the empty string are filled in like any other value."""
    properties = {name: {"default": value} for name, value in {"a": 0, "b": False, "c": ""}.items()}
    assert compile_schema(EMPTY, {"properties": properties}).with_defaults({}) == {"a": 0, "b": False, "c": ""}


def test_defaults_are_found_behind_references_and_inside_objects() -> None:
    """The default beside a reference wins over that of what it refers to; objects that were sent are filled inside."""
    components = {
        "Size": {"type": "integer", "default": 1},
        "Box": {"properties": {"size": {"$ref": "#/components/schemas/Size"}}},
    }
    document = Document("d", "", {"components": {"schemas": components}})
    schema = {
        "properties": {
            "box": {"$ref": "#/components/schemas/Box"},
            "near": {"$ref": "#/components/schemas/Size", "default": 2},
            "far": {"$ref": "#/components/schemas/Size"},
        }
    }
    fill = compile_schema(document, schema).with_defaults
    assert fill({}) == {"near": 2, "far": 1}
    assert fill({"box": {}}) == {"box": {"size": 1}, "near": 2, "far": 1}
    assert fill({"box": "no object"})["box"] == "no object"


def test_a_problem_is_a_value() -> None:
    """Problems compare by what they say."""
    assert compile_schema(EMPTY, {"required": ["a"]}).problems({}) == [Problem("a: is required", "a")]
