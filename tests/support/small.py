"""Small specs of their own for tests: the paths, and of the root `x-mock` what a test is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from multidict import CIMultiDict

from mockserver.chance import Chance
from mockserver.clock import MANUAL_START_MS
from mockserver.edge.request_body import read_fields
from mockserver.engine.messages import Request
from mockserver.engine.world import World, WorldRules
from mockserver.provider import ProviderRules
from mockserver.spec.catalog import load_providers
from mockserver.spec.check import check_files
from mockserver.spec.document import merge_patch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mockserver.engine.messages import Response
    from mockserver.spec.document import SpecIssue

START_MS = MANUAL_START_MS
KEY = "key-0"

ROOT: dict[str, Any] = {
    "provider": "small",
    "authentication": {"scheme": "pass", "example": KEY},
    "ids": {"task": {"format": "job-{hex:12}"}},
    "accounts": {"default_plan": "all", "plans": {"all": {"summary": "No limits"}}, "credits": {"ample": 1000}},
    "lifecycle": {
        "states": {"queued": {"lasts_s": 10}, "running": {"lasts_s": 90, "progress": {"from": 0, "to": 90}}},
        "ends": {
            "succeeded": {"kind": "success"},
            "failed": {"kind": "failure", "reasons": {"broken": {"message": "It broke."}}},
            "canceled": {"kind": "cancellation"},
        },
    },
    "errors": "http",
}
PATH = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
QUERY: dict[str, Any] = {
    "/jobs/{id}": {
        "parameters": PATH,
        "get": {
            "operationId": "getJob",
            "responses": {"200": {"description": "The job"}},
            "x-mock": {
                "role": "query",
                "task": "$request.path.id",
                "reply": {"status": 200, "body": {"id": "$task.id", "status": "$task.status"}},
            },
        },
    }
}


def submit(
    mock: Mapping[str, Any] | None = None, content: Mapping[str, Any] | None = None, **entry: Any
) -> dict[str, Any]:
    """Return an operation that makes jobs, which shows its input."""
    reply = {"status": 200, "body": {"id": "$task.id", "model": "$task.model", "input": "$input"}}
    body = {} if content is None else {"requestBody": {"required": True, "content": content}}
    return {
        "post": {
            "operationId": "makeJob",
            "responses": {"200": {"description": "Taken"}},
            **body,
            "x-mock": {"role": "submit", "reply": reply, **(mock or {})},
            **entry,
        }
    }


def spec(paths: Mapping[str, Any], mock: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a document with a way to query jobs, and these paths besides."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Small", "version": "1"},
        "security": [{"pass": []}],
        "components": {"securitySchemes": {"pass": {"type": "http", "scheme": "bearer"}}},
        **more,
        "paths": {**QUERY, **paths},
        "x-mock": merge_patch(ROOT, dict(mock or {})),
    }


def issues(folder: Path, data: Mapping[str, Any]) -> list[SpecIssue]:
    """Check a spec, and return what is told of it."""
    return check_files([_file(folder, data)])


def _file(folder: Path, data: Mapping[str, Any]) -> Path:
    file = folder / "small.json"
    file.write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2))
    return file


class Small:
    """A provider of a small spec, and one client of it."""

    def __init__(self, folder: Path, data: Mapping[str, Any], rules: ProviderRules | None = None) -> None:
        file = _file(folder, data)
        found = check_files([file])
        assert not found, list(map(str, found))
        providers = load_providers([file], builtin=False)
        urls = {each.name: f"http://mock.test/{each.name}" for each in providers}
        rule = {each.name: rules or ProviderRules() for each in providers}
        self.world = World(providers, Chance(7), WorldRules(providers=rule), urls)
        self.state = self.world.providers[providers[0].name]
        self.provider = providers[0]

    def send(
        self,
        method: str,
        target: str,
        content: Any = None,
        *,
        at_s: float = 0,
        key: str | None = KEY,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request, with a body in JSON unless it is bytes."""
        path, _, query = target.partition("?")
        sent = CIMultiDict({} if key is None else self.provider.key.header_with(key))
        if content is not None and not isinstance(content, bytes):
            content = orjson.dumps(content)
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        request = Request(method, path, sent, content or b"", query)
        match = self.state.router.find(method, path)
        if match.operation is not None and match.operation.reads_parts:
            request.fields = read_fields(request.body, sent)
        return self.world.handle(self.state, match, request, START_MS + round(at_s * 1000)).response

    def json(self, *request: Any, **more: Any) -> Any:
        """Send a request, and return the JSON of its good answer."""
        answer = self.send(*request, **more)
        assert answer.status < 300, answer.body
        return orjson.loads(answer.body)


def multipart(*parts: tuple[str, str | bytes, str | None, str | None]) -> tuple[bytes, dict[str, str]]:
    """Return a multipart body of parts (name, content, file name, media type), and its header."""
    out = b""
    for name, content, file_name, media_type in parts:
        head = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{file_name}"' if file_name else "")
        head += f"\r\nContent-Type: {media_type}" if media_type else ""
        out += (
            f"--edge\r\n{head}\r\n\r\n".encode() + (content.encode() if isinstance(content, str) else content) + b"\r\n"
        )
    return out + b"--edge--\r\n", {"Content-Type": "multipart/form-data; boundary=edge"}
