"""Turns records into exchanges and deliveries.

Records of our own journal say which provider, operation and task they belong to. For foreign records
(HAR), `RecordReader` works that out from hosts, paths, links and answers.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mockserver.clock import instant_of
from mockserver.engine.leaves import links_in
from mockserver.engine.routes import RouteMatch, Router
from mockserver.provider import Operation, Provider
from mockserver.recording.values import Delivery, Exchange, JournalError, Record, header_of, parse_json

#: A shorter value in the key's header is not treated as a key: it would match too many texts.
_SHORTEST_KEY = 8
_FORM = re.compile(r"multipart/|application/x-www-form-urlencoded", re.IGNORECASE)
_ABOUT_TASKS = ("query", "cancel")
#: Ids of something else than a task.
_OTHER_ID = re.compile(r"request|trace|user|account|model|session|org", re.IGNORECASE)


def by_provider(
    records: Iterable[Mapping[str, Any]], providers: Iterable[Provider], only: str | None = None
) -> dict[str, list[Record]]:
    """Group records by the names of their providers; those of others are left out, and answers of our proxy.

    Raises:
        JournalError: a record lacks a required field.
    """
    found: dict[str, list[Record]] = {}
    known = {provider.name: provider for provider in providers}
    readers = {name: RecordReader(provider) for name, provider in known.items()}
    records = [record for record in records if record.get("gate") != "proxy"]
    for record in records:
        try:
            foreign = "provider" not in record and _provider_of(record, readers.values())
            if foreign:
                readers[foreign].learn_key(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JournalError(f"record {record.get('seq')}: {type(error).__name__}: {error}") from None
    for record in records:
        try:
            name = record["provider"] if "provider" in record else _provider_of(record, readers.values())
            if name in known and only in (None, name):
                found.setdefault(name, []).append(readers[name].read(record))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JournalError(f"record {record.get('seq')}: {type(error).__name__}: {error}") from None
    return found


def by_run(records: Iterable[Record]) -> Iterator[tuple[int, Record]]:
    """Yield each record with its run: where the numbers begin again, another run began, which may have the same ids."""
    run, last = 0, 0
    for record in records:
        run, last = run + (record.seq <= last), record.seq
        yield run, record


def _provider_of(record: Mapping[str, Any], readers: Iterable[RecordReader]) -> str | None:
    """Find the provider of a foreign record: by its host, the first segment of its path, or a link seen before."""
    host = str(record.get("host", "")).partition(":")[0]
    path = record["request"]["path"]
    for reader in readers:
        if host in reader.provider.hosts or path.startswith(f"/{reader.provider.name}/"):
            return reader.provider.name
    return next((each.provider.name for each in readers if each.task_linked(record) is not None), None)


class RecordReader:
    """Turns the records of one provider into exchanges and deliveries, and fills in what foreign records lack."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._router = Router(provider.routes)
        #: From foreign records: the keys that were sent, and the links in answers with their tasks.
        self._keys: dict[str, str] = {}
        self._links: dict[str, str] = {}

    def learn_key(self, record: Mapping[str, Any]) -> None:
        """Remember a foreign record's key, which is not redacted in it, and the mark that replaces it."""
        sent = (header_of(record["request"]["headers"], self.provider.key.header) or "").strip()
        key = sent.partition(" ")[2].strip() if self.provider.key.bearer else sent
        if len(key) >= _SHORTEST_KEY and key not in self._keys:
            number = f" {len(self._keys) + 1}" if self._keys else ""
            self._keys[key] = f"[key of unknown{number}]"

    def task_linked(self, record: Mapping[str, Any]) -> str | None:
        """Return the task whose answer contained the link that a foreign record requests."""
        return self._links.get(str(record.get("upstream") or record.get("url"))) if is_foreign(record) else None

    def read(self, record: Mapping[str, Any]) -> Record:
        """Turn a record into an exchange or a delivery."""
        return self._delivery(record) if record["kind"] == "delivery" else self._exchange(record)

    def _exchange(self, record: Mapping[str, Any]) -> Exchange:
        request, response = record["request"], record["response"]
        operation = self._operation(record, request)
        path = request["path"]
        answer = None if response is None else response.get("body")
        linked = self.task_linked(record)
        task = record.get("task") or linked or self._task(operation, path, request["query"], answer)
        if is_foreign(record) and linked is None and task is not None:
            for link in links_in(parse_json(answer)):
                self._links[link] = self._links[urlsplit(link).path] = task
        redacted = self._redacted if self._keys else str
        shown = None if answer is None else redacted(answer)
        size = 0 if response is None else response.get("body_bytes", len(answer or ""))
        return Exchange(
            seq=_number(record["seq"]),
            at_ms=instant_of(record["at"]),
            operation=None if operation is None else operation.id,
            role=_role(operation, is_linked=linked is not None),
            task=task,
            account=record.get("account"),
            gate=record.get("gate"),
            error=record.get("error"),
            faults=tuple(record.get("faults") or ()),
            method=request["method"],
            path=redacted(path),
            query=redacted(request["query"]),
            headers=tuple((name, redacted(value)) for name, value in request["headers"]),
            body=None if (body := _text(request)) is None else redacted(body),
            body_whole=not request.get("body_cut", False),
            status=None if response is None else _number(response["status"]),
            answer_headers=()
            if response is None
            else tuple((name, redacted(value)) for name, value in response["headers"]),
            answer_body=shown,
            answer_bytes=size - len(answer or "") + len(shown or ""),
            served_as=record.get("served_as") or "",
            commanded=bool(record.get("commanded")),
            own_plan=bool(record.get("own_plan")),
        )

    def _redacted(self, text: str) -> str:
        """Replace keys with marks like those of our own journal."""
        for key in sorted(self._keys, key=len, reverse=True):
            text = text.replace(key, self._keys[key])
        return text

    def _operation(self, record: Mapping[str, Any], request: Mapping[str, Any]) -> Operation | None:
        if record.get("operation") is not None:
            return self.provider.operations.get(record["operation"])
        return self._match(request["method"], request["path"]).operation

    def _match(self, method: str, path: str) -> RouteMatch:
        """Find the route of a path: below the provider's name, as the mock server has it, or below the real host."""
        path, prefix = urlsplit(path).path if "://" in path else path, f"/{self.provider.name}"
        return self._router.find(method, path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path)

    def _task(self, operation: Operation | None, path: str, query: str, answer: str | None) -> str | None:
        """Find the task of a foreign record: in a query's target, or in the answer to a submit."""
        if operation is None:
            return None
        if operation.role == "submit":
            body = parse_json(answer)
            return task_id_in(body, self.provider)
        if operation.role == "result":  # in our own HAR files, the host differs from that of the links
            return self._links.get(path)
        if operation.role in _ABOUT_TASKS:
            sent = {name: values[-1] for name, values in parse_qs(query).items()}
            sent |= self._match(operation.method, path).path_values
            return sent.get(operation.task_field) or next((each for each in sent.values() if each), None)
        return None

    def _delivery(self, record: Mapping[str, Any]) -> Delivery:
        response = record["response"]
        return Delivery(
            seq=_number(record["seq"]),
            at_ms=instant_of(record["at"]),
            delivery=record["delivery"],
            task=record["task"],
            event=record["event"],
            attempt=_number(record["attempt"]),
            outcome=record["outcome"],
            faults=tuple(record.get("faults") or ()),
            url=record["request"]["url"],
            body=record["request"].get("body"),
            status=None if response is None else _number(response["status"]),
            headers=tuple((name, value) for name, value in record["request"].get("headers", ())),
            commanded=bool(record.get("commanded")),
        )


