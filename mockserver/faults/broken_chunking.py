"""Invalid chunked transfer coding."""

from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission


@dataclass(frozen=True)
class BrokenChunking(Fault):
    family = "transport"
    effect = "The body is sent in chunks, and the second chunk's size is not a number."
    symptom = "The HTTP library fails while it reads the body."
    breaks_answer = True
    exercised_with = (Exercise("invalid chunking", operation="query", times=1),)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        if not transmission.sent_body():
            return None
        half = transmission.body[: max(1, len(transmission.body) // 2)]
        transmission.set_header("Content-Length", None)
        transmission.set_header("Transfer-Encoding", "chunked")
        transmission.body = b"%x\r\n%b\r\nnot-a-size\r\n" % (len(half), half)
        transmission.end("close")
        return True
