"""A callback that comes late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import later
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class LateCallback(Fault):
    """A callback that comes late."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The callback is sent some time after the task has ended."
    symptom: ClassVar[str] = "A client that waits for the callback alone waits long."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback late", {"by_s": 900.0}, callbacks=True),)

    by_s: float = parameter(600.0, "How late it comes.", "seconds of mock time")

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Put it off."""
        return later(deliveries, self.by_s)
