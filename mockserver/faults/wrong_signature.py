"""A callback with a signature that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import secret_of, signed, with_signature


@dataclass(frozen=True)
class WrongSignature(Fault):
    """A callback with a signature that is wrong."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The signature has the right form, and does not fit."
    symptom: ClassVar[str] = "A handler that does not check takes a forged callback."
    needs_signature: ClassVar[bool] = True
    forges_signature: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (
        Exercise("callback forged: wrong signature", times=1, callbacks=True),
    )

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Sign with an unknown secret."""
        return with_signature(deliveries, lambda each, _value: signed(each, secret=f"forged {secret_of(each)}"))
