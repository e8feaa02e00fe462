"""A callback that is lost."""

from dataclasses import dataclass, replace

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection


@dataclass(frozen=True)
class LostCallback(Fault):
    family = "callbacks"
    effect = "The callback is lost in transit; the provider does not resend it."
    symptom = "A client that does not poll never learns that the task has ended."
    client_waits_s = 180.0
    exercised_with = (Exercise("callback lost", callbacks=True),)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        return [replace(each, lost=True) for each in deliveries]
