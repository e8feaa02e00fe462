"""The journal: the one truth about what went over the wire.

Every exchange and every delivery attempt stands in it once, in mock time and wall time. It is a ring in
memory, and a file where one is asked for. What comes in is kept as it is and written out only when
somebody reads; secrets are taken out then, bodies are cut at `body_limit` when they come in.
specs/journal.schema.json is the shape of what comes out.
"""

from __future__ import annotations

import base64
import re
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from mockserver.clock import iso_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from mockserver.engine.callbacks import Attempt, Delivery
    from mockserver.engine.operations import Reply

DEFAULT_ENTRIES = 10_000
DEFAULT_BODY_LIMIT = 16_384
_SECRET_HEADERS = frozenset(("authorization", "proxy-authorization", "x-api-key", "cookie", "x-admin-token"))


class Message(NamedTuple):
    """One half of an exchange: headers, the body as far as it is kept, and its true length."""

    headers: Any
    body: bytes | None
    size_bytes: int


class Exchange(NamedTuple):
    """A request and its answer."""

    seq: int
    at_ms: int
    wall_s: float
    provider: str
    reply: Reply
    method: str
    target: str
    request: Message
    status: int
    response: Message


class DeliveryAttempt(NamedTuple):
    """One attempt at a callback."""

    seq: int
    at_ms: int
    wall_s: float
    delivery: Delivery
    attempt: Attempt
    next_attempt_ms: int | None
    response: Message | None


Entry = Exchange | DeliveryAttempt


