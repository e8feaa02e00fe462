"""Asking the control plane by the names of its operations; every answer is held to its document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jsonschema

from mockserver.edge.admin.api import control_plane

if TYPE_CHECKING:
    from support.edge import Edge, Response

DOCUMENT = control_plane().document
OPERATIONS = {
    entry["operationId"]: (method, path, entry)
    for path, item in DOCUMENT.data["paths"].items()
    for method, entry in item.items()
    if method != "parameters"
}


def check_documented(operation: str, reply: Response) -> None:
    """Hold an answer to what the document says of its status."""
    responses = OPERATIONS[operation][2]["responses"]
    response = responses.get(str(reply.status), responses["default"])
    if "$ref" in response:
        response = DOCUMENT.resolve(response["$ref"])
    kind = reply.headers["Content-Type"].partition(";")[0]
    assert kind in response["content"]
    if kind == "application/json":
        schema = {**response["content"][kind]["schema"], "components": DOCUMENT.data["components"]}
        jsonschema.Draft202012Validator(schema).validate(reply.json)
    assert reply.headers["Cache-Control"] == "no-store"


async def ask(edge: Edge, operation: str, json: Any = None, /, **words: str) -> Response:
    """Ask for an operation by its name; words fill its path, the others go into the query."""
    method, path, entry = OPERATIONS[operation]
    names = re.findall(r"\{(\w+)\}", path)
    for name in names:
        path = path.replace(f"{{{name}}}", words.pop(name))
    query = "&".join(f"{name}={value}" for name, value in words.items())
    assert (json is not None) == ("requestBody" in entry)
    reply = await edge.admin(method.upper(), f"{path}?{query}" if query else path, json)
    check_documented(operation, reply)
    return reply


async def good(edge: Edge, operation: str, json: Any = None, /, **words: str) -> Any:
    """Ask for an operation that must go well; return what it answers."""
    reply = await ask(edge, operation, json, **words)
    assert reply.status == 200, reply.body
    return reply.json


async def bad(edge: Edge, status: int, code: str, operation: str, json: Any = None, /, **words: str) -> str:
    """Ask for an operation that must be refused; return the words of the refusal."""
    reply = await ask(edge, operation, json, **words)
    assert (reply.status, reply.json["error"]["code"]) == (status, code), reply.body
    message: str = reply.json["error"]["message"]
    assert 0 < len(message) < 400
    return message
