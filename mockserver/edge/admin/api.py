"""Serves control-plane.yaml: finds the operation of a request, validates it, calls its handler.

Paths, parameters and bodies are what the document says; a handler gets an `AdminRequest` that is valid.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from mockserver.edge.access import OPEN, OTHER_SPELLINGS, PAGES, Access, RefusedError
from mockserver.edge.addressing import Address
from mockserver.edge.dispatcher import AdvanceUnderWayError
from mockserver.edge.http_bytes import wire_response
from mockserver.edge.request_body import read_body
from mockserver.edge.runtime import Runtime
from mockserver.edge.sessions import SessionError, Sessions
from mockserver.engine.admission import parameter_problem
from mockserver.engine.body import BodyError, parse_json
from mockserver.engine.commands import NoSuchEndError, UnknownReasonError
from mockserver.engine.faults import InvalidFaultError
from mockserver.engine.messages import Request
from mockserver.engine.routes import Router, allowed_methods
from mockserver.engine.state import NoKeyFormatError, ProviderState
from mockserver.engine.task import NotHeldError, TaskEndedError
from mockserver.provider import Operation, Parameter, Route, Schema
from mockserver.spec.document import Document
from mockserver.spec.schema import compile_schema

_DOCUMENT = Path(__file__).parent.with_name("control-plane.yaml")
_METHODS = ("get", "put", "post", "delete", "patch")
_MAX_BODY_BYTES = 1 << 20


class Content(NamedTuple):
    """The body of an answer that is not JSON, or whose status is not 200."""

    content_type: str
    content: bytes
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """A valid request to the control plane, about the default session or a named one."""

    runtime: Runtime
    sessions: Sessions
    #: Open connections of the server.
    connections: int
    #: Path and query parameters; a query parameter that is absent is None.
    parameters: Mapping[str, Any]
    body: Any
    http: web.BaseRequest

    @property
    def now_ms(self) -> int:
        """Mock time."""
        return self.runtime.clock.now_ms()

    def provider_states(self, provider: str | None = None) -> list[ProviderState]:
        """Return the state of each provider, or of the named one."""
        return [state for name, state in self.runtime.world.providers.items() if provider in (None, name)]


#: Handles one operation: returns JSON data, `Content`, or a response that has been sent.
Handler = Callable[[AdminRequest], Awaitable[Any]]


def not_found(kind: str, name: str) -> RefusedError:
    """Return the refusal of a name or id that does not exist."""
    return RefusedError(404, "not_found", f"unknown {kind}: {name[:80]!r}")


@contextmanager
def or_not_found(kind: str, name: str) -> Iterator[None]:
    """Refuse the name or id if the block does not find it: if it raises KeyError."""
    try:
        yield
    except KeyError:
        raise not_found(kind, name) from None


#: How the errors of the engine are answered.
_REFUSALS: dict[type[Exception], tuple[int, str]] = {
    InvalidFaultError: (400, "invalid_body"),
    UnknownReasonError: (400, "invalid_body"),
    NoSuchEndError: (400, "invalid_body"),
    TaskEndedError: (409, "conflict"),
    NotHeldError: (409, "conflict"),
    NoKeyFormatError: (409, "conflict"),
    AdvanceUnderWayError: (409, "advance_under_way"),
}


class ControlPlane:
    """The compiled document: its routes, and the schema of each body."""

    def __init__(self) -> None:
        self.document = Document.read(_DOCUMENT)
        self.bodies: dict[str, Schema] = {}
        self.router = Router(
            [
                Route(path, {each.upper(): self._operation(path, each, item) for each in _METHODS if each in item})
                for path, item in self.document.data["paths"].items()
            ]
        )

    def _operation(self, path: str, method: str, item: dict[str, Any]) -> Operation:
        entry = item[method]
        name = entry["operationId"]
        if "requestBody" in entry:
            schema = entry["requestBody"]["content"]["application/json"]["schema"]
            self.bodies[name] = compile_schema(self.document, schema)
        parameters = []
        for raw in (*item.get("parameters", ()), *entry.get("parameters", ())):
            parameter = self.document.resolve(raw["$ref"]) if "$ref" in raw else raw
            parameters.append(
                Parameter(
                    parameter["name"],
                    parameter["in"],
                    parameter.get("required", False),
                    parameter["schema"].get("type", "string"),
                    compile_schema(self.document, parameter["schema"]),
                )
            )
        return Operation(name, method.upper(), path, "query", secured=False, checked_parameters=tuple(parameters))


@cache
def control_plane() -> ControlPlane:
    """Compile the document, when the control plane is first used."""
    return ControlPlane()


@dataclass(frozen=True, slots=True)
class Admin:
    """The control plane of one server."""

    access: Access
    #: By operationId.
    handlers: Mapping[str, Handler]
    sessions: Sessions
    #: Returns how many connections are open.
    connections: Callable[[], int]
    #: How long a body may take to arrive.
    timeout_s: float

    async def handle(self, request: web.BaseRequest, address: Address, path: str) -> web.StreamResponse:
        """Answer a request to the control plane about one session."""
        status, runtime, query = 200, address.runtime, address.query
        path = OTHER_SPELLINGS.get(path, path)
        try:
            self.access.check(request, path, query)
            if address.new_session is not None and path not in OPEN:
                self.access.check_page(request.headers, of_provider=False)
                runtime = self._made(address.new_session)
            answer = await self._perform(request, runtime, path, query)
        except RefusedError as error:
            status = error.status
            body = orjson.dumps({"error": {"code": error.code, "message": str(error)}})
            answer = Content("application/json", body, error.headers, status)
            if status == 401 and path in PAGES:  # the page asks for the token
                answer = await self.handlers[PAGES[path]](self._request(request, runtime, {}, None))
        if isinstance(answer, web.StreamResponse):
            return answer
        content = answer if isinstance(answer, Content) else Content("application/json", orjson.dumps(answer))
        headers = (("Cache-Control", "no-store"), *content.headers)
        close = status in (408, 413)
        status = content.status if status == 200 else status
        return wire_response(request, status, headers, content.content_type, content.content, "", close=close)

    def _made(self, session: str) -> Runtime:
        try:
            return self.sessions.get(session)
        except SessionError as error:
            raise RefusedError(error.status, error.code, str(error)) from None

    def _request(
        self, http: web.BaseRequest, runtime: Runtime, parameters: Mapping[str, Any], body: Any
    ) -> AdminRequest:
        return AdminRequest(runtime, self.sessions, self.connections(), parameters, body, http)

    async def _perform(self, http: web.BaseRequest, runtime: Runtime, path: str, query: str) -> Any:
        plane = control_plane()
        match = plane.router.find(http.method, path)
        if match.route is None:
            raise RefusedError(404, "not_found", f"unknown path: {path[:80]!r}; see /__admin/openapi.json")
        operation = match.operation
        if operation is None:
            allowed = allowed_methods(match.route)
            raise RefusedError(405, "method_not_allowed", f"use {allowed}", (("Allow", allowed),))
        asked = Request(http.method, path, http.headers, query_string=query)
        problem = parameter_problem(operation, match.path_values, asked)
        if problem is not None:
            raise RefusedError(400, "invalid_parameter", problem.message)
        body = await self._body(http, plane.bodies.get(operation.id))
        known = {parameter.name: asked.query.get(parameter.name) for parameter in operation.checked_parameters}
        request = self._request(http, runtime, {**known, **match.path_values}, body)
        try:
            return await self.handlers[operation.id](request)
        except tuple(_REFUSALS) as error:
            raise RefusedError(*_REFUSALS[type(error)], str(error)) from None

    async def _body(self, http: web.BaseRequest, schema: Schema | None) -> Any:
        if schema is None:
            return None
        body = await read_body(http, _MAX_BODY_BYTES, self.timeout_s)
        if body.oversized:
            raise RefusedError(413, "body", f"the body is larger than {_MAX_BODY_BYTES} bytes")
        if body.stalled:
            raise RefusedError(408, "body", "the body did not arrive in time")
        media_type = http.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise RefusedError(415, "unsupported_media_type", "send JSON, with Content-Type: application/json")
        try:
            value = parse_json(body.content)
        except BodyError as error:
            raise RefusedError(400, "malformed_body", str(error)) from None
        if not schema.accepts(value):
            raise RefusedError(400, "invalid_body", schema.problems(value)[0].message)
        return value
