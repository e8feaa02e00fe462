"""The values of recorded traffic: exchanges, and attempts to deliver callbacks.

Instants are milliseconds since 1970. Texts are as they went over the wire.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote_plus

#: What stands in a journal for a key or a secret (mockserver/journal/redaction.py).
REDACTED = re.compile(r"\[(?:key of [^\]]+|webhook secret[^\]]*|admin token|redacted)\]")

#: What stands between the parts of a form, which clients draw for each request.
_BOUNDARY = re.compile(r"boundary=\"?([^\s\";]+)", re.IGNORECASE)
#: How deeply JSON may be nested.
_DEEPEST = 100


class JournalError(ValueError):
    """A file cannot be read as a journal; the message says why and where."""


@dataclass(frozen=True)
class Exchange:
    """A request of the client and its answer. `status` is None if no answer was received."""

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
    #: The model whose shape and price the mock server used for one that no document names; empty if it is none.
    served_as: str = ""
    #: Commands of the mock server's user have changed the course of the task.
    commanded: bool = False
    #: The mock server's user has given the account limits that no plan has.
    own_plan: bool = False

    @cached_property
    def json(self) -> Any:
        """The request body as JSON; None if it is not JSON."""
        return parse_json(self.body)

    @cached_property
    def said(self) -> str:
        """The request body as text that is the same whenever the same is said: a form's is written in many ways."""
        body = self.body or ""
        kind, _, more = (self.header("Content-Type") or "").partition(";")
        if kind.strip().lower() == "application/x-www-form-urlencoded":
            return unquote_plus(body)
        boundary = _BOUNDARY.search(more) if kind.strip().lower().startswith("multipart/") else None
        return body if boundary is None else body.replace(boundary[1], "")

    @cached_property
    def answer(self) -> Any:
        """The answer's body as JSON; None if it is not JSON."""
        return parse_json(self.answer_body)

    def header(self, name: str) -> str | None:
        """Return a header of the request."""
        return header_of(self.headers, name)

    def answer_header(self, name: str) -> str | None:
        """Return a header of the answer."""
        return header_of(self.answer_headers, name)

    def __str__(self) -> str:
        status = "no answer" if self.status is None else str(self.status)
        return f"#{self.seq} {self.method} {self.path}{'?' if self.query else ''}{self.query} -> {status}"


@dataclass(frozen=True)
class Delivery:
    """One attempt to deliver a callback, and the answer of the client's receiver."""

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
    headers: tuple[tuple[str, str], ...] = ()
    #: The mock server's user has had it sent again.
    commanded: bool = False

    @cached_property
    def json(self) -> Any:
        """The body as JSON; None if it is not JSON."""
        return parse_json(self.body)

    def __str__(self) -> str:
        result = self.status or self.outcome
        return f"#{self.seq} callback {self.event} ({self.delivery}, attempt {self.attempt}) -> {result}"


Record = Exchange | Delivery


def parse_json(text: str | bytes | None) -> Any:
    """Parse JSON; None if it is missing, invalid or nested too deeply."""
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if _is_shallow(value) else None


def _is_shallow(value: Any) -> bool:
    """Tell whether JSON can be walked through: nothing that an API means is nested deeper."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return True
    return False


def header_of(pairs: Iterable[Sequence[str]], name: str) -> str | None:
    """Return the first value of a header, whatever its case."""
    return next((value for each, value in pairs if each.lower() == name.lower()), None)