def _role(operation: Operation | None, *, is_linked: bool) -> str | None:
    """Return the role of a request; what a link of an answer leads to is a file, unless it is an operation."""
    if operation is None or (is_linked and operation.role == "file"):
        return "result" if is_linked else None
    return operation.role


def _number(value: Any) -> int:
    """Return a whole number.

    Raises:
        TypeError: it is none.
    """
    if not _is_number(value):
        raise TypeError(f"{value!r} is not a whole number")
    return int(value)


def _text(request: Mapping[str, Any]) -> str | None:
    """Return a body as text: of a form with files, what is no text in it is replaced."""
    content = request.get("body_base64")
    if content is None or not _FORM.match(header_of(request["headers"], "Content-Type") or ""):
        return request.get("body")
    return base64.b64decode(content).decode(errors="replace")


def is_foreign(record: Mapping[str, Any]) -> bool:
    """Tell whether a record was not made by the mock server that answered: its task may not be told."""
    return "provider" not in record or "upstream" in record


def task_id_in(value: Any, provider: Provider) -> str | None:
    """Find a task's id in an answer or a callback."""
    matches = provider.task_id_matches
    found = None if matches is None else _id_in(value, lambda each: isinstance(each, str) and bool(matches(each)))
    return found or _id_in(value, lambda each: isinstance(each, str)) or _id_in(value, _is_number)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _id_in(value: Any, matches: Callable[[Any], bool]) -> str | None:
    """Find a task's id in an answer: the first value that matches under a key that ends in "id", but not of others."""
    if not isinstance(value, dict):
        return None
    for key, each in value.items():
        if key.lower().endswith("id") and not _OTHER_ID.search(key) and matches(each):
            return str(each)
    return next((found for each in value.values() if (found := _id_in(each, matches)) is not None), None)
