"""A callback with an undocumented event."""

from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.events import of_unknown_event
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class UnknownEvent(Fault):
    family = "callbacks"
    effect = "Another callback is sent first, with an unknown event and status."
    symptom = "A handler that knows only the documented events rejects it, or treats it as an end."
    undocumented = True
    adds_unknown_event = True
    signs_again = True
    exercised_with = (Exercise("callback of an unknown event", callbacks=True),)

    word: str = parameter("reviewing", "The unknown name of the event and the status.")

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Add the callback."""
        unknown = of_unknown_event(deliveries[0], injection, context, self.word)
        return None if unknown is None else [*unknown, *deliveries]
