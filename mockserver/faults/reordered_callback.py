"""Callbacks that come in another order than the tasks ended in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import later
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class ReorderedCallback(Fault):
    """Callbacks that come in another order than the tasks ended in."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "Every second callback is kept back, so that later ones overtake it."
    symptom: ClassVar[str] = "A client that relies on the order mixes its tasks up."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callbacks in another order", jobs=3, callbacks=True),)

    by_s: float = parameter(30.0, "How long a callback is kept back.", "seconds of mock time")

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Keep the first, the third and so on back."""
        return later(deliveries, self.by_s) if injection.record.matches % 2 else None
