"""What a client was exposed to: which answers, states and callbacks, how often, and which never."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.analysis import OK, status_of
from contracts.journal import Delivery, Exchange, Journal
from mockserver.provider import Operation, Provider

#: An operation id, and the status of its answer; None is no answer.
Answer = tuple[str, int | None]
#: A callback's event, the fault applied to it ("" is none), and the outcome.
Callback = tuple[str, str, str]


@dataclass
class Coverage:
    """Counts for one provider. A counted journal is not kept."""

    provider: Provider
    journals: int = 0
    tasks: int = 0
    answers: Counter[Answer] = field(default_factory=Counter)
    #: Task statuses in answers to queries, as written.
    states: Counter[str] = field(default_factory=Counter)
    callbacks: Counter[Callback] = field(default_factory=Counter)
    attempts: int = 0
    requests: int = 0
    #: How many requests and attempts each fault was applied to.
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, journal: Journal) -> None:
        """Count the records of a journal of this provider."""
        self.journals += 1
        self.tasks += len({record.task for record in journal.records if record.task is not None})
        for exchange in journal.exchanges:
            self._exchange(exchange)
        for delivery in journal.deliveries:
            self._delivery(delivery)

    def _exchange(self, exchange: Exchange) -> None:
        self.requests += 1
        self.faults.update(exchange.faults)
        if exchange.operation is None:
            return
        self.answers[exchange.operation, exchange.status] += 1
        if exchange.role == "query" and exchange.status in OK:
            word = status_of(self.provider, exchange)
            if word is not None:
                self.states[word] += 1

    def _delivery(self, delivery: Delivery) -> None:
        self.attempts += 1
        self.faults.update(delivery.faults)
        for fault in delivery.faults or ("",):
            self.callbacks[delivery.event, fault, delivery.outcome] += 1

    @property
    def declared_answers(self) -> set[Answer]:
        """The answers that the spec declares, by operation."""
        return {
            (operation.id, status)
            for operation in self.provider.operations.values()
            for status in _declared(self.provider, operation)
        }

    @property
    def declared_states(self) -> list[str]:
        """The documented task statuses."""
        lifecycle = self.provider.whole_lifecycle
        return list(dict.fromkeys((*lifecycle.names, *lifecycle.older_words.values())))

    @property
    def declared_events(self) -> list[str]:
        """The documented callback events."""
        return [] if self.provider.callbacks is None else list(self.provider.callbacks.events)

    @property
    def missing_answers(self) -> set[Answer]:
        """Declared answers that did not occur."""
        return self.declared_answers - set(self.answers)

    @property
    def missing_states(self) -> list[str]:
        """Statuses that no answer showed."""
        shown = {word.lower() for word in self.states}
        return [word for word in self.declared_states if word.lower() not in shown]

    @property
    def missing_events(self) -> list[str]:
        """Events without a callback."""
        told = {event for event, _, _ in self.callbacks}
        return [event for event in self.declared_events if event not in told]


def _declared(provider: Provider, operation: Operation) -> set[int]:
    """Return the statuses that an operation may answer with; for links, those of the file host's rules."""
    stores = [kind for kind in provider.results.values() if kind.path == operation.path]
    refused = {rule.status for kind in stores for rule in (kind.expired, kind.missing, kind.unsigned)}
    return {operation.status, *(status for _, status, _ in operation.examples), *refused}


def covered(journals: Iterable[Journal]) -> list[Coverage]:
    """Count the records of journals, by provider."""
    found: dict[str, Coverage] = {}
    for journal in journals:
        found.setdefault(journal.provider.name, Coverage(journal.provider)).add(journal)
    return list(found.values())
