"""Worlds to test in, and clients that speak to any provider as its compiled spec asks.

Nothing here names a provider: what a request needs is read from the provider itself. The worlds hold the
shipped providers and the tests' own, `kiln`, which has what those lack.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from multidict import CIMultiDict

from mockserver.chance import Chance
from mockserver.clock import MANUAL_START_MS
from mockserver.engine.context import RequestContext
from mockserver.engine.messages import Form, Request
from mockserver.engine.world import World, WorldRules
from mockserver.spec.catalog import load_providers
from mockserver.spec.document import Document
from mockserver.spec.vocabulary import builtin_specs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mockserver.engine.accounts import Account
    from mockserver.engine.callbacks import AttemptResult, Delivery
    from mockserver.engine.messages import Response
    from mockserver.engine.state import ProviderState
    from mockserver.engine.task import Task
    from mockserver.engine.world import Outcome
    from mockserver.provider import Operation, Plan, Provider, ProviderRules, Role, TargetMode

START_MS = MANUAL_START_MS
KILN = Path(__file__).with_name("kiln.yaml")
RECEIVER = "https://receiver.example/hooks"
#: A word that the content policy of every provider here refuses.
RUDE = "nsfw"


@cache
def _loaded(dialects: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[Provider, ...]:
    return tuple(load_providers([KILN], dialects=dict(dialects)))


def providers(dialects: Mapping[str, Iterable[str]] | None = None) -> dict[str, Provider]:
    """Return all providers by name, with these dialects on."""
    chosen = tuple((name, tuple(names)) for name, names in sorted((dialects or {}).items()))
    return {provider.name: provider for provider in _loaded(chosen)}


ALL = tuple(sorted(providers()))
SHIPPED = tuple(name for name in ALL if name != "kiln")
WITH_CALLBACKS = tuple(name for name in ALL if providers()[name].callbacks is not None)


@cache
def spec_of(name: str) -> dict[str, Any]:
    """Return the data of the document that leads a provider."""
    for path in (*builtin_specs(), KILN):
        data = Document.read(path).data
        if data["x-mock"].get("provider") == name:
            return data
    raise KeyError(name)


def new_world(
    *,
    seed: int = 7,
    dialects: Mapping[str, Iterable[str]] | None = None,
    targets: TargetMode = "loopback",
    rules: Mapping[str, ProviderRules] | None = None,
) -> World:
    """Make a world in which nothing has happened."""
    known = providers(dialects)
    urls = {name: f"http://mock.test/{name}" for name in known}
    return World(known.values(), Chance(seed), WorldRules(targets, rules or {}), urls)


def keys_of(provider: Provider) -> list[str]:
    """Return sixteen well-formed keys."""
    keys = [provider.key.example[:-1] + digit for digit in "0123456789abcdef"]
    assert all(provider.key.well_formed(key) for key in keys)
    return keys


def changed_at(body: Mapping[str, Any], keys: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a copy of a body with another value at a path of keys."""
    out = deepcopy(dict(body))
    here = out
    for key in keys[:-1]:
        here = here.setdefault(key, {})
    here[keys[-1]] = value
    return out


def pointer_of(expression: str) -> tuple[str, ...]:
    """Return the keys of an expression such as ``$request.body#/input/prompt``."""
    return tuple(expression.partition("#/")[2].split("/"))


