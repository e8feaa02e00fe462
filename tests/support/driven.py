"""Drives every operation of a compiled provider once and says what came out wrong, whatever its spec holds.

A good provider gives its documented answer to what its own example asks, ends its tasks, serves the links it gives,
and puts no expression on the wire that was meant to be replaced.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from multidict import CIMultiDict

from mockserver.chance import Chance
from mockserver.engine.context import RequestContext
from mockserver.engine.messages import FileWanted, Form, Request
from mockserver.engine.render import error_response
from mockserver.engine.world import World, WorldRules
from mockserver.media.shape import fitting_shape
from mockserver.provider import ProviderRules
from support.engine import START_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mockserver.engine.messages import Response
    from mockserver.provider import Model, Operation, Provider

RECEIVER = "https://receiver.example/hooks"
#: An expression that went over the wire as it stands in the spec.
LITERAL = re.compile(r"\{?\$[a-z]+[.#{}\w/]*|\{(?:task|request|account|error|problem|input)[.#]")
BODIES = (b"", b"{", b"[]", b"null", b"{}", b'{"model": 7, "prompt": null, "input": []}')
_DAYS_MS = 30 * 86_400_000
_STEPS = 12


class Driven:
    """One world with one provider; `wrong` collects what was not as it should be."""

    def __init__(self, provider: Provider, *, fails: bool = False) -> None:
        self.provider = provider
        self.wrong: list[str] = []
        rules = {provider.name: ProviderRules(failure_rate=1.0 if fails else 0.0)}
        self.base = f"http://mock.test/{provider.name}"
        self.world = World([provider], Chance(3), WorldRules("any", rules), {provider.name: self.base})
        self.state = self.world.providers[provider.name]
        self.fails = fails
        account = self.state.account(provider.key.example, START_MS)
        account.plan = replace(account.plan, concurrent_tasks=None, tasks_per_day=None)
        account.plan = replace(account.plan, requests_per_minute=None, requests_per_hour=None)

    def send(
        self, method: str, path: str, at_ms: int, *, body: Any = None, key: bool | str = True, form: Form | None = None
    ) -> Response:
        """Send a request, and look at its answer."""
        rule = self.provider.key
        headers = CIMultiDict({"Content-Type": "application/json"})
        if key:
            headers.update(rule.header_with(rule.example if key is True else str(key)))
        path, _, query = path.partition("?")
        content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        request = Request(method, path, headers, content, query, form=form)
        response = self.world.handle(self.state, self.state.router.find(method, path), request, at_ms).response
        assert 200 <= response.status < 600
        self._look(f"{method} {path}", response)
        return response

    def _look(self, what: str, response: Response) -> None:
        texts = [response.content_type, *(text for pair in response.headers for text in pair)]
        if response.file is None:
            texts += _strings(response.body)
        elif isinstance(response.file, FileWanted):
            wanted = response.file
            fitting_shape(wanted.media, wanted.duration_s, wanted.short_side_px, wanted.ratio)
        self._look_at_texts(what, texts)

    def _look_at_texts(self, what: str, texts: list[str]) -> None:
        self.wrong += [f"{what}: literal {text!r}" for text in texts if LITERAL.search(text)]
        self.wrong += [f"{what}: not one line {text!r}" for text in texts[1:] if "\r" in text]

    def expect(self, operation: Operation, response: Response, *statuses: int) -> bool:
        """Note a status other than the documented ones."""
        if response.status in (statuses or (operation.status,)):
            return True
        answer = bytes(response.body[:150])
        self.wrong.append(f"{operation.method} {operation.path} ({operation.role}): {response.status} {answer!r}")
        return False

    def path_of(self, operation: Operation, name: str) -> str:
        """Return an operation's path with its parameters filled in: all are the id, or a number."""
        path, query = operation.path, []
        for parameter in operation.parameters:
            numeric = parameter.type in ("integer", "number")
            value = "1" if numeric else name
            if parameter.place == "path":
                path = path.replace(f"{{{parameter.name}}}", value)
            elif parameter.required:
                query.append(f"{parameter.name}={value}")
        return "?".join((path, "&".join(query))) if query else path

    # -- the course of things -------------------------------------------------------------------

    def run(self) -> list[str]:
        """Drive everything; return what was wrong."""
        operations = list(self.provider.operations.values())
        tasks = [each for each in map(self.submit, self.submits()) if each is not None]
        for operation in operations:
            self.other(operation, tasks)
        for task_id in tasks:
            self.course(task_id)
        if tasks and any(each.role == "cancel" for each in operations):
            self.cancel()
        self.callbacks()
        self.refusals()
        self.errors()
        return list(dict.fromkeys(self.wrong))

    def submits(self) -> Iterator[tuple[Operation, Model]]:
        """Yield the submits, each with each model that has an example."""
        for operation in self.provider.operations.values():
            if operation.role == "submit":
                for model in self.provider.models.values():
                    if model.example is not None:
                        yield operation, model

    def submit(self, of: tuple[Operation, Model]) -> str | None:
        """Submit a model's example, called back where that is possible."""
        operation, model = of
        body: dict[str, Any] = orjson.loads(orjson.dumps(model.example))
        callbacks = self.provider.callbacks
        if callbacks is not None:
            here = body
            for key in callbacks.url_keys[:-1]:
                here = here.setdefault(key, {})
            here[callbacks.url_keys[-1]] = RECEIVER
        response = self.send(operation.method, operation.path, START_MS, body=body)
        return response.task_id if self.expect(operation, response) else None

    def course(self, task_id: str) -> None:
        """Ask for a task from its submit until long after its end, and follow its links."""
        task = self.state.tasks[task_id]
        last: Response | None = None
        queries = [each for each in self.provider.operations.values() if each.role == "query"]
        instants = [START_MS + (task.ends_ms - START_MS) * step // (_STEPS - 1) for step in range(_STEPS)]
        for operation in queries:
            for at_ms in instants:
                last = self.send(operation.method, self.path_of(operation, task_id), at_ms)
                self.expect(operation, last)
        if task.ends_ms > START_MS + 400 * _DAYS_MS:
            self.wrong.append("a task does not end within years")
        if task.result is None or self.fails:
            return
        context = RequestContext(self.state, task.ends_ms)
        context.set_task(task)
        for url in context.task_result_urls:
            path = url.removeprefix(self.base)
            if self.send("GET", path, task.ends_ms, key=False).status != 200:
                self.wrong.append(f"GET {path}: a link without a file")
            self.send("GET", path, task.ends_ms + task.result.lifetime_s * 1000, key=False)
            self.send("GET", path, START_MS, key=False)
            self.send("GET", path.replace(task_id, "nothing"), task.ends_ms, key=False)

    def cancel(self) -> None:
        """Cancel a task that runs."""
        task_id = self.submit(next(self.submits()))
        for operation in self.provider.operations.values():
            if operation.role == "cancel" and task_id is not None:
                response = self.send(operation.method, self.path_of(operation, task_id), START_MS)
                ends = self.provider.lifecycle.cancellation is not None and self.state.tasks[task_id].ends_ms > START_MS
                self.expect(operation, response, *(() if ends else range(200, 500)))
                self.send(operation.method, self.path_of(operation, task_id), START_MS + 1)

    def other(self, operation: Operation, tasks: list[str]) -> None:
        """Call an operation that is not about one task."""
        path = self.path_of(operation, tasks[0] if tasks else "nothing")
        if operation.role in ("list", "balance"):
            self.expect(operation, self.send(operation.method, path, START_MS))
        elif operation.role in ("estimate", "decoy"):
            for model in self.provider.models.values():
                if model.example is not None:
                    response = self.send(operation.method, path, START_MS, body=dict(model.example))
                    if operation.role == "estimate":
                        self.expect(operation, response)
        elif operation.role == "upload" and self.provider.uploads is not None:
            kind = self.provider.uploads.media_types[0].replace("*/*", "image/png").replace("/*", "/png")
            response = self.send(operation.method, path, START_MS, form=Form(b"x", kind, "a.png"))
            if self.expect(operation, response):
                for stored in list(self.state.files.values()):
                    link = self.state.links.file_url(stored, self.base).removeprefix(self.base)
                    if self.send("GET", link, START_MS, key=False).status != 200:
                        self.wrong.append(f"GET {link}: an upload that is not there")

    def callbacks(self) -> None:
        """Make all callbacks that fall due."""
        while (due := self.world.pop_due(START_MS + _DAYS_MS)) is not None:
            delivery = due[1]
            texts = [text for pair in delivery.headers for text in pair]
            self._look_at_texts("callback", ["", *texts, *_strings(delivery.body)])
        rule, tasks = self.provider.callbacks, list(self.state.tasks.values())
        if rule is not None and not self.fails and tasks and self.provider.lifecycle.success.name in rule.events:
            made = self.world.deliveries()
            if not made:
                self.wrong.append("no callback was made")

    def refusals(self) -> None:
        """Send what has to be refused."""
        self.send("GET", "/no/such/path", START_MS)
        for text in self.provider.key.test_keys:
            for operation in self.provider.operations.values():
                self.send(operation.method, self.path_of(operation, "nothing"), START_MS, body={}, key=text)
        for operation in self.provider.operations.values():
            path = self.path_of(operation, "nothing")
            self.send("PATCH", path, START_MS)
            self.send(operation.method, path, START_MS, key=False)
            for body in BODIES:
                self.send(operation.method, path, START_MS, body=body)
            self.send(operation.method, operation.path, START_MS)

    def errors(self) -> None:
        """Render every error, with an account and without."""
        for error in self.provider.errors.values():
            context = RequestContext(self.state, START_MS)
            self._look(error.name, error_response(context, error))


def _strings(content: bytes) -> list[str]:
    try:
        data = orjson.loads(content)
    except orjson.JSONDecodeError:
        return [content.decode()]
    found: list[str] = []
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]
    return found


def driven(provider: Provider) -> list[str]:
    """Drive a provider whose tasks succeed, and one whose tasks fail; return what was wrong."""
    return [*Driven(provider).run(), *Driven(provider, fails=True).run()]
