"""A download that comes slowly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Role


@dataclass(frozen=True)
class SlowFile(Fault):
    """A download that comes slowly."""

    family: ClassVar[str] = "results"
    effect: ClassVar[str] = "The file comes slowly."
    symptom: ClassVar[str] = "The link may expire, or a timeout for the whole call end it, before the file is there."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("file slow", {"bytes_per_s": 40_000.0}),)

    bytes_per_s: float = parameter(20_000.0, "Pace of the file.", "bytes a second of wall time", least=1, most=1e9)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Slow the file down."""
        if not transmission.is_file or not transmission.sent_body():
            return None
        transmission.bytes_per_s = min(self.bytes_per_s, transmission.bytes_per_s or self.bytes_per_s)
        return True