class Client:
    """One key at one provider of a world. It keeps no clock: every call says when it is made."""

    def __init__(self, world: World, name: str, key: str | None = None) -> None:
        self.world = world
        self.state: ProviderState = world.providers[name]
        self.provider: Provider = self.state.provider
        self.key = self.provider.key.example if key is None else key
        #: Of the last request.
        self.outcome: Outcome

    # -- what the spec says ---------------------------------------------------------------------

    def operation(self, role: Role) -> Operation:
        """Return the provider's operation of this role."""
        return next(each for each in self.provider.operations.values() if each.role == role)

    def has(self, role: Role) -> bool:
        """Tell whether the provider has such an operation."""
        return any(each.role == role for each in self.provider.operations.values())

    def body(self, model: str | None = None, *, callback: str | None = None, text: str | None = None) -> dict[str, Any]:
        """Return a body that submits a task; `text` goes into the field that the content policy reads."""
        chosen = next(iter(self.provider.models.values())) if model is None else self.provider.models[model]
        assert chosen.example is not None
        mock = spec_of(self.provider.name)["x-mock"]
        out = deepcopy(dict(chosen.example))
        if callback is not None:
            out = changed_at(out, pointer_of(mock["callbacks"]["url"]), callback)
        if text is not None:
            paths = [pointer_of(each) for each in mock["content_policy"]["texts"]]
            held = next(path for path in paths if path[0] in out)
            out = changed_at(out, held, text)
        return out

    def headers(self) -> CIMultiDict[str]:
        """Return the headers of an authorised JSON request."""
        rule = self.provider.key
        credentials = f"Bearer {self.key}" if rule.bearer else self.key
        return CIMultiDict({rule.header: credentials, "Content-Type": "application/json"})

    # -- requests -------------------------------------------------------------------------------

    def send(
        self,
        method: str,
        path: str,
        now_ms: int,
        *,
        body: bytes = b"",
        query: str = "",
        headers: Mapping[str, str] | None = None,
        oversized: bool = False,
        stalled: bool = False,
        form: Form | None = None,
    ) -> Response:
        """Send any request at all."""
        call = Request(
            method,
            path,
            self.headers() if headers is None else headers,
            body,
            query,
            oversized=oversized,
            stalled=stalled,
            form=form,
        )
        self.outcome = self.world.handle(self.state, self.state.router.find(method, path), call, now_ms)
        return self.outcome.response

    def submit(
        self,
        now_ms: int,
        body: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        callback: str | None = None,
        text: str | None = None,
    ) -> Response:
        """Submit a task: the model's own example, unless a body is given."""
        operation = self.operation("submit")
        content = self.body(model, callback=callback, text=text) if body is None else dict(body)
        return self.send(operation.method, operation.path, now_ms, body=orjson.dumps(content))

    def query(self, task_id: str, now_ms: int) -> Response:
        """Ask how a task stands."""
        return self._about_task("query", task_id, now_ms)

    def cancel(self, task_id: str, now_ms: int) -> Response:
        """Cancel a task where the provider can."""
        return self._about_task("cancel", task_id, now_ms)

    def _about_task(self, role: Role, task_id: str, now_ms: int) -> Response:
        operation = self.operation(role)
        path, query = operation.path, ""
        for parameter in operation.parameters:
            if parameter.place == "path":
                path = path.replace(f"{{{parameter.name}}}", task_id)
            elif parameter.required:
                query = f"{parameter.name}={task_id}"
        return self.send(operation.method, path, now_ms, query=query)

    def ask(self, role: Role, now_ms: int, body: Mapping[str, Any] | None = None, query: str = "") -> Response:
        """Send a request to the operation of a role that needs no task."""
        operation = self.operation(role)
        content = b"" if body is None else orjson.dumps(dict(body))
        return self.send(operation.method, operation.path, now_ms, body=content, query=query)

    def upload(
        self, now_ms: int, content: bytes = b"bytes", media_type: str = "image/png", name: str = "a.png"
    ) -> Response:
        """Upload a file, as the edge would have decoded it."""
        operation = self.operation("upload")
        return self.send(operation.method, operation.path, now_ms, form=Form(content, media_type, name))

    def fetch(self, url: str, now_ms: int) -> Response:
        """Get a link that this provider gave out, without a key."""
        base = f"http://mock.test/{self.provider.name}"
        assert url.startswith(base)
        path, _, query = url.removeprefix(base).partition("?")
        return self.send("GET", path, now_ms, query=query, headers={})

    # -- what has become of it ------------------------------------------------------------------

    @property
    def account(self) -> Account:
        """The key's account."""
        return self.state.account(self.key, START_MS)

    def set_plan(self, **changes: Any) -> Plan:
        """Put the account on a plan that differs from the one it has."""
        self.account.plan = replace(self.account.plan, **changes)
        return self.account.plan

    def task(self, task_id: str | None) -> Task:
        """Return a task as it is kept."""
        assert task_id is not None
        return self.state.tasks[task_id]

    def links(self, task_id: str, now_ms: int) -> list[str]:
        """Return the links to a task's files."""
        context = RequestContext(self.state, now_ms)
        task = self.task(task_id)
        context.set_task(task)
        context.body = task.body
        assert task.result is not None
        return self.state.links.result_urls(task, task.result, context.result_count(task.result), context.base)


def loads(reply: Response) -> Any:
    """Read the body of a reply."""
    return orjson.loads(reply.body)


def headers_of(reply: Response) -> dict[str, str]:
    """Return the headers of a reply."""
    return dict(reply.headers)


def due_deliveries(world: World, now_ms: int) -> list[tuple[int, Delivery]]:
    """Take everything that has fallen due off the agenda."""
    out = []
    while (due := world.pop_due(now_ms)) is not None:
        out.append(due)
    return out


OUTCOMES: tuple[AttemptResult, ...] = ("acknowledged", "refused", "timeout", "unreachable", "blocked")
