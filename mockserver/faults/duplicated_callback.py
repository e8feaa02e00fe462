"""A callback that comes more than once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class DuplicatedCallback(Fault):
    """A callback that comes more than once."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The same callback is delivered again, as a delivery of its own."
    symptom: ClassVar[str] = "Work that the handler does for each callback is done twice."
    exercised_with: ClassVar[tuple[Exercise, ...]] = tuple(
        Exercise(f"callback duplicated: x{copies}", {"copies": copies}, callbacks=True) for copies in (1, 3)
    )

    copies: int = parameter(1, "How many more times it comes.", least=1, most=100)
    gap_s: float = parameter(1.0, "Between two of them.", "seconds of mock time")

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Add the copies."""
        return [
            replace(delivery, due_ms=delivery.due_ms + round(self.gap_s * 1000 * number), id="", attempts=[])
            if number
            else delivery
            for delivery in deliveries
            for number in range(self.copies + 1)
        ]
