"""Tasks from submit to file: create them within the budget, poll them to their end, download their files."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from contracts.server.budget import OverBudgetError
from contracts.server.call import Call
from contracts.server.client import ApiClient
from contracts.server.evidence import Evidence, Fetch, TaskTrace
from contracts.server.probe import JSON
from contracts.server.receiver import Receiver
from contracts.server.refusals import difference
from contracts.server.targets import linked_request, nested, task_request
from mockserver.provider import Model, ResultKind

_INTERVAL_S = 10.0
_GIVE_UP_S = 600.0
#: How often a task is polled after its end.
_AFTER_END = 2
_MOST_REDIRECTS = 3
_CALLBACK_WAITS = 3
_MARGIN_S = 60


@dataclass
class TaskRunner:
    """Creates tasks and follows them; observations go into the evidence as they are made, in case it ends early."""

    client: ApiClient
    evidence: Evidence
    receiver: Receiver | None
    other_key: str | None
    #: The control plane, if this is a mock server.
    admin_url: str | None

    def run(self) -> None:
        """Create tasks as far as the budget allows, and follow each to its end and beyond."""
        for model, intervention in self._wanted():
            try:
                self._submit(model, intervention)
            except OverBudgetError as error:
                self.evidence.note(f"a task of {model.name} was not created: it costs {error}")
        self._query_as_other_account()
        self._follow()
        self._await_callbacks()
        if self.client.pacing.movable:
            self._outlive_links()

    def _wanted(self) -> Iterator[tuple[Model, str]]:
        """Yield the tasks to create, the cheapest first, each with an intervention (or "")."""
        spec = self.evidence.spec
        models = [each for each in spec.provider.models.values() if each.example is not None]
        models.sort(key=lambda each: self.client.budget.example_ucr(each.name))
        yield from ((model, "") for model in models)
        for model in models[:1]:
            yield model, "failed" if self.admin_url is not None else ""
            if spec.of_role("cancel"):
                yield model, "cancelled"

    def _submit(self, model: Model, intervention: str) -> None:
        evidence, callbacks = self.evidence, self.evidence.spec.provider.callbacks
        operation = evidence.spec.of_role("submit")[0]
        body = copy.deepcopy(dict(model.example or {}))
        path = None
        call: Call | None = None
        if self.receiver is not None and callbacks is not None and callbacks.url_keys:
            path = f"/callback/{len(evidence.traces) + 1}"
            with_url = nested(copy.deepcopy(body), list(callbacks.url_keys), self.receiver.url(path))
            call = self.client.ask(operation.method, operation.path, headers=JSON, body=json.dumps(with_url).encode())
            if call.fine:
                body = with_url
            elif difference(evidence.spec, evidence.spec.provider.refusals["callback_refused"], call) is None:
                evidence.note(f"the server does not send callbacks to {self.receiver.url('')}")
                self.receiver = path = call = None
        if call is None:
            call = self.client.ask(operation.method, operation.path, headers=JSON, body=json.dumps(body).encode())
        task_id = evidence.submitted.read("$task.id", call.json) if call.fine else None
        if not call.fine or not isinstance(task_id, str):
            evidence.refused_submits.append((model, call))
            return
        trace = TaskTrace(model, evidence.spec.scope(body, model), call, task_id, intervention, path)
        evidence.traces.append(trace)
        for name, parameters in evidence.spec.links(operation):
            target = linked_request(evidence.spec.provider.operations[name], parameters, call.json)
            if target is not None:
                trace.linked.append(self.client.ask(*target))

    def _query_as_other_account(self) -> None:
        """Query a task with the key of another account."""
        if self.other_key is None:
            return
        headers = self.client.key_headers(self.other_key)
        for trace in self.evidence.traces[:1]:
            for query in self.evidence.spec.of_role("query"):
                method, target, body = task_request(self.evidence.spec, query, trace.id)
                call = self.client.ask(method, target, headers=headers, body=body, key=False)
                self.evidence.other_account.append((trace, call))

    # -- polling ----------------------------------------------------------------------------------

    def _poll(self, trace: TaskTrace) -> bool:
        """Query a task; tell whether it has ended."""
        query = self.evidence.spec.of_role("query")[0]
        method, target, body = task_request(self.evidence.spec, query, trace.id)
        call = self.client.ask(method, target, headers=JSON if body else None, body=body)
        before = self.evidence.ending(trace)
        trace.observations.append(self.evidence.observation(call))
        end = self.evidence.ending(trace)
        if before is None and end is not None and end[2].kind == "success":
            self._download(trace, "fresh")
        return end is not None

    def _follow(self) -> None:
        """Poll as the documents advise, until every task has ended, and a little longer."""
        advice = self.evidence.spec.provider.client.poll
        interval_s = advice.interval_s or _INTERVAL_S
        limit_s = advice.give_up_after_s or interval_s * (advice.at_most or 0)
        polls_left = {id(trace): _AFTER_END for trace in self.evidence.traces}
        live, waited_s = list(self.evidence.traces), 0.0
        if self.client.pacing.movable:
            for trace in live:
                self._poll(trace)
        for trace in live:
            limit_s = max(limit_s, _GIVE_UP_S, 2 * sum(each.longest_ms for each in trace.model.states) / 1000)
        wait_s = advice.first_after_s or interval_s
        while live and waited_s <= limit_s:
            self.client.pacing.wait(wait_s, f"{len(live)} task{'s' if len(live) > 1 else ''} in progress")
            waited_s, wait_s = waited_s + wait_s, interval_s
            for trace in list(live):
                if self._poll(trace):
                    polls_left[id(trace)] -= 1
                elif trace.intervention and len(trace.observations) > 1:
                    self._intervene(trace)
                if polls_left[id(trace)] < 0:
                    live.remove(trace)
        for trace in live:
            trace.gave_up = self.evidence.ending(trace) is None

    def _intervene(self, trace: TaskTrace) -> None:
        """Make a task fail, or cancel it."""
        intervention, trace.intervention = trace.intervention, ""
        if intervention == "failed" and self.admin_url is not None:
            self.client.bare("POST", f"{self.admin_url}/tasks/{quote(trace.id, safe='')}/fail", {})
        elif intervention == "cancelled":
            for cancel in self.evidence.spec.of_role("cancel")[:1]:
                method, target, body = task_request(self.evidence.spec, cancel, trace.id)
                self.client.ask(method, target, headers=JSON if body else None, body=body)

    def _await_callbacks(self) -> None:
        """Wait for callbacks that are due, as long as the documents allow."""
        callbacks = self.evidence.spec.provider.callbacks
        if self.receiver is None or callbacks is None:
            return
        for _ in range(_CALLBACK_WAITS):
            if all(self._called_back(trace) for trace in self.evidence.traces):
                break
            self.client.pacing.wait(callbacks.timeout_s, "a callback has not arrived yet")
        self.evidence.callbacks_awaited = True

    def _called_back(self, trace: TaskTrace) -> bool:
        end = self.evidence.ending(trace)
        callbacks = self.evidence.spec.provider.callbacks
        expected = end is not None and callbacks is not None and end[2].name in callbacks.events
        return not expected or trace.callback_path is None or bool(self.evidence.callbacks_of(trace))

    # -- files ------------------------------------------------------------------------------------

    def _download(self, trace: TaskTrace, when: str) -> None:
        """Download a task's files, from the links as given, without the key."""
        end = self.evidence.ending(trace)
        kind = self.evidence.kind_of(trace)
        if end is None or kind is None:
            return
        headers = {"Range": "bytes=0-0"} if when == "before" else None
        for link in self.evidence.links_of(end[1]):
            url = link
            call = self.client.ask("GET", url, key=False, headers=headers)
            for _ in range(_MOST_REDIRECTS):
                further = call.exchange.answer_header("Location")
                if call.status not in (301, 302, 303, 307, 308) or further is None:
                    break
                url = urljoin(url, further)
                call = self.client.ask("GET", url, key=False, headers=headers)
            trace.fetches.append(Fetch(call, when))
            if when == "fresh" and kind.signature_parameter is not None:
                bare = re.sub(rf"(?<=[?&]){re.escape(kind.signature_parameter)}=[^&]*&?", "", link).rstrip("?&")
                trace.fetches.append(Fetch(self.client.ask("GET", bare, key=False), "unsigned"))

    def _outlive_links(self) -> None:
        """Advance the clock to just before each link's end, and beyond it; then poll every task once more."""
        for trace, kind, earliest_ms, latest_ms in sorted(self._expiring(), key=lambda each: each[2]):
            before_ms = earliest_ms + (kind.lifetime_s - min(_MARGIN_S, kind.lifetime_s // 4)) * 1000
            if before_ms > self.client.now_ms():
                self._advance_to(before_ms)
                self._download(trace, "before")
            self._advance_to(latest_ms + (kind.lifetime_s + _MARGIN_S) * 1000)
            self._download(trace, "late")
        for trace in self.evidence.traces:
            self._poll(trace)

    def _expiring(self) -> Iterable[tuple[TaskTrace, ResultKind, int, int]]:
        """Yield the tasks with links, and the two instants between which each task ended."""
        for trace, shown, _ in self.evidence.ended("success"):
            kind, found = self.evidence.kind_of(trace), self.evidence.ending(trace)
            if kind is not None and found is not None:
                before = trace.submit if found[0] is None else found[0].call
                yield trace, kind, before.exchange.at_ms, shown.call.exchange.at_ms

    def _advance_to(self, instant_ms: int) -> None:
        wait_s = (instant_ms - self.client.now_ms()) / 1000
        if wait_s > 0:
            self.client.pacing.wait(wait_s, "links are to expire")
