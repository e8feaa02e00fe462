"""A plain OpenAPI document on a server: requests are checked, and answered with examples."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from support.edge import serving

from mockserver.terminal import banner, curl_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.edge import Edge

PET: dict[str, Any] = {
    "type": "object",
    "required": ["id", "name"],
    "properties": {
        "id": {"type": "string", "format": "uuid", "readOnly": True},
        "name": {"type": "string", "minLength": 2},
        "born": {"type": "string", "format": "date-time", "nullable": True},
    },
}
JSON_PET = {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}
ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}


def answers(status: int, content: Any = None, **more: Any) -> dict[str, Any]:
    """Return the responses of an operation."""
    made = {"description": "ok", **({} if content is None else {"content": content}), **more}
    return {"responses": {"default": {"description": "an error"}, "400": {"description": "bad"}, str(status): made}}


DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Pets API", "version": "1"},
    "servers": [{"url": "https://api.pets.example/v1"}],
    "security": [{"key": []}],
    "paths": {
        "/pets": {
            "get": {
                "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 5}}],
                **answers(200, {"application/json": {"schema": {"type": "array", "minItems": 2, "items": PET}}}),
            },
            "post": {"requestBody": {"required": True, "content": JSON_PET}, **answers(201, JSON_PET)},
        },
        "/pets/{id}": {
            "parameters": [ID],
            "get": answers(200, {"application/json": {"example": {"id": 7}, "schema": {"type": "object"}}}),
            "put": {"requestBody": {"content": {"application/*": {}}}, **answers(202)},
            "delete": answers(204),
        },
        "/about": {
            "get": {
                "security": [],
                **answers(200, {"text/plain": {"examples": {"one": {"value": "About pets"}}}}),
            }
        },
        "/old": {"get": {"security": [], **answers(301, headers={"Location": {"example": "/new"}})}},
    },
    "components": {
        "schemas": {"Pet": PET},
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}},
    },
}


@asynccontextmanager
async def pets(folder: Path, **settings: Any) -> AsyncIterator[Edge]:
    """Run a mock of the document."""
    file = folder / "pets.json"
    file.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    async with serving(specs=file, builtin=False, **settings) as edge:
        yield edge


async def test_an_answer_fits_its_schema_and_is_the_same_each_time_for_one_seed(tmp_path: Path) -> None:
    """Whoever asks, and whatever else was asked before."""
    schema = {**PET, "properties": {**PET["properties"], "born": {"type": "string", "format": "date-time"}}}
    validator = jsonschema_rs.Draft202012Validator({"type": "array", "minItems": 2, "items": schema})
    bodies = []
    for seed, earlier in ((1, 0), (1, 3), (2, 0)):
        async with pets(tmp_path, seed=seed) as edge:
            for number in range(earlier):
                await edge.call("GET", "/pets/v1/pets/1", headers={"X-Key": f"other-{number}"})
            answer = await edge.call("GET", "/pets/v1/pets", headers={"X-Key": "k"})
            again = await edge.call("GET", "/pets/v1/pets", headers={"X-Key": "other"})
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        assert validator.is_valid(answer.json)
        assert answer.body == again.body
        bodies.append(answer.body)
    assert bodies[0] == bodies[1] != bodies[2]


async def test_what_the_document_shows_is_answered(tmp_path: Path) -> None:
    """Examples, in their media type, with their status and headers."""
    async with pets(tmp_path) as edge:
        shown = await edge.call("GET", "/pets/v1/pets/7", headers={"X-Key": "k"})
        about = await edge.call("GET", "/pets/v1/about")
        gone = await edge.call("DELETE", "/pets/v1/pets/7", headers={"X-Key": "k"})
        moved = await edge.call("GET", "/pets/v1/old")
    assert (shown.status, shown.json) == (200, {"id": 7})
    assert (about.body, about.headers["Content-Type"].partition(";")[0]) == (b"About pets", "text/plain")
    assert (gone.status, gone.body) == (204, b"")
    assert (moved.status, moved.headers["Location"]) == (301, "/new")


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "says"),
    [
        ("POST", "/pets", {}, b'{"name": "Rex"}', 201, ""),
        ("POST", "/pets", {}, b'{"name": "R"}', 400, "name: is too short"),
        ("POST", "/pets", {}, b'{"id": "x", "name": "Rex"}', 400, "id: is not a well-formed uuid"),
        ("POST", "/pets", {}, b'{"name": ', 400, "not valid JSON"),
        ("POST", "/pets", {}, b"", 400, "a body is required"),
        ("POST", "/pets", {"Content-Type": "text/plain"}, b"name=Rex", 415, "send Content-Type: application/json"),
        ("PUT", "/pets/1", {"Content-Type": "application/x-tar"}, b"anything", 202, ""),
        ("PUT", "/pets/1", {"Content-Type": "image/png"}, b"anything", 415, "got image/png"),
        ("PUT", "/pets/1", {}, b"", 202, ""),
        ("GET", "/pets?limit=6", {}, b"", 400, "limit: must be at most 5"),
        ("GET", "/pets?limit=many", {}, b"", 400, "limit: must be of type integer"),
        ("GET", "/pets/0", {}, b"", 400, "id: must be at least 1"),
        ("GET", "/nothing", {}, b"", 404, "no such path"),
        ("PATCH", "/pets", {}, b"", 405, "PATCH is not allowed here"),
        ("GET", "/pets", {"X-Key": ""}, b"", 401, "key"),
    ],
)
async def test_a_request_that_the_document_forbids_is_refused(
    tmp_path: Path, method: str, path: str, headers: dict[str, str], body: bytes, status: int, says: str
) -> None:
    """With the problem in the body."""
    sent = {"X-Key": "k", "Content-Type": "application/json", **headers}
    async with pets(tmp_path) as edge:
        answer = await edge.call(method, f"/pets/v1{path}", headers=sent, data=body or None)
    assert answer.status == status
    assert says in answer.body.decode()


@pytest.mark.parametrize(
    ("path", "host"), [("/pets/v1/about", None), ("/pets/about", None), ("/v1/about", "api.pets.example")]
)
async def test_it_is_served_at_its_real_path_and_below_its_name(tmp_path: Path, path: str, host: str | None) -> None:
    """With the path of its server, or without."""
    async with pets(tmp_path) as edge:
        answer = await edge.call("GET", path, headers={} if host is None else {"Host": host})
    assert answer.body == b"About pets"


async def test_faults_limits_clock_and_journal_are_the_usual_ones(tmp_path: Path) -> None:
    """An operation without a task is an operation."""
    async with pets(tmp_path) as edge:
        edge.mock.pets.refuse(503)
        refused = await edge.call("GET", "/pets/v1/pets/1", headers={"X-Key": "k"})
        await edge.advance(3600)
        (record,) = edge.mock.journal
    assert refused.status == 503
    assert (record["operation"], record["faults"]) != (None, [])


async def test_the_banner_has_a_command(tmp_path: Path) -> None:
    """It gets an example."""
    async with pets(tmp_path) as edge:
        assert "pets" in banner(edge.mock.server)
        line = curl_line(edge.provider("pets"), f"{edge.root}/pets")
    assert line == f"curl {edge.root}/pets/v1/pets -H 'X-Key: mock-key'"


@pytest.mark.parametrize(
    ("body", "media_type", "accepted"),
    [
        (b'{"name": "R"}', "application/json", {"lenient", "off"}),
        (b"{}", "application/json", {"off"}),
        (b"", "application/json", {"off"}),
        (b"name=Rex", "text/plain", {"lenient", "off"}),
        (b"{", "application/json", set()),
    ],
)
async def test_validation_may_be_lenient_or_off(
    tmp_path: Path, body: bytes, media_type: str, accepted: set[str]
) -> None:
    """As for any other request."""
    for validation in ("strict", "lenient", "off"):
        async with pets(tmp_path, validation=validation) as edge:
            headers = {"X-Key": "k", "Content-Type": media_type}
            answer = await edge.call("POST", "/pets/v1/pets", headers=headers, data=body or None)
        assert (answer.status == 201) is (validation in accepted), validation
