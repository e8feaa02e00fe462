"""A callback whose signature has the wrong length."""

from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import with_signing
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class SignatureLength(Fault):
    family = "callbacks"
    effect = "The signature is too short or too long."
    symptom = "A handler that compares without checking the length first may raise an exception."
    needs_signature = True
    forges_signature = True
    exercised_with = (
        Exercise("callback forged: short signature", times=1, callbacks=True),
        Exercise("callback forged: long signature", {"characters": 80}, times=1, callbacks=True),
    )

    characters: int = parameter(10, "The length.", "characters", most=1000)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        return with_signing(deliveries, lambda _each, signing: signing._replace(characters=self.characters))
