"""What the judge does at a server: it knocks, asks what must be refused, and leads tasks from submit to file."""

from __future__ import annotations

import copy
import json
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from contracts.serving.evidence import Fetch, Probe, Story
from contracts.serving.purse import OverBudgetError
from contracts.serving.refusals import difference
from mockserver.provider import UCR
from mockserver.spec.pointer import pointed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from contracts.serving.evidence import Evidence
    from contracts.serving.receiver import Receiver
    from contracts.serving.wire import Call, Wire
    from mockserver.provider import Model, Operation, ResultKind

_JSON = {"Content-Type": "application/json"}
_INTERVAL_S = 10.0
_GIVE_UP_S = 600.0
_AFTER_END = 2
_REDIRECTS = 3
_CALLBACK_WAITS = 3
_MARGIN_S = 60
_LONG_KEY = "x" * 600
_MALFORMED_ID = "~no-id~"


class KeyRefusedError(Exception):
    """The server does not take the user's key."""


@dataclass
class Visit:
    """One visit: what it sees goes into the evidence as it comes, so that nothing is lost when it ends early."""

    wire: Wire
    evidence: Evidence
    receiver: Receiver | None
    other_key: str | None
    admin_url: str | None
    seed: int

    # -- what costs nothing -----------------------------------------------------------------------

    def knock(self) -> None:
        """See that somebody is there who takes the key.

        Raises:
            KeyRefusedError: the key is not taken.
            UnreachableError: nobody is there.
        """
        refusals = self.evidence.spec.provider.refusals
        call = self.wire.ask(*self._read())
        unwelcome = [refusals[each] for each in ("missing_key", "invalid_key", "plan_forbidden")]
        if call.refusal in unwelcome or call.status in (401, 403):
            words = " ".join(call.content.decode("utf-8", "replace").split())
            raise KeyRefusedError(f"the server does not take this key: {call.status} {words[:160]}")

    def probe(self) -> None:
        """Ask for what must be refused."""
        spec = self.evidence.spec
        method, target = self._read()
        self._probe("missing_key", method, target, key=False)
        self._probe("invalid_key", method, target, key=False, headers=self.wire.key_headers(_LONG_KEY))
        self._probe("unknown_path", "GET", "/no/such/path")
        submit = spec.of_role("submit")[0]
        self._probe("malformed_body", submit.method, submit.path, headers=_JSON, body=b'{"model": ')
        for query in spec.of_role("query"):
            method, target, body = self._about(query, self._invented_id())
            self._probe("unknown_task", method, target, headers=_JSON if body else None, body=body)
            matches = spec.provider.task_id_matches
            if matches is not None and not matches(_MALFORMED_ID):
                method, target, body = self._about(query, _MALFORMED_ID)
                self._probe("malformed_task_id", method, target, headers=_JSON if body else None, body=body)

    def _probe(self, condition: str, method: str, target: str, **how: Any) -> None:
        self.evidence.probes.append(Probe(condition, self.wire.ask(method, target, **how)))

    def _read(self) -> tuple[str, str]:
        """Return a request that wants a key and changes nothing."""
        spec = self.evidence.spec
        for operation in spec.of_role("balance"):
            if operation.method == "GET" and operation.secured:
                return operation.method, operation.path
        method, target, _ = self._about(spec.of_role("query")[0], self._invented_id())
        return method, target

    def _invented_id(self) -> str:
        """Return an id that is well formed, and nobody's."""
        drawn = random.Random(f"{self.seed} nobody's").randbytes(64)  # noqa: S311 - no secret
        return self.evidence.spec.provider.task_id(drawn, self.wire.pace.now_ms() // 1000)

    def _about(self, operation: Operation, task_id: str) -> tuple[str, str, bytes]:
        """Write the request of an operation about a task."""
        place, _, name = (
            str(self.evidence.spec.raw_operations[operation.id]["x-mock"]["task"])
            .partition("request.")[2]
            .partition(".")
        )
        if place == "path":
            return operation.method, operation.path.replace(f"{{{name}}}", quote(task_id, safe="")), b""
        if place == "query":
            return operation.method, f"{operation.path}?{urlencode({name: task_id})}", b""
        keys = place.partition("#/")[2].split("/")
        return operation.method, operation.path, json.dumps(_nested({}, keys, task_id)).encode()

    # -- tasks ------------------------------------------------------------------------------------

    def lead_tasks(self) -> None:
        """Have tasks made, as far as the budget goes, and follow each to its end and beyond."""
        for model, fate in self._wanted():
            try:
                self._submit(model, fate)
            except OverBudgetError as error:
                self._note(f"a task of {model.name} was not made: it costs {error}")
        self._look_as_a_stranger()
        self._follow()
        self._await_callbacks()
        if self.wire.pace.movable:
            self._outlive_links()

    def _wanted(self) -> Iterator[tuple[Model, str]]:
        """Give the tasks that would be worth seeing, the cheapest first."""
        spec = self.evidence.spec
        models = [each for each in spec.provider.models.values() if each.example is not None]
        models.sort(key=lambda each: self.wire.purse.example_ucr(each.name))
        yield from ((model, "") for model in models)
        for model in models[:1]:
            yield model, "failed" if self.admin_url is not None else ""
            if spec.of_role("cancel"):
                yield model, "cancelled"

    def _submit(self, model: Model, fate: str) -> None:
        evidence, callbacks = self.evidence, self.evidence.spec.provider.callbacks
        operation = evidence.spec.of_role("submit")[0]
        body = copy.deepcopy(dict(model.example or {}))
        path = None
        call: Call | None = None
        if self.receiver is not None and callbacks is not None:
            path = f"/callback/{len(evidence.stories) + 1}"
            told = _nested(copy.deepcopy(body), list(callbacks.url_keys), self.receiver.url(path))
            call = self.wire.ask(operation.method, operation.path, headers=_JSON, body=json.dumps(told).encode())
            if call.fine:
                body = told
            elif difference(evidence.spec, evidence.spec.provider.refusals["callback_refused"], call) is None:
                self._note(f"the server does not call back to {self.receiver.url('')}")
                self.receiver = path = call = None
        if call is None:
            call = self.wire.ask(operation.method, operation.path, headers=_JSON, body=json.dumps(body).encode())
        task_id = evidence.submitted.read("$task.id", call.json) if call.fine else None
        if not call.fine or not isinstance(task_id, str):
            evidence.refused_submits.append((model, call))
            return
        story = Story(model, evidence.spec.scope(body, model), call, task_id, fate, path)
        evidence.stories.append(story)
        for name, parameters in evidence.spec.links(operation):
            target = self._linked(evidence.spec.provider.operations[name], parameters, call)
            if target is not None:
                story.linked.append(self.wire.ask(*target))

    def _linked(self, operation: Operation, parameters: dict[str, str], call: Call) -> tuple[str, str] | None:
        """Write the request that a link leads to; None where the answer has not what it needs."""
        path, query = operation.path, {}
        for name, expression in parameters.items():
            place, _, pointer = expression.partition("#/")
            value = pointed(call.json, tuple(pointer.split("/"))) if place == "$response.body" else None
            if not isinstance(value, str | int):
                return None
            if f"{{{name}}}" in path:
                path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
            else:
                query[name] = str(value)
        return operation.method, f"{path}?{urlencode(query)}" if query else path

    def _look_as_a_stranger(self) -> None:
        """Ask after a task with somebody else's key."""
        if self.other_key is None:
            return
        headers = self.wire.key_headers(self.other_key)
        for story in self.evidence.stories[:1]:
            for query in self.evidence.spec.of_role("query"):
                method, target, body = self._about(query, story.id)
                call = self.wire.ask(method, target, headers=headers, body=body, key=False)
                self.evidence.strangers.append((story, call))

    def _look(self, story: Story) -> bool:
        """Ask after a task; tell whether it has ended."""
        query = self.evidence.spec.of_role("query")[0]
        method, target, body = self._about(query, story.id)
        call = self.wire.ask(method, target, headers=_JSON if body else None, body=body)
        sight = self.evidence.sight(call)
        before = self.evidence.ending(story)
        story.sights.append(sight)
        end = self.evidence.ending(story)
        if before is None and end is not None and end[2].kind == "success":
            self._fetch(story, "fresh")
        return end is not None

    def _follow(self) -> None:
        """Poll as the documents advise, until every task has ended, and a little longer."""
        advice = self.evidence.spec.provider.client.poll
        interval_s = advice.interval_s or _INTERVAL_S
        limit_s = advice.give_up_after_s or interval_s * (advice.at_most or 0)
        looks_left = {id(story): _AFTER_END for story in self.evidence.stories}
        live, waited_s = list(self.evidence.stories), 0.0
        if self.wire.pace.movable:
            for story in live:
                self._look(story)
        for story in live:
            limit_s = max(limit_s, _GIVE_UP_S, 2 * sum(each.longest_ms for each in story.model.states) / 1000)
        wait_s = advice.first_after_s or interval_s
        while live and waited_s <= limit_s:
            self.wire.pace.wait(wait_s, f"{len(live)} task{'s' if len(live) > 1 else ''} under way")
            waited_s, wait_s = waited_s + wait_s, interval_s
            for story in list(live):
                if self._look(story):
                    looks_left[id(story)] -= 1
                elif story.fate and len(story.sights) > 1:
                    self._interfere(story)
                if looks_left[id(story)] < 0:
                    live.remove(story)
        for story in live:
            story.gave_up = self.evidence.ending(story) is None

    def _interfere(self, story: Story) -> None:
        """Let a task end before its time."""
        fate, story.fate = story.fate, ""
        if fate == "failed" and self.admin_url is not None:
            self.wire.bare("POST", f"{self.admin_url}/tasks/{quote(story.id, safe='')}/fail", {})
        elif fate == "cancelled":
            for cancel in self.evidence.spec.of_role("cancel")[:1]:
                method, target, body = self._about(cancel, story.id)
                self.wire.ask(method, target, headers=_JSON if body else None, body=body)

    def _await_callbacks(self) -> None:
        """Give callbacks that are still on their way the time that the documents give them."""
        callbacks = self.evidence.spec.provider.callbacks
        if self.receiver is None or callbacks is None:
            return
        for _ in range(_CALLBACK_WAITS):
            if all(self._called_back(story) for story in self.evidence.stories):
                break
            self.wire.pace.wait(callbacks.timeout_s, "a callback has not come yet")
        self.evidence.callbacks_awaited = True

    def _called_back(self, story: Story) -> bool:
        end = self.evidence.ending(story)
        callbacks = self.evidence.spec.provider.callbacks
        expected = end is not None and callbacks is not None and end[2].name in callbacks.events
        return not expected or story.callback_path is None or bool(self.evidence.callbacks_of(story))

    # -- files ------------------------------------------------------------------------------------

    def _fetch(self, story: Story, when: str) -> None:
        """Download a task's files, as their links are given and without the key."""
        end = self.evidence.ending(story)
        kind = kind_of(self.evidence, story)
        if end is None or kind is None:
            return
        headers = {"Range": "bytes=0-0"} if when == "before" else None
        for link in self.evidence.links_of(end[1]):
            url = link
            call = self.wire.ask("GET", url, key=False, headers=headers)
            for _ in range(_REDIRECTS):
                further = call.exchange.answer_header("Location")
                if call.status not in (301, 302, 303, 307, 308) or further is None:
                    break
                url = urljoin(url, further)
                call = self.wire.ask("GET", url, key=False, headers=headers)
            story.fetches.append(Fetch(call, when))
            if when == "fresh" and kind.signature_parameter is not None:
                bare = re.sub(rf"(?<=[?&]){re.escape(kind.signature_parameter)}=[^&]*&?", "", link).rstrip("?&")
                story.fetches.append(Fetch(self.wire.ask("GET", bare, key=False), "unsigned"))

    def _outlive_links(self) -> None:
        """Move to just before each link's end, and beyond it; then look at every task once more."""
        for story, kind, earliest_ms, latest_ms in sorted(self._expiring(), key=lambda each: each[2]):
            before_ms = earliest_ms + (kind.lifetime_s - min(_MARGIN_S, kind.lifetime_s // 4)) * 1000
            if before_ms > self.wire.pace.now_ms():
                self._go_to(before_ms)
                self._fetch(story, "before")
            self._go_to(latest_ms + (kind.lifetime_s + _MARGIN_S) * 1000)
            self._fetch(story, "late")
        for story in self.evidence.stories:
            self._look(story)

    def _expiring(self) -> Iterable[tuple[Story, ResultKind, int, int]]:
        """Give the tasks with links, and between which instants each ended."""
        for story in self.evidence.stories:
            end, kind = self.evidence.ending(story), kind_of(self.evidence, story)
            if end is not None and end[2].kind == "success" and kind is not None:
                before = end[0].call if end[0] is not None else story.submit
                yield story, kind, before.exchange.at_ms, end[1].call.exchange.at_ms

    def _go_to(self, instant_ms: int) -> None:
        wait_s = (instant_ms - self.wire.pace.now_ms()) / 1000
        if wait_s > 0:
            self.wire.pace.wait(wait_s, "links are to expire")

    def _note(self, text: str) -> None:
        if text not in self.evidence.notes:
            self.evidence.notes.append(text)


def kind_of(evidence: Evidence, story: Story) -> ResultKind | None:
    """Return the kind of file that a task makes."""
    return evidence.spec.provider.results.get(story.model.result(story.scope))


def admin_of(wire: Wire, clock_url: str | None) -> str | None:
    """Find the control plane of a mock server: above the API's address, or where the user says its clock is."""
    if clock_url is not None:
        return clock_url.rstrip("/").removesuffix("/clock")
    parts = urlsplit(wire.base_url)
    if parts.hostname in wire.spec.provider.hosts:
        return None  # the provider itself: nothing is asked there that its document does not have
    path = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    for length in range(len(path), -1, -1):
        root = f"{parts.scheme}://{parts.netloc}/{'/'.join(path[:length])}".rstrip("/")
        status, found = wire.bare("GET", f"{root}/__admin/clock")
        if status == 200 and isinstance(found, dict) and {"now_ms", "speed"} <= set(found):
            return f"{root}/__admin"
    return None


def credits_said(amount_ucr: int) -> str:
    """Write an amount of money."""
    return f"{amount_ucr / UCR:g} credits"


def _nested(value: dict[str, Any], keys: list[str], leaf: Any) -> dict[str, Any]:
    """Put a leaf into nested objects."""
    inner = value
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
    inner[keys[-1]] = leaf
    return value
