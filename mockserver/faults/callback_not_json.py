"""A callback that is no JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Exercise, Fault
from mockserver.faults.support.deliveries import with_body

if TYPE_CHECKING:
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.faults import Injection


@dataclass(frozen=True)
class CallbackNotJson(Fault):
    """A callback that is no JSON."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The body is a form, though Content-Type says JSON; the signature fits it."
    symptom: ClassVar[str] = "Reading it as JSON fails."
    corrupts_callback: ClassVar[bool] = True
    signs_again: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback not JSON", times=1, callbacks=True),)

    def alter_deliveries(self, injection: Injection, deliveries: list[Delivery]) -> list[Delivery] | None:
        """Send something else."""
        return with_body(deliveries, lambda _body: b"status=done&ok=1")
