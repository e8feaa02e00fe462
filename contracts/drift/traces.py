"""What was seen of each task, in order: the states that answers and callbacks showed, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from contracts.drift.spec import DocumentedSpec
from contracts.journal import Delivery, Exchange, Journal, Record
from contracts.server.extract import Extractor
from mockserver.engine.models import documented_model, nearest
from mockserver.provider import Lifecycle, Model
from mockserver.recording.records import by_run
from mockserver.spec.pointer import pointed

_SHOWING = ("submit", "query", "cancel")


@dataclass(frozen=True)
class Sight:
    """A state that an answer or a callback showed, as sent and as the lifecycle names it."""

    record: Record
    word: str
    state: str
    progress: Any

    @property
    def at_ms(self) -> int:
        """When it was shown."""
        return self.record.at_ms


@dataclass(frozen=True)
class Trace:
    """The records of one task, without those that a fault of the mock server has changed."""

    task: str
    model: Model | None
    records: tuple[Record, ...]
    sights: tuple[Sight, ...]
    lifecycle: Lifecycle
    #: Faults or commands have changed its course: its times are not the provider's.
    altered: bool
    #: When the last record of the journal was made.
    journal_ends_ms: int

    @property
    def submit(self) -> Exchange | None:
        """The request that created it, if it was recorded."""
        for each in self.records:
            if isinstance(each, Exchange) and each.role == "submit" and each.status is not None and each.status < 300:
                return each
        return None

    @cached_property
    def polled(self) -> tuple[Sight, ...]:
        """What the client saw: all but the callbacks, which may be late."""
        return tuple(each for each in self.sights if isinstance(each.record, Exchange))

    @cached_property
    def end(self) -> Sight | None:
        """The first sight of an end."""
        return next((each for each in self.polled if each.state in self.lifecycle.ends), None)

    @property
    def last_running_ms(self) -> int | None:
        """When it was last seen without its end; None where it was not."""
        running = {each.name for each in self.lifecycle.states}  # an unknown state may be an end
        found = [each.at_ms for each in self.polled if each.state in running]
        if self.end is not None:
            found = [each for each in found if each <= self.end.at_ms]
        return max(found, default=None)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The attempts to deliver its callbacks."""
        return tuple(each for each in self.records if isinstance(each, Delivery))

    def model_states(self) -> Iterator[tuple[str, int, int]]:
        """Yield the states, and how long each lasts, in milliseconds."""
        for state in self.lifecycle.states if self.model is None else self.model.states:
            yield state.name, state.shortest_ms, state.longest_ms


def traces_of(journal: Journal, documented: DocumentedSpec) -> list[Trace]:
    """Return what was seen of each task, in each run of its own."""
    provider = documented.provider
    tasks: dict[tuple[int, str], list[Record]] = defaultdict(list)
    ends: dict[int, int] = defaultdict(int)
    for run, record in by_run(journal.records):
        ends[run] = max(ends[run], record.at_ms)
        if record.task is not None:
            tasks[run, record.task].append(record)
    return [
        Trace(
            task,
            _model_of(documented, records),
            tuple(each for each in records if not each.faults),
            # In the order of the requests: of two at a time, the one sent first may have been answered last.
            tuple(sorted(_sights(documented, (each for each in records if not each.faults)), key=_sent_ms)),
            provider.lifecycle,
            any(each.faults or each.commanded for each in records),
            ends[run],
        )
        for (run, task), records in tasks.items()
    ]


def _sent_ms(sight: Sight) -> int:
    return sight.at_ms


def _model_of(documented: DocumentedSpec, records: Iterable[Record]) -> Model | None:
    provider = documented.provider
    for record in records:
        operation = provider.operations.get(record.operation or "") if isinstance(record, Exchange) else None
        if not isinstance(record, Exchange) or operation is None or operation.role != "submit":
            continue
        if record.served_as in provider.models:
            return provider.models[record.served_as]
        name = pointed(record.json, operation.model_keys) if operation.model_keys else None
        if isinstance(name, str):
            model = documented_model(provider, operation, name)
            return model or nearest(provider, name, record.json, operation.model_keys)
    return next(iter(provider.models.values())) if len(provider.models) == 1 else None


def _sights(documented: DocumentedSpec, records: Iterable[Record]) -> Iterator[Sight]:
    provider = documented.provider
    for record in records:
        if isinstance(record, Delivery):
            extractor = documented.events.get(record.event)
            body = record.json
            if extractor is not None and record.attempt == 1:
                yield from _sight(record, extractor.read("$task.status", body), extractor, body)
            continue
        operation = provider.operations.get(record.operation or "")
        if operation is None or operation.role not in _SHOWING or record.status is None or record.status >= 400:
            continue
        extractor = documented.replies[operation.id]
        for keys in operation.status_at:
            word = pointed(record.answer, keys)
            if isinstance(word, str):
                state = operation.status_words.get(word, word)
                yield Sight(record, word, state, extractor.read("$task.progress", record.answer))
                break


def _sight(record: Record, word: Any, extractor: Extractor, body: Any) -> Iterator[Sight]:
    if isinstance(word, str):
        yield Sight(record, word, extractor.renamed.get(word, word), extractor.read("$task.progress", body))
