"""The control plane, under /__admin/: see and steer a running server.

control-plane.yaml is its authority: paths, parameters and bodies are matched and judged by it, and each
operationId there is a method here. Open on loopback; elsewhere a token is asked for. A foreign Host or
Origin is refused, so that no web page can reach it through a browser.
"""

from __future__ import annotations

import asyncio
import heapq
import hmac
import itertools
import secrets
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import orjson
from aiohttp import web

from mockserver import __version__, scenarios
from mockserver.clock import TimeWouldGoBackError, instant_of, iso_of
from mockserver.edge.dispatcher import AdvanceUnderWayError, Report
from mockserver.edge.http_bytes import wire_response
from mockserver.edge.request_body import read_body
from mockserver.edge.rule_codec import catalogue, rule_record
from mockserver.edge.sessions import SessionError
from mockserver.engine.admission import parameter_problem
from mockserver.engine.body import BodyError, parse_json
from mockserver.engine.commands import NoSuchEndError, UnknownReasonError
from mockserver.engine.context import credits_of
from mockserver.engine.faults import InvalidFaultError
from mockserver.engine.messages import Request
from mockserver.engine.routes import Router, allowed_methods
from mockserver.engine.targets import LOOPBACK_HOSTS
from mockserver.engine.task import NotHeldError, Task, TaskEndedError, ended, status_at
from mockserver.journal import har
from mockserver.provider import UCR, Operation, Parameter, Route
from mockserver.spec.document import Document, SpecError
from mockserver.spec.schema import compile_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mockserver.edge.runtime import Runtime
    from mockserver.edge.server import Server
    from mockserver.engine.accounts import Account
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.commands import Command
    from mockserver.engine.state import ProviderState
    from mockserver.provider import Provider, Schema

_RUNTIME: ContextVar[Runtime] = ContextVar("_RUNTIME")
_DOCUMENT = Path(__file__).with_name("control-plane.yaml")
_METHODS = ("get", "put", "post", "delete", "patch")
_MAX_BODY_BYTES = 1 << 20
#: Of a scenario with many faults.
_FAULTS_TOLD = 10
#: What a browser asks for without our headers: the token may stand in the query.
_PAGES = frozenset(("/ui", "/ui/"))
_TOKEN_IN_QUERY = _PAGES | {"/events"}


