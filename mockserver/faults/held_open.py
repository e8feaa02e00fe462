"""A connection that is held open without a response."""

from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class HeldOpen(Fault):
    family = "transport"
    effect = "The request is carried out but not answered; after a time the connection is closed."
    symptom = "The call hangs until the client's own timeout."
    breaks_answer = True
    delays_answer = True
    withholds_answer = True
    client_waits_s = 60.0
    exercised_with = (
        Exercise("poll held open", {"seconds": 400.0}, "query", 1),
        Exercise("poll held open for an hour", {"seconds": 3600.0}, "query", 1),
        Exercise("submit held open for an hour", {"seconds": 3600.0}, "submit", 1),
    )

    seconds: float = parameter(60.0, "How long the connection is held open.", "seconds of wall time", most=3600)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        transmission.cut(head_bytes=0)
        transmission.hold_s = max(transmission.hold_s, self.seconds)
        transmission.end("close")
        return True
