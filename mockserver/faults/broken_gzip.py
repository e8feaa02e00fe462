"""A gzip body with damaged data."""

import gzip
from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission


@dataclass(frozen=True)
class BrokenGzip(Fault):
    family = "transport"
    effect = "The body is gzip-compressed and corrupted in the middle; the lengths are correct."
    symptom = "The HTTP library fails while it decompresses the body."
    breaks_answer = True
    exercised_with = (Exercise("invalid gzip", operation="query", times=1),)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        if not transmission.sent_body():
            return None
        packed = bytearray(gzip.compress(transmission.body, mtime=0))
        middle = len(packed) // 2
        for index in range(middle, min(middle + 8, len(packed))):
            packed[index] ^= 0xFF
        transmission.set_header("Content-Encoding", "gzip")
        transmission.set_body(bytes(packed))
        return True
