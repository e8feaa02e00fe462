"""What the judge has seen of a server: the laws read nothing else."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from contracts.journal import Delivery
from contracts.server.extract import Extractor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.server.client import Call
    from contracts.server.receiver import Received
    from contracts.server.spec import Spec
    from mockserver.engine.context import RequestContext
    from mockserver.provider import End, Model


@dataclass(frozen=True)
class Observation:
    """What one query showed of a task."""

    call: Call
    #: The word for the state, as it was sent and as the lifecycle has it.
    word: Any
    state: str | None
    progress: Any
    id: Any


@dataclass(frozen=True)
class Fetch:
    """A download, and when: `fresh` at once, `before` and `late` around the link's end, `unsigned` without proof."""

    call: Call
    when: str


@dataclass
class TaskTrace:
    """A task that the judge had made."""

    model: Model
    scope: RequestContext
    submit: Call
    id: str
    #: What the judge did to it: nothing, or `failed` or `cancelled`.
    intervention: str
    callback_path: str | None
    observations: list[Observation] = field(default_factory=list)
    fetches: list[Fetch] = field(default_factory=list)
    linked: list[Call] = field(default_factory=list)
    #: Whether it was followed for as long as the documents let a task take.
    gave_up: bool = False


@dataclass
class Probe:
    """A request that is to be refused, and for which of the spec's conditions."""

    condition: str
    call: Call


@dataclass
class Misshapen:
    """An answer that is not as the spec shapes it, and the law that it breaks."""

    clause: str
    call: Call
    seen: str
    asks: str


@dataclass
class Evidence:
    """All that was seen."""

    spec: Spec
    movable: bool
    secret: str | None
    calls: list[Call] = field(default_factory=list)
    traces: list[TaskTrace] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    other_account: list[tuple[TaskTrace, Call]] = field(default_factory=list)
    refused_submits: list[tuple[Model, Call]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    #: Whether callbacks had the time that the documents give them.
    callbacks_awaited: bool = False
    misshapen: list[Misshapen] = field(default_factory=list)
    #: The laws of shape that something was held against.
    shaped: set[str] = field(default_factory=set)
    #: What the user should know beside the verdicts.
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Work out where things stand."""
        spec = self.spec
        self.submitted = Extractor(spec, [body for each in spec.of_role("submit") for body in spec.reply(each.id)])
        self.queried = Extractor(spec, [body for each in spec.of_role("query") for body in spec.reply(each.id)])
        lifecycle = spec.provider.lifecycle
        names = [*(state.name for state in lifecycle.states), *lifecycle.ends]
        self.order = {name: index for index, name in enumerate(names)}
        self._canonical = {
            **{older: name for name, older in lifecycle.older_words.items()},
            **self.queried.renamed,
            **{name: name for name in names},
        }

    @property
    def provider(self) -> Any:
        """The provider whose API this is."""
        return self.spec.provider

    def observation(self, call: Call) -> Observation:
        """Read what a query's answer says of its task."""
        word = self.queried.read("$task.status", call.json)
        return Observation(
            call=call,
            word=word,
            state=self._canonical.get(word) if isinstance(word, str) else None,
            progress=self.queried.read("$task.progress", call.json),
            id=self.queried.read("$task.id", call.json),
        )

    def end_of(self, state: str | None) -> End | None:
        """Return the end that a state is."""
        return None if state is None else self.spec.provider.lifecycle.ends.get(state)

    def ending(self, trace: TaskTrace) -> tuple[Observation | None, Observation, End] | None:
        """Return the last query before a task's end was seen, the one that showed it, and the end."""
        before = None
        for observation in trace.observations:
            end = self.end_of(observation.state)
            if end is not None:
                return before, observation, end
            before = observation
        return None

    def links_of(self, observation: Observation) -> list[str]:
        """Return the links to files in an answer."""
        found = [
            *self.queried.all("$task.result_urls", observation.call.json),
            *self.queried.all("$task.result_url", observation.call.json),
        ]
        urls = [url for each in found for url in (each if isinstance(each, list) else [each])]
        return [url for url in dict.fromkeys(urls) if isinstance(url, str)]

    def callbacks_of(self, trace: TaskTrace) -> list[Received]:
        """Return the callbacks that came for a task, in order."""
        return [each for each in self.received if trace.callback_path is not None and each.path == trace.callback_path]

    def delivery(self, received: Received, event: str) -> Delivery:
        """Write a callback down as reports show it."""
        number = self.received.index(received) + 1
        return Delivery(
            seq=number,
            at_ms=received.at_ms,
            delivery=f"to the judge's {received.path}",
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
        """Sort the tasks by the ids that they were given."""
        out: dict[str, list[TaskTrace]] = defaultdict(list)
        for trace in self.traces:
            out[trace.id].append(trace)
        return out

    def answered(self) -> Iterator[Call]:
        """Give the requests that were answered."""
        return (each for each in self.calls if each.transport_error is None)
