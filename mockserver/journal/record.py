"""Entries of the journal, and the JSON records they become (specs/journal.schema.json).

An entry keeps what came as it came; `record_of` writes it out, redacted.
"""

from __future__ import annotations

import base64
import codecs
from typing import Any, NamedTuple

from mockserver.clock import iso_of
from mockserver.engine.callbacks import Attempt, Delivery
from mockserver.engine.messages import Response
from mockserver.journal.redaction import Redaction

#: Headers as received or sent: anything with items(), or pairs.
Headers = Any


class Exchange:
    """A request and its response, as the edge reports them; a body of None is not kept, status 0 means no response.

    The journal numbers and times it, and cuts its bodies.
    """

    __slots__ = (
        *("at_ms", "method", "provider", "request_body", "request_bytes", "request_headers", "response"),
        *("response_body", "response_bytes", "response_headers", "seq", "status", "target", "wall_s"),
    )

    def __init__(
        self,
        at_ms: int,
        provider: str | None,
        response: Response,
        method: str,
        target: str,
        request_headers: Headers,
        request_body: bytes,
        status: int,
        response_headers: Headers,
        response_body: bytes | None,
        response_bytes: int,
    ) -> None:
        self.at_ms = at_ms
        self.provider = provider
        self.response = response
        self.method = method
        self.target = target
        self.request_headers = request_headers
        self.request_body = request_body
        self.request_bytes = len(request_body)
        self.status = status
        self.response_headers = response_headers
        self.response_body = response_body
        self.response_bytes = response_bytes
        self.seq = 0
        self.wall_s = 0.0


class ReceiverResponse(NamedTuple):
    """The response of a callback receiver: headers, the kept part of the body, its full length."""

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
    response: ReceiverResponse | None


def record_of(entry: Exchange | DeliveryAttempt, redact: Redaction) -> dict[str, Any]:
    """Write an entry as a record."""
    return _exchange_record(entry, redact) if isinstance(entry, Exchange) else _delivery_record(entry, redact)


def _exchange_record(entry: Exchange, redact: Redaction) -> dict[str, Any]:
    response = entry.response
    path, _, query = entry.target.partition("?")
    headers = entry.response_headers
    if isinstance(headers, tuple):  # our own responses are kept without Content-Type
        headers = (("Content-Type", response.content_type), *headers)
    return {
        "seq": entry.seq,
        "kind": "exchange",
        "at": iso_of(entry.at_ms),
        "wall": iso_of(int(entry.wall_s * 1000)),
        "provider": entry.provider,
        "operation": response.operation,
        "task": response.task_id,
        "account": response.account_id,
        "gate": response.gate,
        "error": response.error,
        "faults": list(response.faults),
        **{
            name: redact.text(each) if isinstance(each, str) else each
            for name, each in (response.remarks or {}).items()
        },
        "request": {
            "method": entry.method,
            "path": redact.text(path),
            "query": redact.text(query),
            **_message_record(entry.request_headers, entry.request_body, entry.request_bytes, redact),
        },
        "response": {
            "status": entry.status,
            **_message_record(headers, entry.response_body, entry.response_bytes, redact),
        }
        if entry.status
        else None,
    }


def _delivery_record(entry: DeliveryAttempt, redact: Redaction) -> dict[str, Any]:
    delivery, attempt, response = entry.delivery, entry.attempt, entry.response
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
        **({"commanded": True} if delivery.commanded else {}),
        "next_attempt_at": None if entry.next_attempt_ms is None else iso_of(entry.next_attempt_ms),
        "faults": list(delivery.faults),
        "request": {"method": "POST", "url": redact.text(delivery.url), **sent},
        "response": None if response is None else {"status": attempt.status, **_message_record(*response, redact)},
    }


def _message_record(headers: Headers, content: bytes | None, size_bytes: int, redact: Redaction) -> dict[str, Any]:
    pairs = headers.items() if hasattr(headers, "items") else headers
    body, base64_body = None, None
    cut = content is not None and len(content) < size_bytes
    if content is not None:
        try:
            # The incomplete character at the end of a body that was cut is dropped.
            text = codecs.getincrementaldecoder("utf-8")().decode(content, final=not cut)
            body = redact.cut(text) if cut else redact.text(text)
        except UnicodeDecodeError:
            base64_body = base64.b64encode(redact.data(content, is_cut=cut)).decode()
    return {
        "headers": [[name, redact.header(name, value)] for name, value in pairs],
        "body": body,
        **({"body_base64": base64_body} if base64_body is not None else {}),
        "body_bytes": size_bytes,
        "body_cut": cut,
    }
