"""A callback that comes late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Exercise, Fault
from mockserver.faults.support.deliveries import later
from mockserver.faults.support.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.faults import Injection


@dataclass(frozen=True)
class LateCallback(Fault):
    """A callback that comes late."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The callback is sent some time after the task has ended."
    symptom: ClassVar[str] = "A client that waits for the callback alone waits long."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback late", {"by_s": 900.0}, callbacks=True),)

    by_s: float = parameter(600.0, "How late it comes.", "seconds of mock time")

    def alter_deliveries(self, injection: Injection, deliveries: list[Delivery]) -> list[Delivery] | None:
        """Put it off."""
        return later(deliveries, self.by_s)
