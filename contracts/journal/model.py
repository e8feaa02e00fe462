"""The values that a clause judges: exchanges, callback attempts, jobs, and what happened to each task.

Instants are milliseconds since 1970. Texts are as they went over the wire. The main type is `Journal`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from mockserver.provider import Provider
from mockserver.recording.values import Delivery, Exchange, Record


@dataclass(frozen=True)
class TaskTrace:
    """The records of one task, by kind, each in order."""

    task: str
    submits: tuple[Exchange, ...]
    queries: tuple[Exchange, ...]
    downloads: tuple[Exchange, ...]
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A job that a runner gave to the client, and its result.

    `ended` is "returned", "raised" or "never". `said` is the error as the client's user would see it, and `kept` what
    else is on it. `stopped` says why the runner ended the job, and with which option it would have waited longer: then
    `ended` is "never", and it is unknown whether the client would have ended the job by itself. It is empty for a job
    that certainly does not end, such as one that sends requests without end. `file` is the path that it returned, if
    it is one.
    """

    number: int
    prompt: str
    ended: str
    size_bytes: int | None
    said: str
    started_ms: int
    ended_ms: int
    stopped: str = ""
    kept: str = ""
    file: str = ""

    def tells(self, word: str) -> bool:
        """Tell whether the error has a word, in its text or beside it, in upper or lower case."""
        return word.lower() in f"{self.said}\n{self.kept}".lower()

    @property
    def mark(self) -> str:
        """The first sentence of the prompt, by which the job is known in the traffic."""
        first, dot, _ = self.prompt.partition(". ")
        return first + dot.strip()


@dataclass(frozen=True, slots=True)
class RunnerFacts:
    """What a runner observed beside the traffic: signed callbacks, and how many were compared in constant time.

    `most_connections` is how many connections to the API were open at once at most; 0 if that is unknown.
    """

    signed: int = 0
    compared_in_constant_time: int = 0
    most_connections: int = 0


@dataclass(frozen=True)
class Journal:
    """The traffic between one client and one provider; with `jobs` and `runner_facts` if a runner produced it.

    `speed` is the speed of the clock in the records: a client's waits appear `speed` times as long. `time_scale` is how
    many times as fast as real time the client's own time ran: what the machine needed appears as much longer to it.
    """

    provider: Provider
    records: tuple[Record, ...] = field(repr=False)
    jobs: tuple[Job, ...] = ()
    runner_facts: RunnerFacts | None = None
    speed: float = 1.0
    time_scale: float = 1.0

    def seconds(self, earlier_ms: int, later_ms: int) -> float:
        """Return the client's seconds between two instants of the journal."""
        return (later_ms - earlier_ms) / 1000 / self.speed

    @cached_property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The client's requests."""
        return tuple(each for each in self.records if isinstance(each, Exchange))

    @cached_property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The attempts to deliver callbacks."""
        return tuple(each for each in self.records if isinstance(each, Delivery))

    def of_role(self, *roles: str) -> tuple[Exchange, ...]:
        """Return the requests to operations of these roles."""
        return tuple(each for each in self.exchanges if each.role in roles)

    @cached_property
    def redirect_hosts(self) -> frozenset[str]:
        """The hosts that redirects named, other than those that sent them."""
        places = ((each, urlsplit(each.answer_header("Location") or "").netloc) for each in self.exchanges)
        return frozenset(host for each, host in places if host and host != each.header("Host"))

    @cached_property
    def traces(self) -> tuple[TaskTrace, ...]:
        """The records by task, in the order in which the tasks first appear."""
        tasks: dict[str, list[Record]] = defaultdict(list)
        for record in self.records:
            if record.task is not None:
                tasks[record.task].append(record)
        return tuple(_trace(task, records) for task, records in tasks.items())


def _trace(task: str, records: Sequence[Record]) -> TaskTrace:
    def of(role: str) -> tuple[Exchange, ...]:
        return tuple(each for each in records if isinstance(each, Exchange) and each.role == role)

    deliveries = tuple(each for each in records if isinstance(each, Delivery))
    return TaskTrace(task, of("submit"), of("query"), of("result"), deliveries)
