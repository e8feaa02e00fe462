"""A body that is sent slowly."""

from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class SlowBody(Fault):
    family = "transport"
    effect = "The headers are sent at once, the body slowly."
    symptom = "A timeout for the whole call ends it; a timeout for each read does not."
    delays_answer = True
    exercised_with = (Exercise("answer arrives slowly", operation="query", times=1),)

    bytes_per_s: float = parameter(50.0, "Speed of the body.", "bytes a second of wall time", least=1, most=1e9)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Slow the body down; of two speeds, the lower one applies."""
        if not transmission.sent_body():
            return None
        transmission.bytes_per_s = min(self.bytes_per_s, transmission.bytes_per_s or self.bytes_per_s)
        return True
