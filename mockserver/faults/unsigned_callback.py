"""A callback without its signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Exercise, Fault
from mockserver.faults.support.deliveries import with_signature

if TYPE_CHECKING:
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.faults import Injection


@dataclass(frozen=True)
class UnsignedCallback(Fault):
    """A callback without its signature."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The signature's header is missing."
    symptom: ClassVar[str] = "A handler that takes unsigned callbacks can be fooled by anybody."
    needs_signature: ClassVar[bool] = True
    forges_signature: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback forged: unsigned", times=1, callbacks=True),)

    def alter_deliveries(self, injection: Injection, deliveries: list[Delivery]) -> list[Delivery] | None:
        """Leave the header out."""
        return with_signature(deliveries, lambda _each, _value: None)
