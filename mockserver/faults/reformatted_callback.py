"""A callback whose JSON is formatted in another way."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import with_body
from mockserver.faults.support.parameters import parameter

_WRITERS: dict[str, Callable[[Any], str]] = {
    "indented": lambda value: json.dumps(value, indent=2, ensure_ascii=False) + "\n",
    "escaped": lambda value: json.dumps(value, separators=(",", ":")).replace("/", "\\/").replace(":", " : ", 1),
    "reordered": lambda value: json.dumps(_reversed(value), ensure_ascii=False, separators=(", ", " : ")),
}


@dataclass(frozen=True)
class ReformattedCallback(Fault):
    family = "callbacks"
    effect = "The callback's JSON has other spaces, escapes or order of keys; it is valid, and signed correctly."
    symptom = "A handler that checks the signature of re-serialised JSON refuses a valid callback."
    signs_again = True
    reformats_callback = True
    exercised_with = tuple(
        Exercise(f"callback formatted otherwise: {style}", {"style": style}, callbacks=True) for style in _WRITERS
    )

    style: str = parameter("indented", "How the JSON is written.", choices=tuple(_WRITERS))

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        write = _WRITERS[self.style]
        try:
            written = {each.body: write(json.loads(each.body)).encode() for each in deliveries}
        except ValueError:
            return None
        return with_body(deliveries, lambda body: written[body])


def _reversed(value: Any) -> Any:
    """Reverse the order of the keys of every object."""
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    return [_reversed(each) for each in value] if isinstance(value, list) else value
