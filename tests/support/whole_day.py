"""A client that does everything a provider's spec has, right and wrong: the traffic shows each kind of answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from contracts.drift.places import Place
from mockserver.engine.task import ended
from support.edge import OTHER_KEYS, Received, receiving, serving
from support.engine import changed_at

if TYPE_CHECKING:
    from contracts.drift import DocumentedSpec
    from mockserver.provider import Model, Operation, Provider
    from support.edge import Edge

_POLLS_EVERY_S = 7
_MOST_POLLS = 40
#: Polls after the end of a task.
_MORE_POLLS = 3
#: Long enough for the end of every task, and for all attempts of its callback.
_LONG_S = 3000
_HOUR_MS = 3_600_000
#: Words that a content policy of the providers here refuses.
_RUDE = "nsfw"


async def whole_day(documented: DocumentedSpec, /, **settings: Any) -> list[dict[str, Any]]:
    """Do everything at the provider of a spec, which the mock is to be started with; return the journal."""
    name = documented.provider.name
    answers = iter([500, 503])

    async def answer(_received: Received) -> int:
        return next(answers, 200)

    async with serving(**settings) as edge, receiving(answer) as receiver:
        day = Day(edge, name, receiver.url())
        await day.jobs()
        await day.variants(documented)
        await day.mistakes()
        await day.burst()
        return list(edge.mock.journal)


class Day:
    """The requests of one client to one provider."""

    def __init__(self, edge: Edge, name: str, hook: str) -> None:
        self.edge = edge
        self.name = name
        self.hook = hook
        self.provider: Provider = edge.provider(name)
        self.headers = edge.key_headers(name)

    @property
    def now_ms(self) -> int:
        """The time of the mock."""
        return self.edge.mock.server.runtime.clock.now_ms()

    def of(self, role: str) -> list[Operation]:
        """Return the operations of a role."""
        return [each for each in self.provider.operations.values() if each.role == role]

    async def ask(self, operation: Operation, task: str = "", **more: Any) -> Any:
        """Send a request to an operation about a task."""
        path = operation.path
        for parameter in operation.parameters:
            if parameter.place == "path":
                path = path.replace(f"{{{parameter.name}}}", task)
        query = [
            each.name for each in operation.parameters if each.place == "query" and each.name == operation.task_field
        ]
        target = f"/{self.name}{path}" + (f"?{query[0]}={task}" if query else "")
        return await self.edge.call(operation.method, target, **{"headers": self.headers, **more})

    def body(self, model: Model, *, hook: bool = False, rude: bool = False) -> Any:
        """Return a body for a submit."""
        assert model.example is not None
        body: Any = dict(model.example)
        callbacks = self.provider.callbacks
        if hook and callbacks is not None:
            body = changed_at(body, callbacks.url_keys, self.hook)
        return body if not rude else with_text(body, f"A {_RUDE} thing")

    async def jobs(self, models: int = 100) -> None:
        """Submit for the first models, poll to the end, fetch the file, and fetch it when its time is over."""
        for model in list(self.provider.models.values())[:models]:
            if model.example is None:
                continue
            for hook, rude in ((True, False), (False, False), (True, True)):
                (submit, *_), (query, *_) = self.of("submit"), self.of("query")
                before = set(self.edge.state(self.name).tasks)
                await self.ask(submit, json=self.body(model, hook=hook, rude=rude))
                for task in set(self.edge.state(self.name).tasks) - before:
                    await self.poll(query, task)
        await self.others()

    async def poll(self, query: Operation, task: str) -> None:
        """Poll a task, and download its files."""
        state, after = self.edge.state(self.name), 0
        for _ in range(_MOST_POLLS):
            await self.edge.advance(_POLLS_EVERY_S)
            await self.ask(query, task)
            after += ended(state.tasks[task], self.now_ms)
            if after > _MORE_POLLS:
                break
        await self.edge.advance(_LONG_S)
        found = state.tasks[task]
        if found.end.kind != "success" or found.result is None:
            return
        links = state.links.result_urls(found, found.result, 1, state.server_url)
        for wait_s in (0, self.provider.results[found.result.name].lifetime_s):
            await self.edge.advance(wait_s)
            for link in links:
                parts = urlsplit(link)
                await self.edge.call("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        await self.ask(query, task)

    async def others(self) -> None:
        """Ask every other operation that needs no file."""
        (submit, *_) = self.of("submit")
        model = next(each for each in self.provider.models.values() if each.example is not None)
        for role in ("list", "balance", "estimate", "decoy"):
            for operation in self.of(role):
                await self.ask(operation, **({} if operation.method == "GET" else {"json": self.body(model)}))
        for operation in self.of("cancel"):
            await self.ask(submit, json=self.body(model))
            task = next(reversed(self.edge.state(self.name).tasks))
            await self.edge.advance(1)
            await self.ask(operation, task)
            await self.ask(operation, task)
            await self.ask(self.of("query")[0], task)

    async def variants(self, documented: DocumentedSpec) -> None:
        """Submit every value of every field that has a list of them."""
        (submit, *_), (query, *_) = self.of("submit"), self.of("query")
        for model in self.provider.models.values():
            place = documented.model_place(model)
            written = place.mapping()["request"].removeprefix("#/").split("/")
            fields = Place(place.document, tuple(written)).at("properties")
            for name in fields.below() if model.example is not None else ():
                for value in fields.at(name).mapping().get("enum", ()):
                    await self.ask(submit, json={**self.body(model), name: value})
                    await self.edge.advance(_LONG_S)
                    await self.ask(query, next(reversed(self.edge.state(self.name).tasks)))

    async def burst(self) -> None:
        """Send more requests than any plan allows, at the end of a minute and after it."""
        (submit, *_), (query, *_) = self.of("submit"), self.of("query")
        plan = self.provider.plans[self.provider.default_plan]
        most = min((each for _, each, _ in plan.request_limits), default=0)
        if not most:
            return
        task = next(iter(self.edge.state(self.name).tasks))
        await self.edge.advance((2 * _HOUR_MS - self.now_ms % _HOUR_MS) / 1000 + 40)
        for wait_s, submits in ((0, most + 1), (30, 1), (40, 1)):
            await self.edge.advance(wait_s)
            for _ in range(submits):
                await self.ask(submit, json={})
        for _ in range(most):
            await self.ask(query, task)

    async def mistakes(self) -> None:
        """Do everything wrong that can be done wrong."""
        submit, query = self.of("submit")[0], self.of("query")[0]
        model = next(each for each in self.provider.models.values() if each.example is not None)
        body = self.body(model)
        wrong: list[Any] = [
            {},
            [],
            {**body, submit.model_keys[0]: 7},
            changed_at(body, submit.model_keys, "no-such-model"),
        ]
        wrong += [{key: each for key, each in body.items() if key != left} for left in body]
        wrong += [{**body, key: None} for key in body]
        for each in wrong:
            await self.ask(submit, json=each)
        callbacks = self.provider.callbacks
        if callbacks is not None:
            await self.ask(submit, json=changed_at(body, callbacks.url_keys, "ftp://nowhere"))
        await self.ask(submit, data=b"{", headers={**self.headers, "Content-Type": "application/json"})
        await self.ask(submit, data=b"a=b", headers={**self.headers, "Content-Type": "text/plain"})
        state = self.edge.state(self.name)
        known = next(iter(state.tasks))
        for task in ("no-such-task", "x" * 40, f"{known[:-2]}zz"):
            await self.ask(query, task)
        keys: list[Any] = [{}, {self.provider.key.header: "?"}]
        tests = self.provider.key.test_keys
        keys += [
            self.edge.key_headers(self.name, key)
            for key in (*tests.keys(), OTHER_KEYS.get(self.name, self.provider.key.example))
        ]
        for headers in keys:
            for _ in range(2):
                await self.ask(submit, json=body, headers=headers)
            await self.ask(query, known, headers=headers)
            for operation in self.of("balance"):
                await self.ask(operation, headers=headers)
        for method, path in (("GET", "/no/such/path"), ("DELETE", submit.path), ("PUT", submit.path)):
            await self.edge.call(method, f"/{self.name}{path}", headers=self.headers)
        await self.ask(
            submit,
            data=b" " * (submit.max_body_bytes + 1),
            headers={**self.headers, "Content-Type": "application/json"},
        )


def with_text(value: Any, text: str) -> Any:
    """Put a text into the longest string of a body: its prompt."""
    found: list[tuple[int, tuple[str, ...]]] = []

    def walk(value: Any, keys: tuple[str, ...]) -> None:
        if isinstance(value, str):
            found.append((len(value), keys))
        elif isinstance(value, dict):
            for key, each in value.items():
                walk(each, (*keys, key))

    walk(value, ())
    return changed_at(value, max(found)[1], text)
