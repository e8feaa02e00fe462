"""Answers as bytes: the status line, the headers and the body, written at once.

aiohttp's own response objects build a header dictionary for each answer; ours are known bytes for the
most part. `WireResponse` is what aiohttp's protocol asks of a response and nothing else. It also lets an
answer carry what those objects would refuse, such as status 455.
"""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES = {
    status: f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unassigned')}\r\n".encode() for status in range(100, 1000)
}
_CLOSE = b"Connection: close\r\n"
_NO_BODY = frozenset((204, 304))


class WireResponse:
    """An answer that is already bytes."""

    __slots__ = ("_content", "keep_alive", "status")

    def __init__(self, status: int, content: bytes, *, keep_alive: bool) -> None:
        self.status = status
        self.keep_alive = keep_alive
        self._content = content

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write the answer; aiohttp calls this once."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        transport.write(self._content)
        await request.protocol._drain_helper()  # noqa: SLF001 - what aiohttp's own writer waits for

    async def write_eof(self) -> None:
        """Do nothing: everything has been written."""


def wire_response(
    request: web.BaseRequest,
    status: int,
    headers: Iterable[tuple[str, str]],
    content_type: str,
    body: bytes,
    date: bytes,
    *,
    close: bool = False,
) -> web.StreamResponse:
    """Make an answer; to HEAD its body stays behind, its length does not."""
    keep_alive = request.keep_alive and not close
    head = "".join([f"{name}: {value}\r\n" for name, value in headers])
    parts = [
        _STATUS_LINES[status],
        b""
        if status in _NO_BODY
        else f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n".encode("latin-1"),
        head.encode("latin-1", "replace"),
        date,
        b"\r\n" if keep_alive and request.version.minor else _CLOSE + b"\r\n",
        b"" if request.method == "HEAD" or status in _NO_BODY else body,
    ]
    response = WireResponse(status, b"".join(parts), keep_alive=keep_alive and bool(request.version.minor))
    return cast("web.StreamResponse", response)


class DateHeader:
    """The Date header, in mock time; written once a second."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._line = b""

    def line(self, now_ms: int) -> bytes:
        """Return the header's line for an instant."""
        second = now_ms // 1000
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._line
