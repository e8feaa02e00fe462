"""Makes callbacks of unknown events."""

from dataclasses import replace
from typing import Any

import orjson

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Injection
from mockserver.engine.render import callback_id_of, contrary_callback_body
from mockserver.faults.support.deliveries import with_body
from mockserver.faults.support.json_edit import mapped


def of_unknown_event(
    delivery: Delivery, injection: Injection, context: RequestContext, word: str
) -> list[Delivery] | None:
    """Make a callback of an unknown event from that of a task's end.

    The new name replaces the values that differ between one end and the other. None where that changes nothing, or
    where another fault has made the body unreadable.
    """
    task = injection.match_context.task
    contrary = None if task is None else contrary_callback_body(context.state, task)
    try:
        body = orjson.loads(delivery.body)
    except orjson.JSONDecodeError:
        return None
    new = _reworded(body, None if contrary is None else orjson.loads(contrary), delivery.event, word)
    if new == body:
        return None
    new_id = callback_id_of(context.state, task, word) if task is not None else ""
    new = mapped(new, lambda value: new_id if value == delivery.callback_id else value)
    content = orjson.dumps(new)
    return with_body([replace(delivery, id="", attempts=[], callback_id=new_id)], lambda _body: content)


def _reworded(value: Any, contrary: Any, end: str, word: str) -> Any:
    """Replace the name of the end, and each string that differs in the callback of the contrary end."""
    if isinstance(value, dict):
        others = contrary if isinstance(contrary, dict) else {}
        return {key: _reworded(each, others.get(key), end, word) for key, each in value.items()}
    another = isinstance(value, str) and isinstance(contrary, str) and value != contrary
    return word if another or value == end else value
