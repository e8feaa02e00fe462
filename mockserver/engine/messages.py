"""Requests and responses as the engine sees them. This file knows no sockets and no provider.

A `Request` is decoded no further than it must be. A `Response` holds what goes over the wire, and the facts
about it that the journal keeps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from mockserver.provider import FormField

JSON = "application/json"
#: Stands, in the `base` of a request, for the real host of what a link leads to.
REAL_HOST = "{host}"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """Replace the lone surrogates that a path or a header holds for bytes that are not UTF-8."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


@dataclass(frozen=True, slots=True)
class Form:
    """The file of a multipart body, as the edge decoded it; `problem` says why it is missing."""

    content: bytes = b""
    media_type: str = ""
    name: str = ""
    problem: str | None = None


class Fields(NamedTuple):
    """The fields of a multipart body, as the edge decoded them; `problem` says why they are missing."""

    fields: tuple[FormField, ...] = ()
    problem: str | None = None


class Request:
    """One request. Its query is parsed on first use."""

    __slots__ = (
        "_query",
        "base",
        "body",
        "broken",
        "fields",
        "form",
        "headers",
        "loaded",
        "method",
        "oversized",
        "path",
        "query_string",
        "stalled",
    )

    def __init__(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        query_string: str = "",
        base: str | None = "",
        *,
        oversized: bool = False,
        stalled: bool = False,
        broken: bool = False,
        form: Form | None = None,
        fields: Fields | None = None,
    ) -> None:
        self.method = method
        self.path = path if path.isascii() else well_formed(path)
        self.query_string = query_string
        self.headers = headers
        self.body = body
        #: What links in the response begin with, `REAL_HOST` in it; empty: the provider's URL on this server. None:
        #: as for the request that has made the task.
        self.base = base
        #: The body was larger than the operation takes; it was not read to its end.
        self.oversized = oversized
        #: The body did not arrive in time.
        self.stalled = stalled
        #: The body could not be read: invalid chunking or Content-Encoding.
        self.broken = broken
        self.form = form
        #: Of a multipart body for an operation that takes one.
        self.fields = fields
        #: The JSON of the body, where it has been parsed already; None where it has not, or is null.
        self.loaded: Any = None
        self._query: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of several with one name the first."""
        if self._query is None:
            self._query = {}
            if not self.query_string:
                return self._query
            for name, value in parse_qsl(well_formed(self.query_string), keep_blank_values=True):
                self._query.setdefault(name, value)
        return self._query


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An upload that the provider keeps."""

    id: str
    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class FileWanted:
    """A result file that the edge is to serve: its properties, not its content."""

    media: str
    duration_s: float
    short_side_px: int
    ratio: str
    #: Its bytes, where they are known.
    content: bytes | None = None


@dataclass(slots=True)
class Response:
    """A response. It is not frozen: the world adds the facts to what the operation has rendered."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    file: FileWanted | StoredFile | None = None
    #: The gate, or the operation's role, that refused the request; None where it was accepted.
    gate: str | None = None
    error: str | None = None
    #: How long the limit that refused the request lasts, whether or not the client is told.
    wait_ms: int | None = None
    operation: str | None = None
    task_id: str | None = None
    account_id: str | None = None
    #: The names of the faults that changed it.
    faults: tuple[str, ...] = ()
    #: What else the journal's record says, by the names of its optional fields.
    remarks: Mapping[str, Any] | None = None
