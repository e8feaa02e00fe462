"""A body that ends before its Content-Length."""

from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class TruncatedBody(Fault):
    family = "transport"
    effect = "The connection is closed in the middle of the body, before Content-Length is reached."
    symptom = "A client that checks the length detects it; others read invalid JSON or keep part of a file."
    breaks_answer = True
    exercised_with = (
        Exercise("answer truncated", operation="query", times=1),
        Exercise("answer to the submit truncated", operation="submit", times=1),
    )

    keep_fraction: float = parameter(0.5, "The part of the body that is sent.", "fraction", most=0.999)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        if not transmission.sent_body():
            return None
        transmission.cut(body_bytes=int(len(transmission.body) * self.keep_fraction))
        transmission.end("close")
        return True
