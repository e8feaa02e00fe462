"""Reads multipart bodies that have arrived whole: a bounded number of parts, in time linear in their size."""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.message import Message
from email.parser import BytesHeaderParser
from typing import NamedTuple

from aiohttp.multipart import content_disposition_filename, parse_content_disposition

MOST_PARTS = 100
_MOST_HEAD_BYTES = 16_384
_STRAY = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")


class MalformedError(ValueError):
    """A body is not well-formed multipart; the message says what is wrong."""


class Part(NamedTuple):
    """One part: its name, its file's name, its headers, its content as it was sent."""

    name: str | None
    file_name: str | None
    headers: Message
    content: bytes

    def decoded(self) -> bytes:
        """Undo its Content-Transfer-Encoding.

        Raises:
            MalformedError: it is not encoded so.
        """
        coding = self.headers.get("Content-Transfer-Encoding", "binary").strip().lower()
        if coding in ("binary", "8bit", "7bit"):
            return self.content
        try:
            if coding == "base64":
                return binascii.a2b_base64(self.content)
            if coding == "quoted-printable":
                return quopri.decodestring(self.content)
        except binascii.Error:
            pass
        raise MalformedError("a part is not encoded as its Content-Transfer-Encoding says")


def parts_of(body: bytes, content_type: str) -> Iterator[Part]:
    """Give the parts of a body.

    Raises:
        MalformedError: it is not multipart, or has too many parts.
    """
    boundary = _boundary(content_type)
    _, *pieces = (b"\r\n" + body).split(b"\r\n--" + boundary, MOST_PARTS + 1)
    for number, piece in enumerate(pieces):
        if piece.startswith(b"--"):
            return
        if number == MOST_PARTS:
            raise MalformedError(f"more than {MOST_PARTS} parts")
        yield _part(piece)
    raise MalformedError("the body has no end")


def _boundary(content_type: str) -> bytes:
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise MalformedError("no boundary")
    return boundary.encode()


def _part(piece: bytes) -> Part:
    """Read a part: the rest of the boundary's line, the head, a blank line, the content."""
    line, _, rest = piece.partition(b"\r\n")
    head, blank, content = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if line.strip(b" \t") or not blank:
        raise MalformedError("a part has no head")
    if len(head) > _MOST_HEAD_BYTES:
        raise MalformedError("the head of a part is too long")
    if _STRAY.search(head):
        raise MalformedError("the head of a part has stray control characters")
    try:
        headers = BytesHeaderParser().parsebytes(head[2:] + b"\r\n\r\n")
        disposition = headers.get("Content-Disposition")
        _, parameters = parse_content_disposition(None if disposition is None else str(disposition))
    except (HeaderParseError, ValueError, LookupError):
        raise MalformedError("the head of a part is malformed") from None
    name = content_disposition_filename(parameters, "name")
    return Part(name, content_disposition_filename(parameters), headers, content)
