"""Serves the live page under /__admin/ui, and streams events to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from mockserver.edge.access import RefusedError
from mockserver.edge.admin.api import AdminRequest, Content, Handler, not_found
from mockserver.edge.live.feed import ChangeFeed
from mockserver.edge.sessions import SessionError

PERIOD_S = 0.2
PING_AFTER_S = 15.0

_FOLDER = Path(__file__).with_name("ui")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
_STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Server": "mockserver",
}
_RECONNECT = b"retry: 1000\n\n"
_PING = b": ping\n\n"


@cache
def page_files() -> Mapping[str, Content]:
    """Return the files of the page by name; they are read when the first is requested."""
    return {
        path.name: Content(f"{_TYPES[path.suffix]}; charset=utf-8", path.read_bytes(), _PAGE_HEADERS)
        for path in sorted(_FOLDER.iterdir())
        if path.suffix in _TYPES
    }


class LivePage:
    """The live page of one server, and its open event streams. `handlers` are its operations."""

    def __init__(self) -> None:
        self._closing = asyncio.Event()
        self._writing: set[asyncio.Transport] = set()
        self.handlers: Mapping[str, Handler] = {
            "livePage": self._page,
            "livePageInFolder": self._page_in_folder,
            "liveFile": self._file,
            "events": self._events,
        }

    def close(self) -> None:
        """End every stream; abort the connections of clients that do not read."""
        self._closing.set()
        for transport in list(self._writing):
            transport.abort()

    async def _page(self, _request: AdminRequest) -> Content:
        """Return the page for /ui, whose files are one level down."""
        page = page_files()["index.html"]
        return page._replace(content=page.content.replace(b'="./', b'="./ui/'))

    async def _page_in_folder(self, _request: AdminRequest) -> Content:
        """Return the page for /ui/."""
        return page_files()["index.html"]

    async def _file(self, request: AdminRequest) -> Content:
        """Return a script or style sheet of the page."""
        name = request.parameters["file"]
        file = None if name == "index.html" else page_files().get(name)
        if file is None:
            raise not_found("file", name)
        return file

    async def _events(self, request: AdminRequest) -> web.StreamResponse:
        """Stream a snapshot, then what changes, until the client disconnects or the server stops."""
        session = request.parameters["session"]
        try:
            runtime = request.runtime if session is None else request.sessions.get(session)
        except SessionError as error:
            raise RefusedError(400, "invalid_parameter", f"session: {error}") from None
        response = web.StreamResponse(headers=_STREAM_HEADERS)
        with contextlib.suppress(ConnectionError):
            await response.prepare(request.http)
            await response.write(_RECONNECT)
            await self._stream(request, response, ChangeFeed(runtime))
        return response

    async def _stream(self, request: AdminRequest, response: web.StreamResponse, feed: ChangeFeed) -> None:
        http, runtime = request.http, feed.runtime
        seconds = asyncio.get_running_loop().time
        sent_at_s = seconds()
        while not (self._closing.is_set() or runtime.closed or http.transport is None or http.transport.is_closing()):
            events = b"".join(_event(name, data) for name, data in feed.events())
            if not events and seconds() - sent_at_s >= PING_AFTER_S:
                events = _PING
            if events:
                request.sessions.touch(runtime)
                transport = http.transport
                self._writing.add(transport)
                try:
                    await response.write(events)
                finally:
                    self._writing.discard(transport)
                sent_at_s = seconds()
            if request.parameters["once"] == "true":
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), PERIOD_S)


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
