"""Responses as bytes: the status line, the headers and the body, written at once.

The response objects of aiohttp build a header dictionary for each response; most of these bytes are known beforehand.
`WireResponse` has only what aiohttp's protocol needs. It can also send what aiohttp refuses, such as status 455.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from mockserver.clock import http_date

if TYPE_CHECKING:
    from aiohttp import web

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_NO_BODY = frozenset((204, 304))
_HEADS_KEPT = 4096


class WireResponse:
    """A response that is already bytes."""

    __slots__ = ("_content", "keep_alive", "status")

    def __init__(self, status: int, content: bytes, *, keep_alive: bool) -> None:
        self.status = status
        self.keep_alive = keep_alive
        self._content = content

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write the response; aiohttp calls this once."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        transport.write(self._content)
        if request.protocol.writing_paused:
            await request.writer.drain()

    async def write_eof(self) -> None:
        """Do nothing: everything has been written."""


def wire_response(
    request: web.BaseRequest,
    status: int,
    headers: Iterable[tuple[str, str]],
    content_type: str,
    body: bytes,
    date: str,
    *,
    close: bool = False,
) -> web.StreamResponse:
    """Make a response to a request of aiohttp's."""
    keep_alive = request.keep_alive and not close and request.version.minor == 1
    with_body = request.method != "HEAD"
    content = wire_bytes(status, headers, content_type, body, date, keep_alive=keep_alive, with_body=with_body)
    return cast("web.StreamResponse", WireResponse(status, content, keep_alive=keep_alive))


def wire_bytes(
    status: int,
    headers: Iterable[tuple[str, str]],
    content_type: str,
    body: bytes,
    date: str,
    *,
    keep_alive: bool = True,
    with_body: bool = True,
) -> bytes:
    """Write a response; a response to HEAD has the length of the body, but no body."""
    head = _heads.get((status, content_type)) or _head(status, content_type)
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    end = "\r\n" if keep_alive else "Connection: close\r\n\r\n"
    if status in _NO_BODY:
        return f"{head}{lines}{date}{end}".encode("latin-1", "replace")
    content = f"{head}Content-Length: {len(body)}\r\n{lines}{date}{end}".encode("latin-1", "replace")
    return content + body if with_body else content


def answer_headers(
    status: int,
    headers: Iterable[tuple[str, str]],
    content_type: str,
    body: bytes,
    date: tuple[str, str],
) -> list[tuple[str, str]]:
    """Return the headers of a response, in the order in which `wire_bytes` writes them."""
    about_body = [] if status in _NO_BODY else [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    return [*about_body, *headers, date]


def head_bytes(status: int, headers: Iterable[tuple[str, str]], *, keep_alive: bool) -> bytes:
    """Write a status line and all headers."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    end = "\r\n" if keep_alive else "Connection: close\r\n\r\n"
    return f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unassigned')}\r\n{lines}{end}".encode("latin-1", "replace")


_heads: dict[tuple[int, str], str] = {}


def _head(status: int, content_type: str) -> str:
    """Return the status line and the content type; frequent ones are written once."""
    kind = "" if status in _NO_BODY or not content_type else f"Content-Type: {content_type}\r\n"
    head = f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unassigned')}\r\n{kind}"
    if len(_heads) < _HEADS_KEPT:
        _heads[status, content_type] = head
    return head


class DateHeader:
    """The Date header, in mock time; written once a second."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._line = ""

    def line(self, now_ms: int) -> str:
        """Return the line of the header for an instant."""
        second = now_ms // 1000
        if second != self._second:
            self._second = second
            self._line = f"Date: {http_date(second)}\r\n"
        return self._line

    def pair(self, now_ms: int) -> tuple[str, str]:
        """Return the header's name and value."""
        return "Date", self.line(now_ms)[6:-2]
