"""A callback without its signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import with_signature


@dataclass(frozen=True)
class UnsignedCallback(Fault):
    """A callback without its signature."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The signature's header is missing."
    symptom: ClassVar[str] = "A handler that takes unsigned callbacks accepts forged ones."
    needs_signature: ClassVar[bool] = True
    forges_signature: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback forged: unsigned", times=1, callbacks=True),)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Leave the header out."""
        return with_signature(deliveries, lambda _each, _value: None)
