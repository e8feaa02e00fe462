"""A wait before the answer: fixed, drawn, or growing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter

#: No answer waits longer than this, however much it has grown.
LONGEST_S = 3600.0


@dataclass(frozen=True)
class Latency(Fault):
    """A wait before the answer: fixed, drawn, or growing."""

    family: ClassVar[str] = "transport"
    effect: ClassVar[str] = "Every answer comes later."
    symptom: ClassVar[str] = "Calls take longer; a client's own timeout may end them."
    delays_answer: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (
        Exercise("submit slow", {"seconds": 8.0}, "submit"),
        Exercise("query slow", {"seconds": 8.0}, "query"),
    )

    seconds: float = parameter(1.0, "What every answer waits.", "seconds of wall time", most=3600)
    spread_s: float = parameter(0.0, "What is drawn from 0 to this, and added.", "seconds of wall time", most=3600)
    growth_s: float = parameter(0.0, "What is added for every answer before.", "seconds of wall time", most=3600)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Wait first."""
        wait_s = self.seconds + self.spread_s * injection.chance() + self.growth_s * (injection.number - 1)
        transmission.wait_s += min(wait_s, LONGEST_S)
        return wait_s > 0 or self.growth_s > 0