class Journal:
    """A ring of entries, with a file beside it if wished.

    Args:
        secrets: gives the keys and webhook secrets known so far, with what stands in their place.
        entries: how many entries the ring keeps.
        body_limit: how many bytes of each body are kept.
        file: NDJSON file that every entry is appended to.
        wall_s: the wall clock.
    """

    __slots__ = ("_file", "_ring", "_secrets", "_seq", "_unwritten", "_wall_s", "body_limit")

    def __init__(
        self,
        secrets: Callable[[], Mapping[str, str]],
        entries: int = DEFAULT_ENTRIES,
        body_limit: int = DEFAULT_BODY_LIMIT,
        file: Path | None = None,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = secrets
        self._ring: deque[Entry] = deque(maxlen=entries)
        self._seq = 0
        self._wall_s = wall_s
        self.body_limit = body_limit
        self._file = None if file is None else file.open("ab")
        self._unwritten: list[Entry] = []

    def __len__(self) -> int:
        return len(self._ring)

    def exchange(
        self,
        at_ms: int,
        provider: str,
        reply: Reply,
        method: str,
        target: str,
        request: Message,
        status: int,
        response: Message,
    ) -> None:
        """Write an exchange down."""
        self._seq += 1
        self._add(
            Exchange(self._seq, at_ms, self._wall_s(), provider, reply, method, target, request, status, response)
        )

    def delivery(self, delivery: Delivery, attempt: Attempt, response: Message | None) -> None:
        """Write a delivery attempt down."""
        self._seq += 1
        next_ms = delivery.due_ms if delivery.state == "waiting" else None
        self._add(DeliveryAttempt(self._seq, attempt.at_ms, self._wall_s(), delivery, attempt, next_ms, response))

    def _add(self, entry: Entry) -> None:
        self._ring.append(entry)
        if self._file is not None:
            self._unwritten.append(entry)

    def message(self, headers: Any, body: bytes) -> Message:
        """Make a message, its body cut at the limit."""
        size = len(body)
        return Message(headers, body if size <= self.body_limit else body[: self.body_limit], size)

    def flush(self) -> None:
        """Write to the file what has come in since the last time."""
        if self._file is not None and self._unwritten:
            waiting, self._unwritten = self._unwritten, []
            self._file.write(self.ndjson(waiting))
            self._file.flush()

    def close(self) -> None:
        """Flush and close the file."""
        if self._file is not None:
            self.flush()
            self._file.close()
            self._file = None

    def clear(self) -> None:
        """Forget everything; the file keeps what is in it, and numbers go on."""
        self.flush()
        self._ring.clear()

    def records(self, **wanted: str | int | None) -> Iterator[dict[str, Any]]:
        """Give the entries as records, oldest first, those that agree with every word that is set.

        The words are fields of a record: kind, provider, operation, task, account, gate, error, method,
        path, status; and `after` for a sequence number.
        """
        after = wanted.pop("after", None)
        conditions = {name: str(value) for name, value in wanted.items() if value is not None}
        redact = _Redaction(self._secrets())
        for entry in list(self._ring):
            if after is not None and entry.seq <= int(after):
                continue
            record = _record(entry, redact)
            if all(_found(record, name) == value for name, value in conditions.items()):
                yield record

    def ndjson(self, entries: Iterable[Entry] | None = None) -> bytes:
        """Write entries (all of them by default) as NDJSON."""
        redact = _Redaction(self._secrets())
        chosen = list(self._ring) if entries is None else entries
        return b"".join(orjson.dumps(_record(entry, redact), option=orjson.OPT_APPEND_NEWLINE) for entry in chosen)


def _found(record: Mapping[str, Any], name: str) -> str | None:
    if name in ("method", "path"):
        value = record["request"].get(name)
    elif name == "status":
        value = (record["response"] or {}).get("status")
    else:
        value = record.get(name)
    return None if value is None else str(value)


class _Redaction:
    """Takes known secrets out of text, wherever they stand."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = {secret: name for secret, name in secrets.items() if len(secret) >= 4}
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: f"[{self._secrets[found[0]]}]", text)

    def header(self, name: str, value: str) -> str:
        cleaned = self.text(value)
        if name.lower() in _SECRET_HEADERS and cleaned == value:
            scheme, blank, _ = value.partition(" ")
            return f"{scheme} [redacted]" if blank else "[redacted]"
        return cleaned


def _record(entry: Entry, redact: _Redaction) -> dict[str, Any]:
    if isinstance(entry, Exchange):
        return _exchange_record(entry, redact)
    return _delivery_record(entry, redact)


def _exchange_record(entry: Exchange, redact: _Redaction) -> dict[str, Any]:
    path, _, query = entry.target.partition("?")
    reply = entry.reply
    return {
        "seq": entry.seq,
        "kind": "exchange",
        "at": iso_of(entry.at_ms),
        "wall": iso_of(int(entry.wall_s * 1000)),
        "provider": entry.provider,
        "operation": reply.operation,
        "task": reply.task_id,
        "account": reply.account_id,
        "gate": reply.gate,
        "error": reply.error,
        "fault": None,
        "request": {
            "method": entry.method,
            "path": redact.text(path),
            "query": redact.text(query),
            **_message_record(entry.request, redact),
        },
        "response": {"status": entry.status, **_message_record(entry.response, redact)},
    }


def _delivery_record(entry: DeliveryAttempt, redact: _Redaction) -> dict[str, Any]:
    delivery, attempt = entry.delivery, entry.attempt
    request = Message(delivery.headers, delivery.body, len(delivery.body))
    return {
        "seq": entry.seq,
        "kind": "delivery",
        "at": iso_of(entry.at_ms),
        "wall": iso_of(int(entry.wall_s * 1000)),
        "provider": delivery.space.provider.name,
        "task": delivery.task_id,
        "delivery": delivery.id,
        "event": delivery.event,
        "attempt": attempt.number,
        "outcome": attempt.outcome,
        "detail": redact.text(attempt.detail),
        "next_attempt_at": None if entry.next_attempt_ms is None else iso_of(entry.next_attempt_ms),
        "fault": None,
        "request": {"method": "POST", "url": redact.text(delivery.url), **_message_record(request, redact)},
        "response": None
        if entry.response is None
        else {"status": attempt.status, **_message_record(entry.response, redact)},
    }


def _message_record(message: Message, redact: _Redaction) -> dict[str, Any]:
    headers = message.headers.items() if hasattr(message.headers, "items") else message.headers
    body, base64_body = None, None
    if message.body is not None:
        try:
            body = redact.text(message.body.decode())
        except UnicodeDecodeError:
            base64_body = base64.b64encode(message.body).decode()
    return {
        "headers": [[name, redact.header(name, value)] for name, value in headers],
        "body": body,
        **({"body_base64": base64_body} if base64_body is not None else {}),
        "body_bytes": message.size_bytes,
        "body_cut": message.body is not None and len(message.body) < message.size_bytes,
    }


def har(records: Iterable[Mapping[str, Any]], version: str) -> dict[str, Any]:
    """Write exchange records as an HTTP archive (HAR 1.2); its times are mock times."""
    entries = []
    for record in records:
        if record["kind"] != "exchange":
            continue
        request, response = record["request"], record["response"]
        query = f"?{request['query']}" if request["query"] else ""
        entries.append(
            {
                "startedDateTime": record["at"],
                "time": 0,
                "request": {
                    "method": request["method"],
                    "url": f"http://mockserver.invalid{request['path']}{query}",
                    "httpVersion": "HTTP/1.1",
                    "cookies": [],
                    "headers": _har_pairs(request["headers"]),
                    "queryString": _har_pairs(
                        [pair.partition("=")[::2] for pair in request["query"].split("&") if pair]
                    ),
                    "headersSize": -1,
                    "bodySize": request["body_bytes"],
                    **(
                        {"postData": {"mimeType": _type_of(request["headers"]), "text": request["body"]}}
                        if request["body"]
                        else {}
                    ),
                },
                "response": {
                    "status": response["status"],
                    "statusText": "",
                    "httpVersion": "HTTP/1.1",
                    "cookies": [],
                    "headers": _har_pairs(response["headers"]),
                    "content": {
                        "size": response["body_bytes"],
                        "mimeType": _type_of(response["headers"]),
                        "text": response["body"] or "",
                    },
                    "redirectURL": "",
                    "headersSize": -1,
                    "bodySize": response["body_bytes"],
                },
                "cache": {},
                "timings": {"send": 0, "wait": 0, "receive": 0},
                "comment": f"{record['provider']} {record['operation'] or ''} {record['task'] or ''}".strip(),
            }
        )
    return {"log": {"version": "1.2", "creator": {"name": "mockserver", "version": version}, "entries": entries}}


def _har_pairs(pairs: Iterable[Any]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _type_of(headers: Iterable[Any]) -> str:
    return next((value for name, value in headers if name.lower() == "content-type"), "")
