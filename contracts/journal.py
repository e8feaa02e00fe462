"""What a clause judges: exchanges and callback attempts in the order in which they were seen, read from a journal.

A journal is NDJSON in the shape of specs/journal.schema.json, or a HAR file of any tool's. Instants are
milliseconds since 1970; texts are as they went over the wire.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from mockserver.clock import instant_of
from mockserver.engine.routes import Router

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mockserver.provider import Operation, Provider


#: A shorter text under the key's header is none: it would be found everywhere.
_SHORTEST_KEY = 8
#: The pace of a journal's clock is read from so many gaps at least, each so long by the wall's.
_FEWEST_PACES = 3
_LONG_ENOUGH_MS = 100


class JournalError(ValueError):
    """A file is no journal; the message says where and why."""


@dataclass(frozen=True)
class Exchange:
    """A request of the client's and its answer. `status` is None where no answer came."""

    seq: int
    at_ms: int
    operation: str | None
    role: str | None
    task: str | None
    account: str | None
    gate: str | None
    error: str | None
    faults: tuple[str, ...]
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: str | None
    body_whole: bool
    status: int | None
    answer_headers: tuple[tuple[str, str], ...]
    answer_body: str | None
    answer_bytes: int

    @cached_property
    def json(self) -> Any:
        """The body of the request as JSON; None where it is none."""
        return _json(self.body)

    @cached_property
    def answer(self) -> Any:
        """The body of the answer as JSON; None where it is none."""
        return _json(self.answer_body)

    def header(self, name: str) -> str | None:
        """Return a header of the request."""
        return _header(self.headers, name)

    def answer_header(self, name: str) -> str | None:
        """Return a header of the answer."""
        return _header(self.answer_headers, name)

    def __str__(self) -> str:
        status = "no answer" if self.status is None else str(self.status)
        return f"#{self.seq} {self.method} {self.path}{'?' if self.query else ''}{self.query} -> {status}"


@dataclass(frozen=True)
class Delivery:
    """One attempt at a callback, and what the client's receiver answered."""

    seq: int
    at_ms: int
    delivery: str
    task: str
    event: str
    attempt: int
    outcome: str
    faults: tuple[str, ...]
    url: str
    body: str | None
    status: int | None

    def __str__(self) -> str:
        how = self.status or self.outcome
        return f"#{self.seq} callback {self.event} ({self.delivery}, attempt {self.attempt}) -> {how}"


Record = Exchange | Delivery


@dataclass(frozen=True)
class Story:
    """What happened about one task, in order."""

    task: str
    submits: tuple[Exchange, ...]
    queries: tuple[Exchange, ...]
    downloads: tuple[Exchange, ...]
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A job that a client was given by a runner, and what the client made of it.

    `ended` is returned, raised, or never. `said` is the error, as the client's user would see it.
    """

    number: int
    prompt: str
    ended: str
    size_bytes: int | None
    said: str
    started_ms: int
    ended_ms: int


@dataclass(frozen=True, slots=True)
class Witness:
    """What a runner saw that does not go over the wire: signed callbacks, and how many were compared well."""

    signed: int = 0
    compared_in_constant_time: int = 0


@dataclass(frozen=True)
class Journal:
    """The traffic between one client and one provider; `jobs` and `witness` where a runner made it.

    `speed` is that of the clock that it was recorded by: a client's waits are `speed` times as long in it.
    """

    provider: Provider
    records: tuple[Record, ...] = field(repr=False)
    jobs: tuple[Job, ...] = ()
    witness: Witness | None = None
    speed: float = 1.0

    def seconds(self, earlier_ms: int, later_ms: int) -> float:
        """Return the client's own seconds between two instants of the journal."""
        return (later_ms - earlier_ms) / 1000 / self.speed

    @cached_property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The client's requests."""
        return tuple(each for each in self.records if isinstance(each, Exchange))

    @cached_property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The callbacks' attempts."""
        return tuple(each for each in self.records if isinstance(each, Delivery))

    def of_role(self, *roles: str) -> tuple[Exchange, ...]:
        """Return the requests to operations of these roles."""
        return tuple(each for each in self.exchanges if each.role in roles)

    @cached_property
    def stories(self) -> tuple[Story, ...]:
        """What happened, a task at a time, in the order in which the tasks were first seen."""
        tasks: dict[str, list[Record]] = defaultdict(list)
        for record in self.records:
            if record.task is not None:
                tasks[record.task].append(record)
        return tuple(_story(task, records) for task, records in tasks.items())


def _story(task: str, records: Sequence[Record]) -> Story:
    def of(role: str) -> tuple[Exchange, ...]:
        return tuple(each for each in records if isinstance(each, Exchange) and each.role == role)

    deliveries = tuple(each for each in records if isinstance(each, Delivery))
    return Story(task, of("submit"), of("query"), of("result"), deliveries)


def _json(text: str | None) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _header(pairs: Iterable[Sequence[str]], name: str) -> str | None:
    return next((value for each, value in pairs if each.lower() == name.lower()), None)


