"""The evidence on a server: everything that the clauses for servers read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from contracts.journal import Delivery
from contracts.server.call import Call
from contracts.server.extract import Extractor
from contracts.server.receiver import Received
from contracts.server.spec import Spec
from mockserver.engine.context import RequestContext
from mockserver.provider import End, Model, ResultKind


@dataclass(frozen=True)
class Observation:
    """What one query showed about a task."""

    call: Call
    #: The status as sent, and as the lifecycle names it.
    word: Any
    state: str | None
    progress: Any
    id: Any


@dataclass(frozen=True)
class Fetch:
    """A download, and when: `fresh` at once, `before` or `late` (around the link's expiry), `unsigned`."""

    call: Call
    when: str


@dataclass
class TaskTrace:
    """A task that was created to judge the server."""

    model: Model
    scope: RequestContext
    submit: Call
    id: str
    #: What is to be done to it: nothing (""), or `failed` or `cancelled`.
    intervention: str
    callback_path: str | None
    observations: list[Observation] = field(default_factory=list)
    fetches: list[Fetch] = field(default_factory=list)
    linked: list[Call] = field(default_factory=list)
    #: Whether it did not end in the longest time that the documents allow.
    gave_up: bool = False


@dataclass
class Probe:
    """A request that must be refused, and the spec's condition for it."""

    condition: str
    call: Call


@dataclass
class NonConforming:
    """An answer that does not conform to the spec, and the clause that it violates."""

    clause: str
    call: Call
    seen: str
    asks: str


@dataclass
class Evidence:
    """Everything that was observed."""

    spec: Spec
    movable: bool
    secret: str | None
    calls: list[Call] = field(default_factory=list)
    traces: list[TaskTrace] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    other_account: list[tuple[TaskTrace, Call]] = field(default_factory=list)
    refused_submits: list[tuple[Model, Call]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    #: Whether callbacks were awaited as long as the documents allow.
    callbacks_awaited: bool = False
    nonconforming: list[NonConforming] = field(default_factory=list)
    #: The clauses on conformance that were tested.
    tested: set[str] = field(default_factory=set)
    #: Further notes for the user.
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Locate facts in the answers."""
        spec = self.spec
        self.submitted = Extractor(spec, [body for each in spec.of_role("submit") for body in spec.reply(each.id)])
        self.queried = Extractor(spec, [body for each in spec.of_role("query") for body in spec.reply(each.id)])
        lifecycle = spec.provider.whole_lifecycle
        names = lifecycle.names
        self.order = {name: index for index, name in enumerate(names)}
        self._canonical = {
            **{older: name for name, older in lifecycle.older_words.items()},
            **self.queried.renamed,
            **{name: name for name in names},
        }

    @property
    def provider(self) -> Any:
        """The provider whose API is judged."""
        return self.spec.provider

    def observation(self, call: Call) -> Observation:
        """Read what the answer to a query says about its task."""
        word = self.queried.read("$task.status", call.json)
        return Observation(
            call=call,
            word=word,
            state=self._canonical.get(word) if isinstance(word, str) else None,
            progress=self.queried.read("$task.progress", call.json),
            id=self.queried.read("$task.id", call.json),
        )

    def end_of(self, state: str | None) -> End | None:
        """Return the end that a state is; None if it is not an end."""
        return None if state is None else self.spec.provider.whole_lifecycle.ends.get(state)

    def ending(self, trace: TaskTrace) -> tuple[Observation | None, Observation, End] | None:
        """Return the last query before a task's end, the query that showed it, and the end."""
        before = None
        for observation in trace.observations:
            end = self.end_of(observation.state)
            if end is not None:
                return before, observation, end
            before = observation
        return None

    def ended(self, *kinds: str) -> Iterator[tuple[TaskTrace, Observation, End]]:
        """Yield the tasks that ended (in one of these kinds), the query that showed it, and the end."""
        for trace in self.traces:
            found = self.ending(trace)
            if found is not None and (not kinds or found[2].kind in kinds):
                yield trace, found[1], found[2]

    def shown(self) -> Iterator[tuple[TaskTrace, Observation]]:
        """Yield every query that was answered with the task."""
        for trace in self.traces:
            for observation in trace.observations:
                if observation.call.fine:
                    yield trace, observation

    def links_of(self, observation: Observation) -> list[str]:
        """Return the links to files in an answer."""
        found = [
            *self.queried.all("$task.result_urls", observation.call.json),
            *self.queried.all("$task.result_url", observation.call.json),
        ]
        urls = [url for each in found for url in (each if isinstance(each, list) else [each])]
        return [url for url in dict.fromkeys(urls) if isinstance(url, str)]

    def kind_of(self, trace: TaskTrace) -> ResultKind | None:
        """Return the kind of file that a task makes."""
        return self.spec.provider.results.get(trace.model.result(trace.scope))

    def note(self, text: str) -> None:
        """Add a note for the user, once."""
        if text not in self.notes:
            self.notes.append(text)

    def callbacks_of(self, trace: TaskTrace) -> list[Received]:
        """Return the callbacks that were received for a task, in order."""
        return [each for each in self.received if trace.callback_path is not None and each.path == trace.callback_path]

    def delivery(self, received: Received, event: str) -> Delivery:
        """Turn a callback into the record that reports show."""
        number = self.received.index(received) + 1
        return Delivery(
            seq=number,
            at_ms=received.at_ms,
            delivery=f"to {received.path}",
            task="",
            event=event,
            attempt=1,
            outcome="received",
            faults=(),
            url=received.path,
            body=received.body.decode("utf-8", "replace"),
            status=None,
        )

    def by_id(self) -> dict[str, list[TaskTrace]]:
        """Group the tasks by id."""
        out: dict[str, list[TaskTrace]] = defaultdict(list)
        for trace in self.traces:
            out[trace.id].append(trace)
        return out

    def answered(self) -> Iterator[Call]:
        """Yield the requests that were answered."""
        return (each for each in self.calls if each.transport_error is None)
