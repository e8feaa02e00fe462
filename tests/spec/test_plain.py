"""OpenAPI documents as they are: without `x-mock`, of version 3.0 and 3.1, in YAML and JSON, in several files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mockserver.spec.catalog import load_providers
from mockserver.spec.check import check_files
from mockserver.spec.document import SpecError
from mockserver.spec.vocabulary import specs_directory

if TYPE_CHECKING:
    from pathlib import Path

    from mockserver.provider import Provider


def written(folder: Path, text: str, name: str = "api.yaml") -> Path:
    """Write a file of a document."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def loaded(path: Path) -> Provider:
    """Load the one provider of a document."""
    (provider,) = load_providers([path], builtin=False)
    return provider


def with_schema(schema: Any, openapi: str = "3.0.3") -> str:
    """Return a document whose only request has this schema."""
    content = {"application/json": {"schema": schema}}
    operation = {
        "operationId": "send",
        "requestBody": {"content": content},
        "responses": {"204": {"description": "ok"}},
    }
    paths = {"/things": {"post": operation}}
    return json.dumps({"openapi": openapi, "info": {"title": "Things", "version": "1"}, "paths": paths})


PETS = """\
openapi: 3.0.3
info: {title: The Pet Store API, version: 1.0.0}
paths:
  /pets/{id}:
    $ref: parts/pet.yaml
  /pets:
    post:
      requestBody: {$ref: 'parts/bodies.json#/bodies/pet'}
      responses: {'201': {description: made}}
"""
PET = """\
get:
  operationId: getPet
  parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
  responses:
    '200': {description: ok, content: {application/json: {schema: {$ref: '#/definitions/Pet'}}}}
definitions:
  Pet: {type: object, required: [name], properties: {name: {type: string}, kin: {$ref: '#/definitions/Pet'}}}
"""
BODIES = {
    "bodies": {
        "pet": {"required": True, "content": {"application/json": {"schema": {"$ref": "pet.yaml#/definitions/Pet"}}}}
    }
}


def several_files(folder: Path) -> Path:
    """Write a document in three files."""
    written(folder, PET, "parts/pet.yaml")
    written(folder, json.dumps(BODIES), "parts/bodies.json")
    return written(folder, PETS)


def test_references_lead_to_other_files(tmp_path: Path) -> None:
    """Relative to the file that they are in."""
    provider = loaded(several_files(tmp_path))
    assert provider.name == "pet-store"
    operations = provider.operations
    assert list(operations) == ["getPet", "postPets"]
    assert operations["getPet"].checked_parameters[0].type == "integer"
    request = operations["postPets"].request
    assert request is not None
    assert request.accepts({"name": "Rex", "kin": {"name": "Max"}})
    assert not request.accepts({"name": "Rex", "kin": {}})


def test_json_and_yaml_are_the_same(tmp_path: Path) -> None:
    """A JSON file may be indented with tabs."""
    text = with_schema({"type": "integer"})
    made = [
        loaded(written(tmp_path / "a", text, "api.json")),
        loaded(written(tmp_path / "b", json.dumps(json.loads(text), indent="\t"), "api.json")),
        loaded(written(tmp_path / "c", yaml.safe_dump(json.loads(text)))),
    ]
    for provider in made:
        request = provider.operations["send"].request
        assert request is not None
        assert (request.accepts(1), request.accepts("1")) == (True, False)


@pytest.mark.parametrize(
    ("schema", "accepted", "refused"),
    [
        ({"type": "string", "nullable": True}, [None, "a"], [1]),
        ({"type": "string", "enum": ["a"], "nullable": True}, [None, "a"], ["b"]),
        ({"allOf": [{"type": "string"}], "nullable": True}, [None, "a"], [1]),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, [2], [1]),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": False}, [1], [0]),
        ({"type": "integer", "exclusiveMaximum": True}, [10**9], ["a"]),
        ({"type": "string", "format": "binary"}, ["a"], [1]),
        ({"type": "string", "pattern": "^(?!x)"}, ["x"], [1]),
        ({"type": "object", "required": True, "properties": {"a": {"type": "integer", "required": True}}}, [{}], [1]),
        ({"type": "file"}, [1], []),
        ({"type": "integer", "minLength": -1, "title": 5, "default": "no"}, [1], ["a"]),
        ({"type": "object", "properties": {"id": {"type": "integer"}}, "id": "urn:x"}, [{"id": 1}], [{"id": "a"}]),
    ],
    ids=str,
)
def test_schemas_are_lifted(tmp_path: Path, schema: Any, accepted: list[Any], refused: list[Any]) -> None:
    """What 3.0 says otherwise is understood, and what nobody can check is left out."""
    request = loaded(written(tmp_path, with_schema(schema))).operations["send"].request
    assert request is not None
    assert [value for value in accepted if not request.accepts(value)] == []
    assert [value for value in refused if request.accepts(value)] == []


