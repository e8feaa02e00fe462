"""A callback with an undocumented event."""

from dataclasses import dataclass, replace
from typing import Any

import orjson

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.render import contrary_callback_body
from mockserver.faults.support.deliveries import with_body
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
        """Add the callback; the new name replaces the values that differ between one end and the other."""
        first = deliveries[0]
        task = injection.match_context.task
        contrary = None if task is None else contrary_callback_body(context.state, task)
        body = orjson.loads(first.body)
        new = _reworded(body, None if contrary is None else orjson.loads(contrary), first.event, self.word)
        if new == body:
            return None
        body = orjson.dumps(new)
        return [*with_body([replace(first, id="", attempts=[])], lambda _body: body), *deliveries]


def _reworded(value: Any, contrary: Any, end: str, word: str) -> Any:
    """Replace the name of the end, and each string that differs in the callback of the contrary end."""
    if isinstance(value, dict):
        others = contrary if isinstance(contrary, dict) else {}
        return {key: _reworded(each, others.get(key), end, word) for key, each in value.items()}
    another = isinstance(value, str) and isinstance(contrary, str) and value != contrary
    return word if another or value == end else value
