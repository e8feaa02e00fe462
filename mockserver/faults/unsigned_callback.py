"""A callback without its signature."""

from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import with_signing


@dataclass(frozen=True)
class UnsignedCallback(Fault):
    family = "callbacks"
    effect = "The signature header is missing."
    symptom = "A handler that accepts unsigned callbacks accepts forged ones."
    needs_signature = True
    forges_signature = True
    exercised_with = (Exercise("callback forged: unsigned", times=1, callbacks=True),)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        return with_signing(deliveries, lambda _each, _signing: None)
