"""A callback that is tried again although it was acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class RepeatedCallback(Fault):
    """A callback that is tried again although it was acknowledged."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The acknowledgement is not heard: the next attempts are made all the same."
    symptom: ClassVar[str] = "Work that the handler does for each call is done again."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (
        Exercise("callback sent again although acknowledged", callbacks=True),
    )

    unheard: int = parameter(1, "How many acknowledgements are not heard.", least=1, most=100)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Let acknowledgements be overheard."""
        return [replace(each, unheard=self.unheard) for each in deliveries]
