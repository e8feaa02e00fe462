"""The journal: the one truth about what went over the wire.

Every exchange and every delivery attempt stands in it once, in mock time and wall time. It is a ring in
memory, and a file where one is asked for. What comes in is kept as it is and written out only when
somebody reads; secrets are taken out then, bodies are cut at `body_limit` when they come in.
specs/journal.schema.json is the shape of what comes out.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import itertools
import logging
import re
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import orjson

from mockserver.clock import iso_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from mockserver.engine.callbacks import Attempt, Delivery
    from mockserver.engine.messages import Response

DEFAULT_ENTRIES = 10_000
_LOG = logging.getLogger("mockserver")
DEFAULT_BODY_LIMIT = 16_384
_HEADERS_REMEMBERED = 4096
_SECRET_HEADERS = frozenset(("authorization", "proxy-authorization", "x-api-key", "cookie", "x-admin-token"))


#: Headers as they came or went: anything with items(), or pairs.
Headers = Any


class NewExchange(NamedTuple):
    """A request and its response, as the edge reports them; a body of None is not kept, status 0 is no response."""

    at_ms: int
    provider: str | None
    reply: Response
    method: str
    target: str
    request_headers: Headers
    request_body: bytes
    status: int
    response_headers: Headers
    response_body: bytes | None
    response_bytes: int


class Exchange(NamedTuple):
    """A request and its answer; a body that is None was not kept, only measured, and status 0 is no answer."""

    seq: int
    at_ms: int
    wall_s: float
    provider: str | None
    reply: Response
    method: str
    target: str
    request_headers: Headers
    request_body: bytes
    request_bytes: int
    status: int
    response_headers: Headers
    response_body: bytes | None
    response_bytes: int


class Answer(NamedTuple):
    """What a receiver answered: its headers, the body as far as it is kept, and its true length."""

    headers: Headers
    body: bytes
    size_bytes: int


class DeliveryAttempt(NamedTuple):
    """One attempt at a callback."""

    seq: int
    at_ms: int
    wall_s: float
    delivery: Delivery
    attempt: Attempt
    request_body: bytes
    next_attempt_ms: int | None
    answer: Answer | None


Entry = Exchange | DeliveryAttempt

_WORDS = (
    *("kind", "provider", "operation", "task", "account", "gate", "error", "method", "path", "status"),
    *("delivery", "event", "outcome", "fault"),
)


class Journal:
    """A ring of entries, with a file beside it if wished.

    Args:
        secrets: gives the keys and webhook secrets known so far, with what stands in their place.
        entries: how many entries the ring keeps.
        body_limit: how many bytes of each body are kept.
        file: NDJSON file that every entry is appended to.
        wall_s: the wall clock.
        secret_headers: headers that carry keys, beside the usual ones.
    """

    __slots__ = (
        "_file",
        "_redact",
        "_ring",
        "_secret_headers",
        "_secrets",
        "_seq",
        "_unwritten",
        "_wall_s",
        "body_limit",
        "forgotten_seq",
    )

    def __init__(
        self,
        secrets: Callable[[], Mapping[str, str]],
        entries: int = DEFAULT_ENTRIES,
        body_limit: int = DEFAULT_BODY_LIMIT,
        file: Path | None = None,
        wall_s: Callable[[], float] = time.time,
        secret_headers: Iterable[str] = (),
    ) -> None:
        self._secrets = secrets
        self._secret_headers = _SECRET_HEADERS.union(name.lower() for name in secret_headers)
        self._ring: deque[Entry] = deque(maxlen=entries)
        self._seq = 0
        #: The last number there was when it was last cleared.
        self.forgotten_seq = 0
        self._wall_s = wall_s
        self.body_limit = body_limit
        self._file = None if file is None else file.open("ab")
        self._unwritten: list[Entry] = []
        self._redact: _Redaction | None = None

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def last_seq(self) -> int:
        """The number of the last entry written down; 0 before the first."""
        return self._seq

    @property
    def crowded_out(self) -> int:
        """How many entries had to make room for newer ones since it was last cleared."""
        return self._seq - self.forgotten_seq - len(self._ring)

    def exchange(self, new: NewExchange) -> None:
        """Write an exchange down."""
        at_ms, provider, reply, method, target, request_headers, request_body = new[:7]
        status, response_headers, response_body, response_bytes = new[7:]
        self._seq += 1
        limit = self.body_limit
        request_bytes = len(request_body)
        entry = Exchange(
            self._seq,
            at_ms,
            self._wall_s(),
            provider,
            reply,
            method,
            target,
            request_headers,
            request_body if request_bytes <= limit else request_body[:limit],
            request_bytes,
            status,
            response_headers,
            response_body if response_bytes <= limit or response_body is None else response_body[:limit],
            response_bytes,
        )
        self._ring.append(entry)
        if self._file is not None:
            self._unwritten.append(entry)

    def delivery(self, delivery: Delivery, attempt: Attempt, answer: Answer | None) -> None:
        """Write a delivery attempt down."""
        self._seq += 1
        next_ms = delivery.due_ms if delivery.state == "waiting" else None
        body = delivery.body[: self.body_limit]
        entry = DeliveryAttempt(self._seq, attempt.at_ms, self._wall_s(), delivery, attempt, body, next_ms, answer)
        self._ring.append(entry)
        if self._file is not None:
            self._unwritten.append(entry)

    def answer(self, headers: Headers, body: bytes) -> Answer:
        """Make what a receiver answered, its body cut at the limit."""
        return Answer(headers, body[: self.body_limit], len(body))

    def flush(self) -> None:
        """Write to the file what has come in since the last time."""
        if self._file is not None and self._unwritten:
            waiting, self._unwritten = self._unwritten, []
            try:
                self._file.write(self.ndjson(waiting))
                self._file.flush()
            except OSError as error:
                _LOG.error("the journal's file cannot be written, and is given up: %s", error.strerror)
                self._give_up_file()

    def close(self) -> None:
        """Flush and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _give_up_file(self) -> None:
        """Write to the file no more; the ring goes on."""
        file, self._file = self._file, None
        with contextlib.suppress(OSError):
            if file is not None:
                file.close()

    def clear(self) -> None:
        """Forget everything; the file keeps what is in it, and numbers go on."""
        self.flush()
        self._ring.clear()
        self.forgotten_seq = self._seq

    def records(self, **wanted: str | int | None) -> Iterator[dict[str, Any]]:
        """Give the entries as records, oldest first, those that agree with every word that is set.

        The words are fields of a record: kind, provider, operation, task, account, gate, error, method,
        path, status, delivery, event, outcome, fault; and `after` for a sequence number.

        Raises:
            TypeError: a word is none of these.
        """
        after = wanted.pop("after", None)
        unknown = wanted.keys() - set(_WORDS)
        if unknown:
            raise TypeError(f"the journal is not searched by {', '.join(sorted(unknown))}; but by {', '.join(_WORDS)}")
        conditions = {name: str(value) for name, value in wanted.items() if value is not None}
        redact = self._redaction()
        for entry in list(self._ring):
            if after is not None and entry.seq <= int(after):
                continue
            record = _record(entry, redact)
            if all(
                value in record["faults"] if name == "fault" else _found(record, name) == value
                for name, value in conditions.items()
            ):
                yield record

    def newest(self, most: int, after: int = 0) -> list[dict[str, Any]]:
        """Return the newest records with a greater number, at most so many, oldest first."""
        chosen = [entry for entry in itertools.islice(reversed(self._ring), most) if entry.seq > after]
        if not chosen:
            return []
        redact = self._redaction()
        return [_record(entry, redact) for entry in reversed(chosen)]

    def _redaction(self) -> _Redaction:
        """Return what takes the secrets known by now out; made again only when there are others."""
        secrets = dict(self._secrets())
        if self._redact is None or self._redact.secrets != secrets:
            self._redact = _Redaction(secrets, self._secret_headers)
        return self._redact

    def ndjson(self, entries: Iterable[Entry] | None = None) -> bytes:
        """Write entries (all of them by default) as NDJSON."""
        redact = self._redaction()
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
    """Takes known secrets out of text, wherever they stand, and in whatever spelling JSON and URLs give them."""

    SHORTEST = 4

    def __init__(self, secrets: Mapping[str, str], headers: frozenset[str]) -> None:
        self.secrets = secrets
        self._headers = headers
        self._names: dict[str, str] = {}
        for secret, name in secrets.items():
            if len(secret) >= self.SHORTEST:
                for spelling in (secret, quote(secret, safe=""), orjson.dumps(secret).decode()[1:-1]):
                    self._names[spelling] = name
        #: Headers that have been cleaned; most come again and again.
        self._cleaned: dict[tuple[str, str], str] = {}
        longest_first = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(lambda found: f"[{self._names[found[0]]}]", text)
        return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

    def header(self, name: str, value: str) -> str:
        known = self._cleaned.get((name, value))
        if known is None:
            if len(self._cleaned) >= _HEADERS_REMEMBERED:
                self._cleaned.clear()
            known = self._cleaned[name, value] = self._header(name, value)
        return known

    def _header(self, name: str, value: str) -> str:
        cleaned = self.text(value)
        if name.lower() in self._headers and cleaned == value:
            scheme, blank, _ = value.partition(" ")
            return f"{scheme} [redacted]" if blank else "[redacted]"
        return cleaned

    def cut(self, text: str) -> str:
        """Clean a text that was cut, maybe in the middle of a secret."""
        text = self.text(text)
        for spelling, name in self._names.items():
            for length in range(len(spelling) - 1, self.SHORTEST - 1, -1):
                if text.endswith(spelling[:length]):
                    return f"{text[:-length]}[{name}]"
        return text

    def data(self, data: bytes) -> bytes:
        for spelling, name in self._names.items():
            data = data.replace(spelling.encode(), f"[{name}]".encode())
        return data


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
        "faults": list(reply.faults),
        "request": {
            "method": entry.method,
            "path": redact.text(path),
            "query": redact.text(query),
            **_message_record(entry.request_headers, entry.request_body, entry.request_bytes, redact),
        },
        "response": None
        if not entry.status
        else {
            "status": entry.status,
            **_message_record(_with_type(entry), entry.response_body, entry.response_bytes, redact),
        },
    }


