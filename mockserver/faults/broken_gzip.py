"""A body that says it is gzip, and is not whole."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission


@dataclass(frozen=True)
class BrokenGzip(Fault):
    """A body that says it is gzip, and is not whole."""

    family: ClassVar[str] = "transport"
    effect: ClassVar[str] = "The body is compressed, and damaged in the middle; the lengths are right."
    symptom: ClassVar[str] = "The HTTP library fails while it decompresses the body."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("invalid gzip", operation="query", times=1),)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Compress the body, and damage it."""
        if not transmission.sent_body():
            return None
        packed = bytearray(gzip.compress(transmission.body, mtime=0))
        middle = len(packed) // 2
        for index in range(middle, min(middle + 8, len(packed))):
            packed[index] ^= 0xFF
        transmission.set_header("Content-Encoding", "gzip")
        transmission.set_body(bytes(packed))
        return True
