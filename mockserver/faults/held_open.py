"""A connection that is held open, and on which nothing comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class HeldOpen(Fault):
    """A connection that is held open, and on which nothing comes."""

    family: ClassVar[str] = "transport"
    effect: ClassVar[str] = (
        "The request is taken, what it asks is done, and no answer comes; in the end the connection is closed."
    )
    symptom: ClassVar[str] = "The call hangs until the client's own timeout."
    delays_answer: ClassVar[bool] = True
    client_waits_s: ClassVar[float] = 60.0
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("poll held open", {"seconds": 400.0}, "query", 1),)

    seconds: float = parameter(60.0, "How long nothing comes.", "seconds of wall time", most=3600)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Send nothing, wait, close."""
        transmission.cut(head_bytes=0)
        transmission.hold_s = max(transmission.hold_s, self.seconds)
        transmission.end("close")
        return True