def _delivery_record(entry: DeliveryAttempt, redact: _Redaction) -> dict[str, Any]:
    delivery, attempt, answer = entry.delivery, entry.attempt, entry.answer
    sent = _message_record(delivery.headers, entry.request_body, len(delivery.body), redact)
    return {
        "seq": entry.seq,
        "kind": "delivery",
        "at": iso_of(entry.at_ms),
        "wall": iso_of(int(entry.wall_s * 1000)),
        "provider": delivery.provider,
        "task": delivery.task_id,
        "delivery": delivery.id,
        "event": delivery.event,
        "attempt": attempt.number,
        "outcome": attempt.outcome,
        "detail": redact.text(attempt.detail),
        "next_attempt_at": None if entry.next_attempt_ms is None else iso_of(entry.next_attempt_ms),
        "faults": list(delivery.faults),
        "request": {"method": "POST", "url": redact.text(delivery.url), **sent},
        "response": None if answer is None else {"status": attempt.status, **_message_record(*answer, redact)},
    }


def _with_type(entry: Exchange) -> Headers:
    """Return the headers of an answer; those we wrote ourselves are kept without the one every answer has."""
    if isinstance(entry.response_headers, tuple):
        return (("Content-Type", entry.reply.content_type), *entry.response_headers)
    return entry.response_headers


