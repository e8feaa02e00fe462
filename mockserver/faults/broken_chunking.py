"""Chunked transfer coding that is not well-formed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.outgoing import Outgoing


@dataclass(frozen=True)
class BrokenChunking(Fault):
    """Chunked transfer coding that is not well-formed."""

    family: ClassVar[str] = "transport"
    breaks: ClassVar[str] = "The body is sent in chunks, and the second chunk's size is no number."
    notice: ClassVar[str] = "The HTTP library fails while it reads the body."

    def sent(self, strike: Strike, outgoing: Outgoing) -> bool | None:
        """Write one good chunk, then a bad one."""
        if not outgoing.sent_body():
            return None
        half = outgoing.body[: max(1, len(outgoing.body) // 2)]
        outgoing.set_header("Content-Length", None)
        outgoing.set_header("Transfer-Encoding", "chunked")
        outgoing.body = b"%x\r\n%b\r\nnot-a-size\r\n" % (len(half), half)
        outgoing.end("close")
        return True
