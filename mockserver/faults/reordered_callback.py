"""Callbacks that arrive in a different order from the ends of their tasks."""

from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import later
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class ReorderedCallback(Fault):
    family = "callbacks"
    effect = "Every second callback is delayed, so that later ones overtake it."
    symptom = "A client that relies on the order mixes up its tasks."
    exercised_with = (Exercise("callbacks in another order", jobs=3, callbacks=True),)

    by_s: float = parameter(30.0, "The delay.", "seconds of mock time")

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        return later(deliveries, self.by_s) if injection.record.matches % 2 else None
