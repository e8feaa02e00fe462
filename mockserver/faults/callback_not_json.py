"""A callback that is not JSON."""

from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import with_body


@dataclass(frozen=True)
class CallbackNotJson(Fault):
    family = "callbacks"
    effect = "The body is a URL-encoded form, but Content-Type says JSON; the signature matches the body."
    symptom = "JSON parsing fails."
    undocumented = True
    corrupts_callback = True
    signs_again = True
    exercised_with = (Exercise("callback not JSON", times=1, callbacks=True),)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        return with_body(deliveries, lambda _body: b"status=done&ok=1")
