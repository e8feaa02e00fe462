"""A callback whose signature has another length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import with_signature
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class SignatureLength(Fault):
    """A callback whose signature has another length."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The signature is cut short, or too long."
    symptom: ClassVar[str] = (
        "A handler that compares in constant time without looking at the length first may fail with an exception."
    )
    needs_signature: ClassVar[bool] = True
    forges_signature: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (
        Exercise("callback forged: short signature", times=1, callbacks=True),
        Exercise("callback forged: long signature", {"characters": 80}, times=1, callbacks=True),
    )

    characters: int = parameter(10, "How long it is.", "characters", most=1000)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Cut the signature, or fill it up."""
        return with_signature(deliveries, lambda _each, value: value[: self.characters].ljust(self.characters, "0"))
