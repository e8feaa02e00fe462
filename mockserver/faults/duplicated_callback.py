"""A callback that is delivered more than once."""

from dataclasses import dataclass, replace

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class DuplicatedCallback(Fault):
    family = "callbacks"
    effect = "The same callback is sent again, as a separate delivery."
    symptom = "The handler does its work again for each copy."
    exercised_with = tuple(
        Exercise(f"callback duplicated: x{copies}", {"copies": copies}, callbacks=True) for copies in (1, 3)
    )

    copies: int = parameter(1, "The number of additional copies.", least=1, most=100)
    gap_s: float = parameter(1.0, "The time between two copies.", "seconds of mock time")

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        return [
            replace(delivery, due_ms=delivery.due_ms + round(self.gap_s * 1000 * number), id="", attempts=[])
            if number
            else delivery
            for delivery in deliveries
            for number in range(self.copies + 1)
        ]