def test_what_is_left_out_is_a_warning(tmp_path: Path) -> None:
    """With its line; it keeps nothing from being served."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}
    text = yaml.safe_dump(json.loads(with_schema(schema)))
    (issue,) = check_files([written(tmp_path, text)])
    line = next(number for number, each in enumerate(text.splitlines(), 1) if "(?=x)" in each)
    assert (issue.is_warning, issue.line) == (True, line)
    assert "warning: " in str(issue)


@pytest.mark.parametrize(
    ("file", "old", "new", "message", "at"),
    [
        (
            "parts/pet.yaml",
            "#/definitions/Pet'}}}}",
            "#/definitions/Pat'}}}}",
            "did you mean #/definitions/Pet?",
            "Pat",
        ),
        ("api.yaml", "parts/pet.yaml", "parts/dog.yaml", "the file 'parts/dog.yaml' does not exist", "dog"),
        ("api.yaml", "parts/pet.yaml", "../../pet.yaml", "is not in the document's folder", "../"),
        ("api.yaml", "parts/pet.yaml", "https://example.com/pet.yaml", "is not fetched", "https"),
        ("parts/pet.yaml", "parameters: [", "parameters: [4, ", "expected a list of parameters", "parameters"),
        ("parts/bodies.json", '{"bodies"', '{"bodies', "is not valid YAML", "bodies"),
    ],
)
def test_an_error_says_where(tmp_path: Path, file: str, old: str, new: str, message: str, at: str) -> None:
    """In the file that has the mistake."""
    several_files(tmp_path)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert text.count(old) == 1
    written(tmp_path, text := text.replace(old, new), file)
    (issue,) = check_files([tmp_path / "api.yaml"])
    assert message in str(issue)
    assert (issue.file.rpartition("/")[2], issue.is_warning) == (file.rpartition("/")[2], False)
    assert issue.line is not None
    assert at in text.splitlines()[issue.line - 1]


@pytest.mark.parametrize(
    "path",
    [
        ("responses",),
        ("responses", "204"),
        ("responses", "204", "content"),
        ("responses", "204", "content", "application/json"),
        ("responses", "204", "headers", "X-A"),
        ("requestBody",),
        ("requestBody", "content"),
    ],
    ids=str,
)
@pytest.mark.parametrize("wrong", ["text", ["list"], 5, True])
def test_a_part_of_another_form_is_an_error(tmp_path: Path, path: tuple[str, ...], wrong: Any) -> None:
    """It is told, and nothing gives up."""
    data = json.loads(with_schema({}))
    holder = data["paths"]["/things"]["post"]
    for key in path[:-1]:
        holder = holder.setdefault(key, {})
    holder[path[-1]] = wrong
    (issue,) = check_files([written(tmp_path, json.dumps(data, indent=1))])
    assert issue.message == f"paths//things/post/{'/'.join(path)}: expected a mapping"
    assert issue.line is not None


def test_what_no_operation_reaches_is_not_looked_at(tmp_path: Path) -> None:
    """Components that are not used, callbacks and webhooks may be as they like."""
    data = json.loads(with_schema({"type": "integer"}))
    data["components"] = {"schemas": {"Unused": {"$ref": "nowhere.yaml"}}, "responses": 5}
    data["webhooks"] = {"x": {"$ref": "nowhere.yaml"}}
    data["paths"]["/things"]["post"]["callbacks"] = {"x": {"$ref": "nowhere.yaml"}}
    data["paths"]["/things"]["query"] = {"$ref": "nowhere.yaml"}
    (issue,) = check_files([written(tmp_path, json.dumps(data))])
    assert issue.is_warning
    assert "query: is not served" in issue.message


def test_a_reference_to_itself_is_an_error(tmp_path: Path) -> None:
    """It would have no end."""
    data = json.loads(with_schema({"$ref": "#/components/schemas/A"}))
    data["components"] = {"schemas": {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}}
    issues = check_files([written(tmp_path, json.dumps(data))])
    assert issues
    assert all("leads in a circle" in each.message for each in issues)


@pytest.mark.parametrize(
    ("servers", "hosts", "paths"),
    [
        ([], (), ["/things"]),
        ([{"url": "https://api.example.com/v1/"}], ("api.example.com",), ["/v1/things", "/things"]),
        ([{"url": "/v2"}], (), ["/v2/things", "/things"]),
        ([{"url": "v2"}], (), ["/v2/things", "/things"]),
        (
            [{"url": "https://{at}.example.com/{v}", "variables": {"at": {"default": "eu"}, "v": {"default": "v3"}}}],
            ("eu.example.com",),
            ["/v3/things", "/things"],
        ),
        (
            [{"url": "https://a.example.com/v1"}, {"url": "https://b.example.com/v2"}],
            ("a.example.com", "b.example.com"),
            ["/v1/things", "/v2/things", "/things"],
        ),
    ],
)
def test_the_paths_of_servers_are_served(tmp_path: Path, servers: Any, hosts: Any, paths: list[str]) -> None:
    """And the paths without them."""
    data = {**json.loads(with_schema({})), "servers": servers}
    provider = loaded(written(tmp_path, json.dumps(data)))
    assert (provider.hosts, [each.path for each in provider.routes]) == (hosts, paths)
    assert provider.operations["send"].path == paths[0]


@pytest.mark.parametrize(
    ("scheme", "header", "bearer"),
    [
        ({"type": "http", "scheme": "bearer"}, "Authorization", True),
        ({"type": "oauth2", "flows": {}}, "Authorization", True),
        ({"type": "apiKey", "in": "header", "name": "X-Key"}, "X-Key", False),
        ({"type": "http", "scheme": "basic"}, "Authorization", False),
    ],
)
def test_the_key_is_where_the_document_says(tmp_path: Path, scheme: Any, header: str, bearer: bool) -> None:
    """In a header; a way to call an operation without a key makes it public."""
    data = json.loads(with_schema({}))
    data["components"] = {"securitySchemes": {"own": scheme}}
    operation = data["paths"]["/things"]["post"]
    ways: list[tuple[list[Any], bool]] = [([{"own": []}], True), ([], False), ([{}, {"own": []}], False)]
    for security, secured in ways:
        operation["security"] = security
        provider = loaded(written(tmp_path, json.dumps(data)))
        assert provider.operations["send"].secured is secured
        if secured:
            assert (provider.key.header, provider.key.bearer) == (header, bearer)


EVOLINK = (specs_directory() / "evolink-gemini-omni-flash.yaml").read_text(encoding="utf-8")
UNMARKED = """\
  /v1/about:
    get:
      responses:
        '200': {description: ok, content: {application/json: {schema: {type: object, properties: {at: {const: 1}}}}}}