# -- reading ----------------------------------------------------------------------------------------


def read(path: Path, providers: Iterable[Provider], only: str | None = None) -> list[Journal]:
    """Read a file into the journals of the providers that it has traffic with.

    Their `speed` is worked out from the two clocks that our own records have.

    Raises:
        JournalError: it cannot be read, or it is neither NDJSON of ours nor HAR.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise JournalError(f"{path}: is not UTF-8 text") from None
    whole = _json(text)
    records = list(_from_har(whole, path)) if isinstance(whole, dict) and "log" in whole else list(_lines(text, path))
    speed = _pace(records)
    return [replace(each, speed=speed) for each in of_records(records, providers, only)]


def _pace(records: Iterable[Mapping[str, Any]]) -> float:
    """Return how many times as fast as the wall's the clock of the records went; 1 where it did not go steadily."""
    try:
        instants = [(instant_of(each["at"]), instant_of(each["wall"])) for each in records if "wall" in each]
    except (KeyError, TypeError, ValueError, AttributeError):
        return 1.0  # whoever reads them says what is wrong
    paces = sorted(
        (at_ms - before_ms) / (wall_ms - earlier_ms)
        for (before_ms, earlier_ms), (at_ms, wall_ms) in pairwise(instants)
        if wall_ms - earlier_ms >= _LONG_ENOUGH_MS
    )
    middle = paces[len(paces) // 2] if len(paces) >= _FEWEST_PACES else 0.0
    steady = sum(abs(each - middle) <= middle / 10 for each in paces)
    if middle <= 0 or steady < len(paces) * 0.9:
        return 1.0
    whole = max(1, round(middle))
    return float(whole) if abs(middle - whole) <= whole / 50 else round(middle, 2)


def _lines(text: str, path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            record = _json(line)
            if not isinstance(record, dict) or record.get("kind") not in ("exchange", "delivery"):
                raise JournalError(
                    f"{path}:{number}: is no record of a journal; write one with `mockserver serve --journal FILE`, "
                    "or give a HAR file"
                )
            yield record


def _from_har(whole: Mapping[str, Any], path: Path) -> Iterator[Mapping[str, Any]]:
    """Turn the entries of a HAR file into records; whose they are is found out from their addresses."""
    try:
        entries = sorted(whole["log"]["entries"], key=lambda entry: str(entry["startedDateTime"]))
        for number, entry in enumerate(entries, 1):
            request, response = entry["request"], entry["response"]
            parts = urlsplit(request["url"])
            status, headers = int(response["status"]), [[each["name"], each["value"]] for each in response["headers"]]
            yield {
                "seq": number,
                "kind": "exchange",
                "at": entry["startedDateTime"],
                "host": parts.netloc,
                "url": request["url"],
                "faults": [],
                "request": {
                    "method": request["method"],
                    "path": parts.path,
                    "query": parts.query,
                    "headers": [[each["name"], each["value"]] for each in request["headers"]],
                    "body": (request.get("postData") or {}).get("text"),
                },
                "response": {
                    "status": status,
                    "headers": headers,
                    "body": response["content"].get("text"),
                    "body_bytes": _size_in_har(response, headers),
                }
                if status
                else None,
            }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise JournalError(f"{path}: is no HAR file that can be read: {type(error).__name__}: {error}") from None


def _size_in_har(response: Mapping[str, Any], headers: Iterable[Sequence[str]]) -> int:
    """Return how long a body was. Tools write 0 or -1 where they have not kept it: it is taken for whole then."""
    size = max(response["content"].get("size") or 0, response.get("bodySize") or 0)
    length = _header(headers, "Content-Length") or ""
    return size if size > 0 else int(length) if length.isdecimal() else 0


def of_records(
    records: Iterable[Mapping[str, Any]], providers: Iterable[Provider], only: str | None = None
) -> list[Journal]:
    """Sort records by the provider that they are about.

    Raises:
        JournalError: a record lacks what every record has.
    """
    found: dict[str, list[Record]] = {}
    known = {provider.name: provider for provider in providers}
    sorters = {name: _Sorter(provider) for name, provider in known.items()}
    records = list(records)
    for record in records:
        try:
            foreign = "provider" not in record and _provider_of(record, sorters.values())
            if foreign:
                sorters[foreign].learn_key(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JournalError(f"record {record.get('seq')}: {type(error).__name__}: {error}") from None
    for record in records:
        try:
            name = record["provider"] if "provider" in record else _provider_of(record, sorters.values())
            if name in known and only in (None, name):
                found.setdefault(name, []).append(sorters[name].record(record))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JournalError(f"record {record.get('seq')}: {type(error).__name__}: {error}") from None
    return [Journal(known[name], tuple(each)) for name, each in found.items()]


def _provider_of(record: Mapping[str, Any], sorters: Iterable[_Sorter]) -> str | None:
    """Find out whose a record without a provider is: by its host, the first segment of its path, or a link to it."""
    host = str(record.get("host", "")).partition(":")[0]
    path = record["request"]["path"]
    for sorter in sorters:
        if host in sorter.provider.hosts or path.startswith(f"/{sorter.provider.name}/"):
            return sorter.provider.name
    return next((each.provider.name for each in sorters if each.task_linked(record) is not None), None)


class _Sorter:
    """Turns the records of one provider into exchanges and deliveries; fills in what a foreign record lacks."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._router = Router(provider.routes)
        #: Of foreign records: the keys that were sent, and the links that answers gave, with their tasks.
        self._keys: set[str] = set()
        self._links: dict[str, str] = {}

    def learn_key(self, record: Mapping[str, Any]) -> None:
        """Take note of a foreign record's key, which nobody has marked in it."""
        sent = (_header(record["request"]["headers"], self.provider.key.header) or "").strip()
        key = sent.partition(" ")[2].strip() if self.provider.key.bearer else sent
        if len(key) >= _SHORTEST_KEY:
            self._keys.add(key)

    def task_linked(self, record: Mapping[str, Any]) -> str | None:
        """Return the task whose answer gave the link that a foreign record follows."""
        return self._links.get(str(record.get("url")))

    def record(self, record: Mapping[str, Any]) -> Record:
        return self._delivery(record) if record["kind"] == "delivery" else self._exchange(record)

    def _exchange(self, record: Mapping[str, Any]) -> Exchange:
        request, response = record["request"], record["response"]
        operation = self._operation(record, request)
        path = request["path"]
        answer = None if response is None else response.get("body")
        linked = self.task_linked(record)
        task = record.get("task") or linked or self._task(operation, path, request["query"], answer)
        if "provider" not in record and linked is None and task is not None:
            for link in _links_in(_json(answer)):
                self._links[link] = self._links[urlsplit(link).path] = task
        marked = self._marked if self._keys else str
        return Exchange(
            seq=record["seq"],
            at_ms=instant_of(record["at"]),
            operation=None if operation is None else operation.id,
            role="result" if linked else None if operation is None else operation.role,
            task=task,
            account=record.get("account"),
            gate=record.get("gate"),
            error=record.get("error"),
            faults=tuple(record.get("faults") or ()),
            method=request["method"],
            path=marked(path),
            query=marked(request["query"]),
            headers=tuple((name, marked(value)) for name, value in request["headers"]),
            body=None if request.get("body") is None else marked(request["body"]),
            body_whole=not request.get("body_cut", False),
            status=None if response is None else response["status"],
            answer_headers=() if response is None else tuple((name, value) for name, value in response["headers"]),
            answer_body=answer,
            answer_bytes=0 if response is None else response.get("body_bytes", len(answer or "")),
        )

    def _marked(self, text: str) -> str:
        """Put a mark in the place of keys, as our own journals have it."""
        for key in self._keys:
            text = text.replace(key, "[key of somebody]")
        return text

    def _operation(self, record: Mapping[str, Any], request: Mapping[str, Any]) -> Operation | None:
        if record.get("operation") is not None:
            return self.provider.operations.get(record["operation"])
        path = request["path"]
        prefix = f"/{self.provider.name}"
        own = path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path
        return self._router.find(request["method"], own).operation

    def _task(self, operation: Operation | None, path: str, query: str, answer: str | None) -> str | None:
        """Find the task that a foreign record is about: in the target of a query, in the answer to a submit."""
        if operation is None:
            return None
        if operation.role == "submit":
            return _id_in(_json(answer), self.provider)
        if operation.role == "result":  # our own HAR files have another host than the links
            return self._links.get(path)
        if operation.role == "query":
            values = [path.rpartition("/")[2], *(value for each in parse_qs(query).values() for value in each)]
            return next((value for value in values if value and value != operation.path.rpartition("/")[2]), None)
        return None

    def _delivery(self, record: Mapping[str, Any]) -> Delivery:
        response = record["response"]
        return Delivery(
            seq=record["seq"],
            at_ms=instant_of(record["at"]),
            delivery=record["delivery"],
            task=record["task"],
            event=record["event"],
            attempt=record["attempt"],
            outcome=record["outcome"],
            faults=tuple(record.get("faults") or ()),
            url=record["request"]["url"],
            body=record["request"].get("body"),
            status=None if response is None else response["status"],
        )


def _links_in(value: Any) -> Iterator[str]:
    """Find the links in an answer."""
    if isinstance(value, str):
        if value.startswith(("https://", "http://")):
            yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _links_in(each)


def _id_in(value: Any, provider: Provider) -> str | None:
    """Find a task's id in an answer: the first text under a key that ends in id."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key.lower().endswith("id") and isinstance(each, str):
                matches = provider.task_id_matches
                if matches is None or matches(each):
                    return each
        for each in value.values():
            found = _id_in(each, provider)
            if found is not None:
                return found
    return None
