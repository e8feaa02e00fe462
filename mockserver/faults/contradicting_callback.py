"""A callback that tells of another end than the query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Exercise, Fault
from mockserver.engine.world import contrary_body
from mockserver.faults.support.deliveries import with_body

if TYPE_CHECKING:
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.faults import Injection


@dataclass(frozen=True)
class ContradictingCallback(Fault):
    """A callback that tells of another end than the query."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The callback says that the task failed where it succeeded, or the other way round."
    symptom: ClassVar[str] = "A client that believes the callback without asking has the wrong outcome."
    hides_result: ClassVar[bool] = True
    signs_again: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback contradicts the query", callbacks=True),)

    def alter_deliveries(self, injection: Injection, deliveries: list[Delivery]) -> list[Delivery] | None:
        """Tell of the other end."""
        first = deliveries[0]
        body = contrary_body(first)
        if body is None:
            return None
        return with_body(deliveries, lambda _body: body)
