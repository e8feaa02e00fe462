"""Result files: served with ranges, ETag and conditions by aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING

from aiohttp import hdrs, web
from multidict import CIMultiDict

from mockserver.clock import http_date
from mockserver.engine.context import shape_of_file
from mockserver.engine.messages import FileWanted, Response
from mockserver.engine.transmission import Transmission
from mockserver.media.cache import MediaCache
from mockserver.media.encode import MediaCacheClosedError

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter


class ResultFiles:
    """The result files of one server."""

    def __init__(self, media_cache: MediaCache) -> None:
        self._media_cache = media_cache

    async def response(
        self, response: Response, wanted: FileWanted, now_ms: int, when_known: Callable[[web.StreamResponse], None]
    ) -> web.StreamResponse:
        """Return the response of aiohttp that serves a file; `when_known` is called when its head is known."""
        answer = _ReportedFile(await self._path(wanted), headers=_headers(response, now_ms))
        answer.when_known = when_known
        return answer

    async def transmission(
        self, http_request: web.BaseRequest, response: Response, wanted: FileWanted, now_ms: int
    ) -> Transmission:
        """Return what would be sent of a file, with the request's Range and conditions applied."""
        path = await self._path(wanted)
        prepared = _UnsentFile(path, headers=_headers(response, now_ms))
        await prepared.prepare(http_request)
        file = await asyncio.to_thread(path.read_bytes)
        headers = [(name, value) for name, value in prepared.headers.items() if name != hdrs.CONNECTION]
        start, stop = prepared.part
        return Transmission(prepared.status, headers, file[start:stop], file=file)

    async def _path(self, wanted: FileWanted) -> Path:
        try:
            return await self._media_cache.file(shape_of_file(wanted))
        except MediaCacheClosedError:
            raise ConnectionResetError("the server is being closed") from None


def _headers(response: Response, now_ms: int) -> dict[str, str]:
    return {
        "Content-Type": response.content_type,
        **dict(response.headers),
        "Date": http_date(now_ms // 1000),
        "Server": "mockserver",
    }


def _range(asked: str, size_bytes: int) -> str | None:
    """Return a range as aiohttp is to read it; None for what is ignored: another unit, several ranges."""
    unit, _, ranges = asked.partition("=")
    if unit.strip().lower() != "bytes" or "," in ranges:
        return None
    last = ranges.strip()
    if len(last) > 1 and last.startswith("-") and not last[1:].strip("0"):
        return f"bytes={size_bytes}-"  # the last 0 bytes: no such range
    return f"bytes={last}"


def _is_date(text: str) -> bool:
    """Tell whether a text is an HTTP date."""
    try:
        return parsedate_to_datetime(text) is not None
    except (TypeError, ValueError, IndexError, OverflowError):
        return False


class _File(web.FileResponse):
    """A file; a range that cannot be served is answered without a body."""

    async def prepare(self, http_request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it: the part that is asked for, or the whole file where RFC 9110 has the range ignored."""
        asked = http_request.headers.get(hdrs.RANGE)
        if asked is not None:
            found = await asyncio.to_thread(self._path.stat)
            wanted = _range(asked, found.st_size)
            known = http_request.headers.get(hdrs.IF_RANGE)
            if known is not None and known != f'"{found.st_mtime_ns:x}-{found.st_size:x}"' and not _is_date(known):
                wanted = None  # another version's ETag, or no ETag and no date
            if wanted != asked:
                headers = CIMultiDict(http_request.headers)
                headers.popall(hdrs.RANGE, None)
                if wanted is not None:
                    headers[hdrs.RANGE] = wanted
                http_request = http_request.clone(headers=headers)
        return await super().prepare(http_request)

    async def _prepare_headers(self) -> None:
        if self.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self.content_length = 0
        await super()._prepare_headers()


class _UnsentFile(_File):
    """A file whose status, headers and part are worked out, but not sent."""

    part = (0, 0)

    async def _start(self, http_request: web.BaseRequest) -> AbstractStreamWriter:
        self._req = http_request
        writer = self._payload_writer = http_request._payload_writer  # noqa: SLF001 - as aiohttp's own responses do
        await self._prepare_headers()
        return writer

    async def _sendfile(
        self,
        http_request: web.BaseRequest,
        fobj: IO[bytes],  # noqa: ARG002 - aiohttp's signature
        offset: int,
        count: int,
    ) -> AbstractStreamWriter:
        self.part = (offset, offset + count)
        return await self._start(http_request)


class _ReportedFile(_File):
    """A file that reports when its status and headers are known."""

    when_known: Callable[[web.StreamResponse], None]

    async def _start(self, http_request: web.BaseRequest) -> AbstractStreamWriter:
        self.when_known(self)
        return await super()._start(http_request)
