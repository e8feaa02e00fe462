"""A callback of an event that no document has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from mockserver.engine.faults import Exercise, Fault
from mockserver.engine.world import contrary_body
from mockserver.faults.support.deliveries import with_body
from mockserver.faults.support.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.faults import Injection


@dataclass(frozen=True)
class UnknownEvent(Fault):
    """A callback of an event that no document has."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "Before the callback there is another one, whose words for event and status are new."
    symptom: ClassVar[str] = "A handler that knows every word there is refuses it, or takes it for an end."
    adds_unknown_event: ClassVar[bool] = True
    signs_again: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback of an unknown event", callbacks=True),)

    word: str = parameter("reviewing", "The word that stands for the event and the status.")

    def alter_deliveries(self, injection: Injection, deliveries: list[Delivery]) -> list[Delivery] | None:
        """Add it; what tells one end from the other is where the new word goes."""
        first = deliveries[0]
        contrary = contrary_body(first)
        body = orjson.loads(first.body)
        new = _reworded(body, None if contrary is None else orjson.loads(contrary), first.event, self.word)
        if new == body:
            return None
        body = orjson.dumps(new)
        return [*with_body([replace(first, id="", attempts=[])], lambda _body: body), *deliveries]


def _reworded(value: Any, contrary: Any, end: str, word: str) -> Any:
    """Put a word in the place of the end's name, and of each text that is another one where a task ends otherwise."""
    if isinstance(value, dict):
        others = contrary if isinstance(contrary, dict) else {}
        return {key: _reworded(each, others.get(key), end, word) for key, each in value.items()}
    another = isinstance(value, str) and isinstance(contrary, str) and value != contrary
    return word if another or value == end else value
