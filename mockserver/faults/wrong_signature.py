"""A callback with a wrong signature."""

from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import secret_of, signed, with_signature


@dataclass(frozen=True)
class WrongSignature(Fault):
    family = "callbacks"
    effect = "The signature is well-formed but wrong."
    symptom = "A handler that does not verify it accepts a forged callback."
    needs_signature = True
    forges_signature = True
    exercised_with = (Exercise("callback forged: wrong signature", times=1, callbacks=True),)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        return with_signature(deliveries, lambda each, _value: signed(each, secret=f"forged {secret_of(each)}"))
