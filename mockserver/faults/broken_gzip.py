"""A body that says it is gzip, and is not whole."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.outgoing import Outgoing


@dataclass(frozen=True)
class BrokenGzip(Fault):
    """A body that says it is gzip, and is not whole."""

    family: ClassVar[str] = "transport"
    breaks: ClassVar[str] = "The body is compressed, and damaged in the middle; the lengths are right."
    notice: ClassVar[str] = "The HTTP library fails while it decompresses the body."

    def sent(self, strike: Strike, outgoing: Outgoing) -> bool | None:
        """Compress the body, and damage it."""
        if not outgoing.sent_body():
            return None
        packed = bytearray(gzip.compress(outgoing.body, mtime=0))
        middle = len(packed) // 2
        for index in range(middle, min(middle + 8, len(packed))):
            packed[index] ^= 0xFF
        outgoing.set_header("Content-Encoding", "gzip")
        outgoing.set_body(bytes(packed))
        return True
