"""A callback with a wrong signature."""

from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.signing import Signing, forged_key
from mockserver.faults.support.deliveries import with_signing


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
        def forged(_each: Delivery, signing: Signing) -> Signing:
            return signing._replace(other_keys=tuple(forged_key(signing.rule, key) for key in signing.keys))

        return with_signing(deliveries, forged)
