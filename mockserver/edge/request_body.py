"""Reads request bodies: at most the size that the operation accepts, and for a limited time."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import hdrs, web

from mockserver.edge.multipart import MalformedError, Part, parts_of
from mockserver.engine.messages import Form

_TOKEN = re.compile(r"[\w!#$&^.+-]{1,60}/[\w!#$&^.+-]{1,60}", re.ASCII)
_FILE_NAME = re.compile(r"[^\w.-]+", re.ASCII)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CODING = hdrs.CONTENT_ENCODING
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32


class Body(NamedTuple):
    """A body; `oversized`, `stalled` and `broken` (such as invalid chunking) say why it is incomplete."""

    content: bytes = b""
    oversized: bool = False
    stalled: bool = False
    broken: bool = False
    #: It is complete, but cannot be decoded as its Content-Encoding says.
    unreadable: bool = False

    @property
    def cut_short(self) -> bool:
        """Whether the rest may still arrive, so that the connection cannot be used again."""
        return self.oversized or self.stalled or self.broken


async def read_body(request: web.BaseRequest, max_bytes: int, timeout_s: float) -> Body:
    """Read a body of at most `max_bytes`, waiting for it for at most `timeout_s` of wall time."""
    body = await read_as_sent(request, max_bytes, timeout_s)
    coding = request.headers.get(_CODING)
    return body if coding is None or not body.content else decoded(body.content, coding, max_bytes)


def send_continue(request: web.BaseRequest) -> None:
    """Tell a client to go on that waits for that before it sends the body."""
    expects = request.headers.get("Expect", "").lower() == "100-continue" and request.version.minor
    if expects and request.transport is not None:
        request.transport.write(_CONTINUE)


async def read_as_sent(request: web.BaseRequest, max_bytes: int, timeout_s: float) -> Body:
    """Read a body in the same way, and leave it encoded as it is."""
    length = request.content_length
    if length is not None and length > max_bytes:
        return Body(oversized=True)
    send_continue(request)
    content_so_far = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while chunk := await request.content.readany():
                content_so_far += chunk
                if len(content_so_far) > max_bytes:
                    return Body(oversized=True)
    except TimeoutError:
        return Body(stalled=True)
    except web.PayloadAccessError:
        return Body(stalled=True)
    except web.RequestPayloadError:
        return Body(broken=True)
    except RuntimeError:  # raised by aiohttp for reading from a closed connection
        if request.transport is not None:
            raise
        raise ConnectionResetError("the client has gone") from None
    return Body(bytes(content_so_far))


def decoded(content: bytes, coding: str, max_bytes: int) -> Body:
    """Decode gzip or deflate, to at most `max_bytes`; `unreadable` where it is another coding, or none."""
    coding = coding.strip().lower()
    if coding == "identity":
        return Body(content)
    if coding not in ("gzip", "x-gzip", "deflate"):
        return Body(unreadable=True)
    inflater = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        plain = inflater.decompress(content, max_bytes + 1)
    except zlib.error:
        return Body(unreadable=True)
    if len(plain) > max_bytes:
        return Body(oversized=True)
    return Body(plain) if inflater.eof and not inflater.unused_data else Body(unreadable=True)


def read_form(body: bytes, headers: Mapping[str, str], field: str, max_bytes: int) -> Form | None:
    """Find the file in a multipart body; None where the body is not multipart."""
    content_type = headers.get("Content-Type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        return None
    try:
        part = next((part for part in parts_of(body, content_type) if part.name == field), None)
        return Form(problem=f"{field}: is required") if part is None else _file_in(part, field, max_bytes)
    except MalformedError as error:
        return Form(problem=f"the body is not well-formed multipart/form-data: {error}")


def _file_in(part: Part, field: str, max_bytes: int) -> Form:
    content = part.decoded()
    coding = part.headers.get(_CODING)
    body = Body(content) if coding is None else decoded(content, coding, max_bytes)
    if body.oversized or len(content) > max_bytes:
        return Form(problem=f"{field}: the file is larger than {max_bytes} bytes")
    if body.unreadable:
        raise MalformedError("a part is not encoded as its Content-Encoding says")
    if not body.content:
        return Form(problem=f"{field}: the file is empty")
    media_type = part.headers.get("Content-Type", "application/octet-stream").partition(";")[0].strip().lower()
    if not _TOKEN.fullmatch(media_type):
        return Form(problem=f"{field}: its Content-Type is not a media type")
    name = _FILE_NAME.sub("_", part.file_name or "upload").strip("._")[-80:] or "upload"
    return Form(body.content, media_type, name)
