"""A callback that never comes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection


@dataclass(frozen=True)
class LostCallback(Fault):
    """A callback that never comes."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The provider thinks that it has sent the callback; it was lost on the way."
    symptom: ClassVar[str] = "A client that does not poll never learns of the end."
    client_waits_s: ClassVar[float] = 180.0
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback lost", callbacks=True),)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Lose it."""
        return [replace(each, lost=True) for each in deliveries]
