"""A callback whose body is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import with_body
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class CutCallback(Fault):
    """A callback whose body is cut."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The body ends in the middle; the signature fits what is sent."
    symptom: ClassVar[str] = "Reading it as JSON fails; a handler that crashes is called again and again."
    corrupts_callback: ClassVar[bool] = True
    signs_again: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback truncated", times=1, callbacks=True),)

    keep_fraction: float = parameter(0.5, "How much of the body comes.", "fraction", most=0.999)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Cut the body, and sign it."""
        return with_body(deliveries, lambda body: body[: int(len(body) * self.keep_fraction)])
