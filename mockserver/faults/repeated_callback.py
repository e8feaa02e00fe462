"""A callback that is sent again after it was acknowledged."""

from dataclasses import dataclass, replace

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class RepeatedCallback(Fault):
    family = "callbacks"
    effect = "The acknowledgement is lost, so the provider retries."
    symptom = "The handler does its work again for each attempt."
    exercised_with = (Exercise("callback sent again although acknowledged", callbacks=True),)

    unheard: int = parameter(1, "How many acknowledgements are lost.", least=1, most=100)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        return [replace(each, unheard=self.unheard) for each in deliveries]