components:
"""


@pytest.mark.parametrize(
    ("word", "status", "says"),
    [
        (None, 200, b'{"at":1}'),
        ("example", 200, b'{"at":1}'),
        ("not_implemented", 501, b"GET /v1/about is not mocked"),
        ("{reply: {status: 202, body: {asked: $request.method}}}", 202, None),
    ],
)
def test_a_spec_says_how_operations_without_x_mock_are_answered(
    tmp_path: Path, word: str | None, status: int, says: bytes | None
) -> None:
    """By examples, unless it says otherwise."""
    text = EVOLINK.replace("\ncomponents:\n", f"\n{UNMARKED}", 1)
    if word is not None:
        text = text.replace("\nx-mock:\n", f"\nx-mock:\n  unmarked: {word}\n", 1)
    operation = loaded(written(tmp_path, text)).operations["getV1About"]
    assert operation.role == "example"
    if operation.sample is None:
        assert (says, operation.status) == (None, status)
        assert operation.body is not None
    else:
        assert operation.sample.status == status
        assert says is not None
        assert says in operation.sample.content(bytes(64))


@pytest.mark.parametrize(
    ("word", "message"),
    [("examples", "did you mean example?"), ("{reply: {status: 200, body: {a: $task.id}}}", "has no $task")],
)
def test_a_wrong_word_for_them_is_an_error(tmp_path: Path, word: str, message: str) -> None:
    """In one line."""
    text = EVOLINK.replace("\nx-mock:\n", f"\nx-mock:\n  unmarked: {word}\n", 1)
    (issue,) = check_files([written(tmp_path, text)])
    assert message in str(issue)


def test_a_swagger_document_is_refused(tmp_path: Path) -> None:
    """In one line."""
    with pytest.raises(SpecError, match=r"must be 3\.x; got 'Swagger 2\.0'"):
        loaded(written(tmp_path, "swagger: '2.0'\ninfo: {title: Old}\npaths: {}\n"))
