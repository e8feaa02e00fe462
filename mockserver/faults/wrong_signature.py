"""A callback with a signature that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Exercise, Fault
from mockserver.faults.support.deliveries import secret_of, signed, with_signature

if TYPE_CHECKING:
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.faults import Injection


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

    def alter_deliveries(self, injection: Injection, deliveries: list[Delivery]) -> list[Delivery] | None:
        """Sign with a secret that nobody has."""
        return with_signature(deliveries, lambda each, _value: signed(each, secret=f"forged {secret_of(each)}"))
