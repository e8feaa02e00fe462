"""A callback signed with the previous secret."""

from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import old_key, with_signing
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class OldSecret(Fault):
    family = "callbacks"
    effect = "The signature is computed with a secret that is no longer valid."
    symptom = "A handler that still accepts old secrets accepts a forged callback."
    needs_signature = True
    forges_signature = True
    exercised_with = (Exercise("callback forged: old secret", times=1, callbacks=True),)

    secret: str = parameter("", "The old secret; empty: the account's previous one, or one that was never valid.")

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        return with_signing(
            deliveries, lambda each, signing: signing._replace(other_keys=(old_key(each, signing, self.secret),))
        )
