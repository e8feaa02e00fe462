"""A callback that is not JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import with_body


@dataclass(frozen=True)
class CallbackNotJson(Fault):
    """A callback that is not JSON."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The body is a form, though Content-Type says JSON; the signature fits it."
    symptom: ClassVar[str] = "Reading it as JSON fails."
    corrupts_callback: ClassVar[bool] = True
    signs_again: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback not JSON", times=1, callbacks=True),)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Send something else."""
        return with_body(deliveries, lambda _body: b"status=done&ok=1")
