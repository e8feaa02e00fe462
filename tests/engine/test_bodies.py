"""Request bodies beside JSON, and how a submit names its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
import pytest
from support.edge import serving
from support.small import KEY, PATH, Small, issues, multipart, spec, submit

from mockserver.provider import ProviderRules

if TYPE_CHECKING:
    from pathlib import Path

FIELDS: dict[str, Any] = {
    "prompt": {"type": "string", "minLength": 1},
    "seconds": {"type": "string", "enum": ["4", "8"], "default": "4"},
    "steps": {"type": "integer", "maximum": 50},
    "scale": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    "loop": {"type": "boolean"},
    "length": {"anyOf": [{"type": "string", "enum": ["auto"]}, {"type": "integer"}]},
    "tags": {"type": "array", "items": {"type": "string"}},
    "sizes": {"type": "array", "items": {"type": "integer"}},
    "extra": {"type": "object", "properties": {"n": {"type": "integer"}}},
    "shots": {"type": "array", "items": {"type": "object", "properties": {"at": {"type": "number"}}}},
    "image": {"type": "string", "format": "binary"},
}
SCHEMA = {"type": "object", "required": ["prompt"], "properties": FIELDS, "additionalProperties": False}
MULTIPART = {"multipart/form-data": {"schema": SCHEMA, "encoding": {"image": {"contentType": "image/png, image/jpeg"}}}}
URLENCODED = {"application/x-www-form-urlencoded": {"schema": SCHEMA}}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

#: The fields of a form, and what the task's input makes of them.
GOOD: list[tuple[list[tuple[str, str]], dict[str, Any]]] = [
    ([("steps", "20")], {"steps": 20}),
    ([("scale", "1.5"), ("loop", "true")], {"scale": 1.5, "loop": True}),
    ([("scale", "")], {"scale": None}),
    ([("seconds", "8")], {"seconds": "8"}),
    ([("length", "auto")], {"length": "auto"}),
    ([("length", "7")], {"length": 7}),
    ([("tags", "7")], {"tags": ["7"]}),
    ([("tags", "a"), ("tags", "b")], {"tags": ["a", "b"]}),
    ([("tags[]", "a"), ("tags[]", "b")], {"tags": ["a", "b"]}),
    ([("sizes", "[1, 2]")], {"sizes": [1, 2]}),
    ([("sizes[0]", "1"), ("sizes[1]", "2")], {"sizes": [1, 2]}),
    ([("extra", '{"n": 1}')], {"extra": {"n": 1}}),
    ([("extra[n]", "1")], {"extra": {"n": 1}}),
    ([("shots[0][at]", "0.5"), ("shots[1][at]", "2")], {"shots": [{"at": 0.5}, {"at": 2}]}),
]
#: What is refused, and the field at fault.
BAD: list[tuple[list[tuple[str, str]], str]] = [
    ([("steps", "many")], "steps"),
    ([("steps", "51")], "steps"),
    ([("steps", "1"), ("steps", "2")], "steps"),
    ([("loop", "maybe")], "loop"),
    ([("seconds", "5")], "seconds"),
    ([("length", "long")], "length"),
    ([("extra[n]", "x")], "extra.n"),
    ([("extra", '{"n": NaN}')], "extra"),
    ([("colour", "red")], "colour"),
]


def sent(small: Small, media: str, fields: list[tuple[str, str]]) -> Any:
    """Send the fields as a form."""
    fields = [("prompt", "a kite"), *fields]
    if media == "multipart":
        body, headers = multipart(*((name, text, None, None) for name, text in fields))
    else:
        body, headers = urlencode(fields).encode(), FORM
    answer = small.send("POST", "/jobs", body, headers=headers)
    return answer.status, orjson.loads(answer.body)


@pytest.mark.parametrize("media", ["multipart", "urlencoded"])
def test_texts_of_a_form_become_what_the_schema_has(tmp_path: Path, media: str) -> None:
    """Numbers, booleans, lists and objects; a text stays one where the schema takes it."""
    small = Small(tmp_path, spec({"/jobs": submit(content=MULTIPART | URLENCODED)}))
    for fields, expected in GOOD:
        status, told = sent(small, media, fields)
        assert (status, told.get("input")) == (200, {"seconds": "4", "prompt": "a kite", **expected}), told
    for fields, field in BAD:
        status, told = sent(small, media, fields)
        assert (status, told["error"]["param"]) == (400, field), told


def test_files_stand_in_parts(tmp_path: Path) -> None:
    """The value of a file is its name; its media type must be one that the document names."""
    small = Small(tmp_path, spec({"/jobs": submit(content=MULTIPART)}))
    prompt = ("prompt", "a kite", None, None)
    body, headers = multipart(prompt, ("image", b"\x89PNG\xff", "a.png", "image/png"))
    assert small.json("POST", "/jobs", body, headers=headers)["input"]["image"] == "a.png"
    body, headers = multipart(prompt, ("image", b"BM", "a.bmp", "image/bmp"))
    told = orjson.loads(small.send("POST", "/jobs", body, headers=headers).body)["error"]
    assert (told["param"], told["message"]) == ("image", "image: must be a file of type image/png or image/jpeg")
    assert small.send("POST", "/jobs", body[:-6], headers=headers).status == 400
    assert small.send("POST", "/jobs", body, headers={"Content-Type": "text/plain"}).status == 415
    assert small.send("POST", "/jobs", {"prompt": "a kite"}).status == 415  # only a form is declared


async def test_a_form_arrives_over_the_wire(tmp_path: Path) -> None:
    """The server reads multipart bodies for such operations, on both of its ways."""
    file = tmp_path / "small.json"
    file.write_bytes(orjson.dumps(spec({"/jobs": submit(content=MULTIPART | URLENCODED)})))
    body, headers = multipart(("prompt", "a kite", None, None), ("steps", "20", None, None))
    async with serving(specs=[file]) as edge:
        for more in ({}, {"Expect": "100-continue"}):
            keyed = {**headers, "Authorization": f"Bearer {KEY}", **more}
            answer = await edge.call("POST", "/small/jobs", data=body, headers=keyed)
            assert (answer.status, answer.json["input"]["steps"]) == (200, 20)


def test_any_bytes_may_be_a_body(tmp_path: Path) -> None:
    """A raw upload is taken by its media type, and the model stands elsewhere."""
    data = spec(
        {
            "/jobs": submit(
                {"default_model": "one", "model": "$request.query.model"}, {"image/*": {}}, parameters=[MODEL]
            )
        },
        {"models": MODELS},
    )
    small = Small(tmp_path, data)
    png = {"Content-Type": "image/png"}
    assert small.json("POST", "/jobs", b"\x89PNG", headers=png)["model"] == "one"
    assert small.json("POST", "/jobs?model=two", b"\x89PNG", headers=png)["model"] == "two"
    assert small.send("POST", "/jobs?model=three", b"\x89PNG", headers=png).status == 400
    assert small.send("POST", "/jobs", b"", headers=png).status == 400
    assert small.send("POST", "/jobs", b"x", headers={"Content-Type": "video/mp4"}).status == 415


FREE: dict[str, Any] = {"price": {"reserve": {}}}
MODELS = {"one": FREE, "two": FREE}
MODEL = {"name": "model", "in": "query", "schema": {"type": "string"}}
NAMES = {"n": {"type": "integer"}, "model": {"type": "string"}}
JSON: dict[str, Any] = {"application/json": {"schema": {"type": "object", "properties": NAMES}}}


def test_a_submit_may_name_no_model(tmp_path: Path) -> None:
    """Without models in the spec, tasks have one of their own, and cost nothing; a body that is not needed may miss."""
    small = Small(tmp_path, spec({"/jobs": submit(content=JSON), "/more": submit(operationId="makeMore")}))
    assert small.json("POST", "/jobs", {"n": 1})["input"] == {"n": 1}
    assert small.send("POST", "/jobs", {"n": "1"}).status == 400
    assert small.json("POST", "/more")["input"] == {}


@pytest.mark.parametrize("place", ["body", "query"])
def test_a_schema_may_name_the_models(tmp_path: Path, place: str) -> None:
    """Where the spec has none: those of an enum, in any of its forms, and the default."""
    words = {"anyOf": [{"type": "string"}, {"type": "string", "enum": ["one", "two"]}], "default": "three"}
    asked = {
        "application/json": {"schema": {"type": "object", "properties": {"model": words} if place == "body" else {}}}
    }
    mock = {"model": "$request.body#/model" if place == "body" else "$request.query.model", "default_model": "two"}
    parameters = [] if place == "body" else [{"name": "model", "in": "query", "schema": words}]
    small = Small(tmp_path, spec({"/jobs": submit(mock, asked, parameters=parameters)}))
    assert set(small.provider.models) == {"one", "two", "three"}
    assert small.json("POST", "/jobs", {})["model"] == "two"
    body, query = ({"model": "one"}, "") if place == "body" else ({}, "?model=one")
    assert small.json("POST", f"/jobs{query}", body)["model"] == "one"
    body, query = ({"model": "four"}, "") if place == "body" else ({}, "?model=four")
    assert small.send("POST", f"/jobs{query}", body).status == 400


@pytest.mark.parametrize(
    ("path", "mock", "target", "body", "model"),
    [
        ("/jobs", {"model": "two"}, "/jobs", {}, "two"),
        ("/jobs", {"model": "$request.body#/model", "default_model": "two"}, "/jobs", {}, "two"),
        ("/jobs", {"model": "$request.body#/model", "default_model": "two"}, "/jobs", {"model": "one"}, "one"),
        ("/models/{id}:run", {"model": "$request.path.id"}, "/models/two:run", {}, "two"),
        ("/{owner}/{id}/jobs", {"model": "{$request.path.owner}/{$request.path.id}"}, "/me/it/jobs", {}, "me/it"),
        ("/{owner}/{id}/jobs", {"model": "{$request.path.owner}/{$request.path.id}"}, "/me/or/jobs", {}, None),
    ],
)
def test_how_a_submit_names_its_model(
    tmp_path: Path, path: str, mock: dict[str, Any], target: str, body: Any, model: str | None
) -> None:
    """Always the same, with a default, in the path, or by several parts of the path."""
    owner = [{**PATH[0], "name": "owner"}] if "{owner}" in path else []
    parameters = [*(PATH if "{id}" in path else []), *owner]
    small = Small(
        tmp_path, spec({path: submit(mock, JSON, parameters=parameters)}, {"models": {**MODELS, "me/it": FREE}})
    )
    answer = small.send("POST", target, body)
    assert (answer.status == 200) is (model is not None)
    assert model is None or orjson.loads(answer.body)["model"] == model


def test_each_operation_has_its_own_request(tmp_path: Path) -> None:
    """The same model takes what each operation declares."""
    text = {"application/json": {"schema": {"type": "object", "required": ["text"], "properties": {"text": {}}}}}
    small = Small(
        tmp_path, spec({"/jobs": submit(content=JSON), "/texts": submit(content=text, operationId="makeText")})
    )
    assert [small.send("POST", "/jobs", body).status for body in ({}, {"n": "x"})] == [200, 400]
    assert [small.send("POST", "/texts", body).status for body in ({}, {"text": "x", "n": "x"})] == [400, 200]


def test_a_query_may_name_its_task_in_the_body(tmp_path: Path) -> None:
    """By its id, or by a longer name; what the operation declares of its body counts."""
    content = {
        "application/json": {
            "schema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
        }
    }
    fetch: dict[str, Any] = {
        "operationId": "fetch",
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "It"}},
        "x-mock": {
            "role": "query",
            "task": "$request.body#/name",
            "reply": {"status": 200, "body": {"id": "$task.id"}},
        },
    }
    data = spec({"/jobs": submit(), "/fetch": {"post": fetch}})
    small = Small(tmp_path, data)
    job = small.json("POST", "/jobs")["id"]
    for name in (job, f"models/one/jobs/{job}"):
        assert small.json("POST", "/fetch", {"name": name}) == {"id": job}
    bodies: tuple[Any, ...] = ({"name": "nothing"}, {"name": f"{job}/"}, {"name": 7}, {}, [], b"{")
    assert [small.send("POST", "/fetch", body).status for body in bodies] == [404, 404, 400, 400, 400, 415]
    fetch["x-mock"]["task"] = "$request.body#/nam"
    assert ["has the field 'nam' (did you mean name?)" in str(each) for each in issues(tmp_path, data)] == [True]


def test_headers_that_must_be_there(tmp_path: Path) -> None:
    """A required header is missed, and one with a constant value has it; lenient wants it to be there."""
    header = {"name": "X-Async", "in": "header", "required": True, "schema": {"enum": ["enable"]}}
    key = {"name": "Authorization", "in": "header", "required": True, "schema": {"const": "never"}}
    data = spec({"/jobs": submit(content=JSON, parameters=[header, key])})
    small = Small(tmp_path, data)
    assert small.send("POST", "/jobs", {}, headers={"x-async": "enable"}).status == 200
    for headers in ({}, {"X-Async": "disable"}):
        told = orjson.loads(small.send("POST", "/jobs", {}, headers=headers).body)["error"]
        assert told["param"] == "X-Async"
    lenient = Small(tmp_path, data, ProviderRules(validation="lenient"))
    assert lenient.send("POST", "/jobs", {}, headers={"X-Async": "disable"}).status == 200
    assert lenient.send("POST", "/jobs", {}).status == 400


@pytest.mark.parametrize(
    ("paths", "mock", "said"),
    [
        ({"/jobs": submit({"model": "tow"})}, {"models": MODELS}, "unknown model 'tow' (did you mean two?)"),
        ({"/jobs": submit({"model": "one", "default_model": "two"})}, {"models": MODELS}, "is never used"),
        (
            {"/jobs": submit({"model": "$request.body#/model", "default_model": "tow"}, JSON)},
            {"models": MODELS},
            "unknown model 'tow'",
        ),
        ({"/jobs": submit()}, {"models": MODELS}, "does not say which of 2 models it makes (write `model`"),
        ({"/jobs": submit({"model": "$request.path.model"})}, {"models": MODELS}, "has no path parameter 'model'"),
        ({"/jobs": submit({"model": "$request.body#/m"}, JSON)}, {"models": MODELS}, "has the field 'm'"),
    ],
)
def test_check_tells_what_is_wrong(tmp_path: Path, paths: Any, mock: Any, said: str) -> None:
    """In one line."""
    assert [said in str(each) for each in issues(tmp_path, spec(paths, mock))] == [True]