class _RefusedError(Exception):
    """The control plane does not do what was asked; the status says in which way."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def _not_found(what: str, name: str) -> _RefusedError:
    return _RefusedError(404, "not_found", f"there is no {what} {name[:80]!r}")


class ControlPlane:
    """The compiled document: routes, and the schema of each body."""

    def __init__(self) -> None:
        self.document = Document.read(_DOCUMENT)
        self.bodies: dict[str, Schema] = {}
        routes = []
        for path, item in self.document.data["paths"].items():
            operations = {}
            for method in _METHODS:
                if method in item:
                    operations[method.upper()] = self._operation(path, method, item)
            routes.append(Route(path, operations))
        self.router = Router(routes)

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


class Admin:
    """The control plane of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        settings = server.settings
        self.token = settings.admin_token or (None if settings.on_loopback else secrets.token_urlsafe(24))
        public = urlsplit(settings.public_url or "").hostname
        self._hosts = LOOPBACK_HOSTS | {settings.host} | ({public} if public else set())

    @property
    def _runtime(self) -> Runtime:
        """The world that the request at hand is about."""
        return _RUNTIME.get()

    async def handle(self, request: web.BaseRequest, runtime: Runtime, path: str, query: str) -> web.StreamResponse:
        """Answer a request to the control plane, about one world."""
        _RUNTIME.set(runtime)
        headers: tuple[tuple[str, str], ...] = ()
        content_type = "application/json"
        try:
            self._check_origin(request)
            self._check_token(request, path, query)
            answer = await self._perform(request, path, query)
            status = 200
            if isinstance(answer, web.StreamResponse):
                return answer
            if isinstance(answer, tuple):
                content_type, body, *more = answer
                headers = more[0] if more else ()
            else:
                body = orjson.dumps(answer)
        except _MethodError as error:
            status, headers = 405, (("Allow", error.allowed),)
            body = _error_body("method_not_allowed", f"use {error.allowed}")
        except _RefusedError as error:
            status, body = error.status, _error_body(error.code, str(error))
            if status == 401 and path in _PAGES:
                content_type, body, headers = self._server.live.page(in_folder=path == "/ui/")
        headers = (("Cache-Control", "no-store"), *headers)
        return wire_response(request, status, headers, content_type, body, "", close=status in (408, 413))

    def _check_origin(self, request: web.BaseRequest) -> None:
        try:
            host = urlsplit(f"//{request.headers.get('Host', '')}").hostname
            origin = request.headers.get("Origin")
            origin_host = None if origin is None else urlsplit(origin).hostname
        except ValueError:
            raise _RefusedError(403, "foreign_host", "the Host or Origin header is not well-formed") from None
        if host not in self._hosts:
            raise _RefusedError(
                403,
                "foreign_host",
                "the control plane answers only to its own address in Host; --public-url names another",
            )
        if origin is not None and (
            origin_host not in self._hosts or urlsplit(origin).netloc != request.headers.get("Host")
        ):
            raise _RefusedError(403, "foreign_origin", "the control plane is not open to pages from elsewhere")

    def _check_token(self, request: web.BaseRequest, path: str, query: str) -> None:
        if self.token is None or (path.startswith("/ui/") and path != "/ui/"):
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = request.headers.get("X-Admin-Token", "")
        if not given and path in _TOKEN_IN_QUERY:
            given = parse_qs(query).get("token", [""])[0]
        if not hmac.compare_digest(given.strip().encode("utf-8", "replace"), self.token.encode()):
            raise _RefusedError(401, "token_required", "send the admin token as a bearer token in Authorization")

    async def _perform(self, request: web.BaseRequest, path: str, query: str) -> Any:
        plane = control_plane()
        match = plane.router.find(request.method, path)
        if match.route is None:
            raise _RefusedError(404, "not_found", f"the control plane has no {path[:80]!r}; see /__admin/openapi.json")
        operation = match.operation
        if operation is None:
            raise _MethodError(allowed_methods(match.route))
        asked = Request(request.method, path, request.headers, query_string=query)
        problem = parameter_problem(operation, match.path_values, asked)
        if problem is not None:
            raise _RefusedError(400, "invalid_parameter", problem.message)
        body = await self._body(request, plane.bodies.get(operation.id))
        known = {parameter.name: asked.query.get(parameter.name) for parameter in operation.checked_parameters}
        if operation.id == "events":
            return await self._events(request, known)
        return await getattr(self, f"_{_snake(operation.id)}")({**known, **match.path_values}, body)

    async def _body(self, request: web.BaseRequest, schema: Schema | None) -> Any:
        if schema is None:
            return None
        body = await read_body(request, _MAX_BODY_BYTES, self._server.settings.request_timeout_s)
        if body.oversized or body.stalled:
            raise _RefusedError(413 if body.oversized else 408, "body", "the body is too large or did not arrive")
        media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise _RefusedError(415, "unsupported_media_type", "send JSON, with Content-Type: application/json")
        try:
            value = parse_json(body.content)
        except BodyError as error:
            raise _RefusedError(400, "malformed_body", str(error)) from None
        if not schema.accepts(value):
            raise _RefusedError(400, "invalid_body", schema.problems(value)[0].message)
        return value

    # -- the server -----------------------------------------------------------------------------

    async def _health(self, _words: Mapping[str, Any], _body: None) -> Any:
        return {
            "status": "ok",
            "now": iso_of(self._runtime.clock.now_ms()),
            "connections": self._server.connections,
            "background_tasks": len(asyncio.all_tasks()) - self._server.connections,
        }

    async def _version(self, _words: Mapping[str, Any], _body: None) -> Any:
        return {"name": "mockserver", "version": __version__, "seed": self._runtime.world.chance.seed}

    async def _document(self, _words: Mapping[str, Any], _body: None) -> Any:
        return control_plane().document.data

    async def _providers(self, _words: Mapping[str, Any], _body: None) -> Any:
        return {
            "providers": [
                provider_record(provider, self._runtime.base_urls[provider.name]) for provider in self._server.providers
            ]
        }

    async def _reset(self, _words: Mapping[str, Any], body: dict[str, Any]) -> Any:
        if body["what"] == "all":
            await self._runtime.reset()
        else:
            self._runtime.journal.clear()
        return self._clock_state()

    # -- the live page --------------------------------------------------------------------------

    async def _live_page(self, _words: Mapping[str, Any], _body: None) -> Any:
        return self._server.live.page(in_folder=False)

    async def _live_page_in_folder(self, _words: Mapping[str, Any], _body: None) -> Any:
        return self._server.live.page(in_folder=True)

    async def _live_file(self, words: Mapping[str, Any], _body: None) -> Any:
        file = self._server.live.file(words["file"])
        if file is None:
            raise _not_found("file of the page", words["file"])
        return file

    async def _events(self, request: web.BaseRequest, words: Mapping[str, Any]) -> web.StreamResponse:
        try:
            session = words["session"]
            runtime = self._runtime if session is None else self._server.sessions.get(session)
        except SessionError as error:
            raise _RefusedError(400, "invalid_parameter", f"session: {error}") from None
        return await self._server.live.stream(request, runtime, once=words["once"] == "true")

    # -- the clock ------------------------------------------------------------------------------

    async def _clock(self, _words: Mapping[str, Any], _body: None) -> Any:
        return self._clock_state()

    async def _move_clock(self, _words: Mapping[str, Any], body: dict[str, Any]) -> Any:
        clock, runtime = self._runtime.clock, self._runtime
        report = Report(0, 0, 0)
        try:
            if "speed" in body:
                clock.set_speed(body["speed"])
                runtime.dispatcher.wake()
            elif "advance_s" in body:
                report = await runtime.advance_to(clock.now_ms() + round(body["advance_s"] * 1000))
            else:
                report = await runtime.advance_to(instant_of(body["set"]))
        except (TimeWouldGoBackError, ValueError) as error:
            raise _RefusedError(400, "invalid_time", str(error)) from None
        except AdvanceUnderWayError:
            raise _RefusedError(
                409, "advance_under_way", "the clock, or a task, is being moved on; wait until that has been answered"
            ) from None
        if runtime.clock is not clock:
            raise _RefusedError(409, "reset", "the server was reset before the clock had come there")
        if runtime.closed:
            raise _RefusedError(409, "dropped", "the session was dropped before the clock had come there")
        return {**self._clock_state(), **report._asdict()}

    def _clock_state(self) -> dict[str, Any]:
        clock, due_ms = self._runtime.clock, self._runtime.world.next_due_ms()
        now_ms = clock.now_ms()
        return {
            "now": iso_of(now_ms),
            "now_ms": now_ms,
            "speed": clock.speed,
            "next_due": None if due_ms is None else iso_of(due_ms),
        }

    # -- tasks ----------------------------------------------------------------------------------

    async def _tasks(self, words: Mapping[str, Any], _body: None) -> Any:
        now_ms = self._runtime.clock.now_ms()
        limit = int(words["limit"] or 100)
        chosen = (
            task_record(state, task, now_ms)
            for state, task in newest_tasks(self._states(words["provider"]))
            if words["account"] in (None, task.account.id) and words["status"] in (None, status_at(task, now_ms).status)
        )
        found = list(itertools.islice(chosen, limit))
        total = sum(len(state.tasks) for state in self._runtime.world.providers.values())
        return {"tasks": found, "total": total}

    def _states(self, provider: str | None) -> list[ProviderState]:
        return [state for name, state in self._runtime.world.providers.items() if provider is None or name == provider]

    async def _task(self, words: Mapping[str, Any], _body: None) -> Any:
        try:
            state, task = self._runtime.world.find_task(words["task_id"])
        except KeyError:
            raise _not_found("task", words["task_id"]) from None
        return task_record(state, task, self._runtime.clock.now_ms())

    async def _command(self, words: Mapping[str, Any], command: Command, reason: str | None = None) -> Any:
        try:
            await self._runtime.command(words["task_id"], command, reason)
        except KeyError:
            raise _not_found("task", words["task_id"]) from None
        except (TaskEndedError, NotHeldError) as error:
            raise _RefusedError(409, "conflict", str(error)) from None
        except (UnknownReasonError, NoSuchEndError) as error:
            raise _RefusedError(400, "invalid_body", str(error)) from None
        return await self._task(words, None)

    async def _hold(self, words: Mapping[str, Any], _body: None) -> Any:
        return await self._command(words, "hold")

    async def _release(self, words: Mapping[str, Any], _body: None) -> Any:
        return await self._command(words, "release")

    async def _complete(self, words: Mapping[str, Any], _body: None) -> Any:
        return await self._command(words, "complete")

    async def _fail(self, words: Mapping[str, Any], body: dict[str, Any]) -> Any:
        return await self._command(words, "fail", body.get("reason"))

    async def _cancel(self, words: Mapping[str, Any], _body: None) -> Any:
        return await self._command(words, "cancel")

    # -- accounts -------------------------------------------------------------------------------

    async def _accounts(self, words: Mapping[str, Any], _body: None) -> Any:
        now_ms = self._runtime.clock.now_ms()
        return {
            "accounts": [
                account_record(state, account, now_ms)
                for state in self._states(words["provider"])
                for account in state.accounts.values()
            ]
        }

    def _find_account(self, account_id: str) -> tuple[ProviderState, Account]:
        for state in self._runtime.world.providers.values():
            account = state.account_by_id(account_id)
            if account is not None:
                return state, account
        raise _not_found("account", account_id)

    async def _account(self, words: Mapping[str, Any], _body: None) -> Any:
        state, account = self._find_account(words["account_id"])
        return account_record(state, account, self._runtime.clock.now_ms())

    async def _open_account(self, _words: Mapping[str, Any], body: dict[str, Any]) -> Any:
        state = self._runtime.world.providers.get(body["provider"])
        if state is None:
            raise _not_found("provider", body["provider"])
        if not state.provider.key.well_formed(body["key"]):
            raise _RefusedError(400, "invalid_body", f"key: {state.provider.title} would not take it for a key")
        self._check_change(state, body)
        return self._changed(state, state.account(body["key"], self._runtime.clock.now_ms()), body)

    async def _change_account(self, words: Mapping[str, Any], body: dict[str, Any]) -> Any:
        state, account = self._find_account(words["account_id"])
        self._check_change(state, body)
        return self._changed(state, account, body)

    @staticmethod
    def _check_change(state: ProviderState, body: dict[str, Any]) -> None:
        plans = state.provider.plans
        if "plan" in body and body["plan"] not in plans:
            raise _RefusedError(
                400, "invalid_body", f"plan: there is no {body['plan']!r}; there are {', '.join(plans)}"
            )

    def _changed(self, state: ProviderState, account: Account, body: dict[str, Any]) -> Any:
        now_ms = self._runtime.clock.now_ms()
        if "plan" in body:
            account.plan = state.provider.plans[body["plan"]]
        if "available_credits" in body:
            account.settle(now_ms)
            account.grant(round(body["available_credits"] * UCR) - account.available_ucr, now_ms)
        if "secret" in body:
            account.change_secret(body["secret"])
        if "revoked" in body:
            account.revoked = body["revoked"]
        return account_record(state, account, now_ms)

    async def _ledger(self, words: Mapping[str, Any], _body: None) -> Any:
        _, account = self._find_account(words["account_id"])
        account.settle(self._runtime.clock.now_ms())
        return {
            "entries": [
                {
                    "at": iso_of(entry.at_ms),
                    "kind": entry.kind,
                    "credits": credits_of(entry.amount_ucr),
                    "task": entry.task_id,
                }
                for entry in account.ledger
            ]
        }

    # -- faults and sessions --------------------------------------------------------------------

    async def _fault_catalog(self, _words: Mapping[str, Any], _body: None) -> Any:
        return {"faults": catalogue()}

    async def _faults(self, _words: Mapping[str, Any], _body: None) -> Any:
        return {"faults": [rule_record(rule) for rule in self._runtime.world.faults.rules.values()]}

    async def _add_fault(self, _words: Mapping[str, Any], body: dict[str, Any]) -> Any:
        try:
            return rule_record(self._runtime.add_fault(body))
        except InvalidFaultError as error:
            raise _RefusedError(400, "invalid_body", str(error)) from None

    async def _remove_fault(self, words: Mapping[str, Any], _body: None) -> Any:
        try:
            return rule_record(self._runtime.world.faults.remove(words["fault_id"]))
        except KeyError:
            raise _not_found("fault", words["fault_id"]) from None

    async def _remove_faults(self, _words: Mapping[str, Any], _body: None) -> Any:
        self._runtime.world.faults.clear()
        return {"faults": []}

    async def _scenarios(self, _words: Mapping[str, Any], _body: None) -> Any:
        return {
            "gallery": [
                {"name": name, "scenario": found.name, "summary": found.summary, "good_client": found.good_client}
                for name, path in scenarios.gallery().items()
                for found in (scenarios.read(path),)
            ],
            "running": self._runtime.scenario_record(),
        }

    async def _start_scenario(self, _words: Mapping[str, Any], body: dict[str, Any]) -> Any:
        try:
            if isinstance(body["scenario"], str):
                known = scenarios.gallery()
                if body["scenario"] not in known:
                    raise _not_found("scenario", body["scenario"])
                scenario = scenarios.read(known[body["scenario"]])
            else:
                scenario = scenarios.of_data(body["scenario"])
            await self._runtime.start_scenario(scenario)
        except SpecError as error:
            first, more = error.issues[:_FAULTS_TOLD], len(error.issues) - _FAULTS_TOLD
            message = "\n".join([*map(str, first), *([f"and {more} more"] if more > 0 else [])])
            raise _RefusedError(400, "invalid_body", message) from None
        return {"running": self._runtime.scenario_record()}

    async def _stop_scenario(self, _words: Mapping[str, Any], _body: None) -> Any:
        record = self._runtime.scenario_record()
        self._runtime.stop_scenario()
        return {"stopped": record}

    async def _list_sessions(self, _words: Mapping[str, Any], _body: None) -> Any:
        sessions = self._server.sessions
        return {
            "sessions": [
                {
                    "name": name,
                    "now": iso_of(runtime.clock.now_ms()),
                    "idle_s": round(sessions.idle_s(name), 3),
                    "tasks": sum(len(state.tasks) for state in runtime.world.providers.values()),
                }
                for name in sessions
                if (runtime := sessions.known(name)) is not None
            ]
        }

    async def _drop_session(self, words: Mapping[str, Any], _body: None) -> Any:
        try:
            await self._server.sessions.drop(words["session"])
        except KeyError:
            raise _not_found("session", words["session"]) from None
        return {"dropped": words["session"]}

    # -- the journal and the callbacks ----------------------------------------------------------

    def _records(self, words: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        return self._runtime.journal.records(**{name: value for name, value in words.items() if name != "limit"})

    async def _requests(self, words: Mapping[str, Any], _body: None) -> Any:
        limit = int(words["limit"] or 1000)
        return {"records": [record for _, record in zip(range(limit), self._records(words), strict=False)]}

    async def _count_requests(self, words: Mapping[str, Any], _body: None) -> Any:
        return {"count": sum(1 for _ in self._records(words))}

    async def _export_requests(self, words: Mapping[str, Any], _body: None) -> Any:
        if words["format"] == "har":
            return har(self._runtime.journal.records(), __version__)
        return "application/x-ndjson", self._runtime.journal.ndjson()

    async def _callbacks(self, words: Mapping[str, Any], _body: None) -> Any:
        return {
            "callbacks": [
                delivery_record(delivery)
                for delivery in self._runtime.world.deliveries()
                if words["task"] in (None, delivery.task_id)
            ]
        }

    async def _redeliver(self, words: Mapping[str, Any], _body: None) -> Any:
        try:
            return delivery_record(await self._runtime.redeliver(words["delivery_id"]))
        except KeyError:
            raise _not_found("finished callback", words["delivery_id"]) from None


class _MethodError(Exception):
    """The path does not know the method."""

    def __init__(self, allowed: str) -> None:
        super().__init__(allowed)
        self.allowed = allowed


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _error_body(code: str, message: str) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": message}})


def newest_tasks(providers: Iterable[ProviderState]) -> Iterator[tuple[ProviderState, Task]]:
    """Give the tasks of some providers, those submitted last first; at one instant, the last of each before others."""
    merged = heapq.merge(*map(_from_the_last, providers), key=lambda each: each[:2])
    return ((state, task) for _, _, state, task in merged)


def _from_the_last(state: ProviderState) -> Iterator[tuple[int, int, ProviderState, Task]]:
    for place, task in enumerate(reversed(state.tasks.values())):
        yield -task.submitted_ms, place, state, task


def provider_record(provider: Provider, base_url: str) -> dict[str, Any]:
    """Write down what is served of a provider, and what can become of its tasks."""
    lifecycle = provider.lifecycle
    return {
        "name": provider.name,
        "title": provider.title,
        "base_url": base_url,
        "hosts": provider.hosts,
        "models": list(provider.models),
        "plans": list(provider.plans),
        "states": [state.name for state in lifecycle.states],
        "ends": [
            {
                "name": end.name,
                "kind": end.kind,
                "reasons": [{"code": each.code, "message": each.message} for each in end.reasons.values()],
            }
            for end in lifecycle.ends.values()
        ],
        "operations": [
            {"id": each.id, "role": each.role, "method": each.method, "path": each.path}
            for each in provider.operations.values()
        ],
        "dialects": [{"name": each.name, "summary": each.summary, "active": each.active} for each in provider.dialects],
    }


def task_record(state: ProviderState, task: Task, now_ms: int) -> dict[str, Any]:
    """Write a task down as it stands at an instant."""
    status, progress, is_over = status_at(task, now_ms)
    return {
        "id": task.id,
        "provider": state.provider.name,
        "model": task.model.name,
        "account": task.account.id,
        "status": status,
        "progress": progress,
        "ended": ended(task, now_ms),
        "held": task.held_ms is not None,
        "submitted_at": iso_of(task.submitted_ms),
        "ends_at": None if task.held_ms is not None else iso_of(task.ends_ms),
        "reserved_credits": credits_of(task.reserved_ucr),
        "charged_credits": credits_of(task.spends_ucr if is_over else 0),
        "reason": task.reason.code if is_over and task.reason is not None else None,
        "callback_url": task.callback_url,
        "request": task.body,
    }


def account_record(state: ProviderState, account: Account, now_ms: int) -> dict[str, Any]:
    """Write down what an account holds at an instant, and what it may."""
    running = account.running_tasks(now_ms)
    left = account.rate.left(account.plan, now_ms)
    if account.plan.concurrent_tasks is not None:
        left["concurrent_tasks"] = max(0, account.plan.concurrent_tasks - running)
    return {
        "id": account.id,
        "provider": state.provider.name,
        "plan": account.plan.name,
        "revoked": account.revoked,
        "granted_credits": credits_of(account.granted_ucr),
        "available_credits": credits_of(account.available_ucr),
        "reserved_credits": credits_of(account.reserved_ucr),
        "spent_credits": credits_of(account.spent_ucr),
        "running_tasks": running,
        "limits": {name: getattr(account.plan, name) for name in left},
        "limits_left": left,
    }


def delivery_record(delivery: Delivery) -> dict[str, Any]:
    """Write a callback down, with the attempts so far."""
    return {
        "id": delivery.id,
        "provider": delivery.provider,
        "task": delivery.task_id,
        "event": delivery.event,
        "url": delivery.url,
        "state": delivery.state,
        "due": iso_of(delivery.due_ms),
        "attempts": [
            {
                "number": attempt.number,
                "at": iso_of(attempt.at_ms),
                "outcome": attempt.outcome,
                "status": attempt.status,
                "detail": attempt.detail,
            }
            for attempt in delivery.attempts
        ],
    }
