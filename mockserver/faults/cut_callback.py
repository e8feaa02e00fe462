"""A callback with a truncated body."""

from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import with_body
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class CutCallback(Fault):
    family = "callbacks"
    effect = "The body is truncated; the signature matches the bytes that are sent."
    symptom = "JSON parsing fails; a handler that crashes receives the callback again with each retry."
    corrupts_callback = True
    signs_again = True
    exercised_with = (Exercise("callback truncated", times=1, callbacks=True),)

    keep_fraction: float = parameter(0.5, "The part of the body that is sent.", "fraction", most=0.999)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        return with_body(deliveries, lambda body: body[: int(len(body) * self.keep_fraction)])
