"""A late callback."""

from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import later
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class LateCallback(Fault):
    family = "callbacks"
    effect = "The callback is sent some time after the task has ended."
    symptom = "A client that relies on callbacks alone waits for a long time."
    exercised_with = (Exercise("callback late", {"by_s": 900.0}, callbacks=True),)

    by_s: float = parameter(600.0, "The delay.", "seconds of mock time")

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        return later(deliveries, self.by_s)