def _message_record(headers: Headers, content: bytes | None, size_bytes: int, redact: _Redaction) -> dict[str, Any]:
    pairs = headers.items() if hasattr(headers, "items") else headers
    body, base64_body = None, None
    cut = content is not None and len(content) < size_bytes
    if content is not None:
        try:
            text = _decoded(content, cut=cut)
            body = redact.cut(text) if cut else redact.text(text)
        except UnicodeDecodeError:
            base64_body = base64.b64encode(redact.data(content)).decode()
    return {
        "headers": [[name, redact.header(name, value)] for name, value in pairs],
        "body": body,
        **({"body_base64": base64_body} if base64_body is not None else {}),
        "body_bytes": size_bytes,
        "body_cut": cut,
    }


def _decoded(body: bytes, *, cut: bool) -> str:
    """Read a body as UTF-8; one that was cut may end inside a character, of which nothing is kept."""
    return codecs.getincrementaldecoder("utf-8")().decode(body, final=not cut)


def har(records: Iterable[Mapping[str, Any]], version: str) -> dict[str, Any]:
    """Write exchange records as an HTTP archive (HAR 1.2); its times are mock times."""
    entries = []
    for record in records:
        if record["kind"] != "exchange":
            continue
        request, response = record["request"], record["response"]
        if response is None:
            continue
        query = f"?{request['query']}" if request["query"] else ""
        root = "http://mockserver.invalid" if request["path"].startswith("/") else ""
        entries.append(
            {
                "startedDateTime": record["at"],
                "time": 0,
                "request": {
                    "method": request["method"],
                    "url": f"{root}{request['path']}{query}",
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
                        **(
                            {"text": response["body_base64"], "encoding": "base64"}
                            if "body_base64" in response
                            else {"text": response["body"] or ""}
                        ),
                    },
                    "redirectURL": "",
                    "headersSize": -1,
                    "bodySize": response["body_bytes"],
                },
                "cache": {},
                "timings": {"send": 0, "wait": 0, "receive": 0},
                "comment": " ".join(record[name] for name in ("provider", "operation", "task") if record[name]),
            }
        )
    return {"log": {"version": "1.2", "creator": {"name": "mockserver", "version": version}, "entries": entries}}


def _har_pairs(pairs: Iterable[Any]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _type_of(headers: Iterable[Any]) -> str:
    return next((value for name, value in headers if name.lower() == "content-type"), "")
