"""A delay of responses: fixed, random or growing."""

from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter

#: The longest delay of a response.
LONGEST_S = 3600.0


@dataclass(frozen=True)
class Latency(Fault):
    family = "transport"
    effect = "Every response is delayed."
    symptom = "Calls take longer; the client may time out."
    delays_answer = True
    exercised_with = (
        Exercise("submit slow", {"seconds": 8.0}, "submit"),
        Exercise("query slow", {"seconds": 8.0}, "query"),
    )

    seconds: float = parameter(1.0, "The delay of every response.", "seconds of wall time", most=3600)
    spread_s: float = parameter(0.0, "The maximum random extra delay.", "seconds of wall time", most=3600)
    growth_s: float = parameter(0.0, "The extra delay for each earlier response.", "seconds of wall time", most=3600)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        wait_s = self.seconds + self.spread_s * injection.chance() + self.growth_s * (injection.number - 1)
        transmission.wait_s += min(wait_s, LONGEST_S)
        return wait_s > 0 or self.growth_s > 0
