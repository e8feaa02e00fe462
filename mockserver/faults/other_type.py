"""A field of another type than documented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from mockserver.engine.faults import Fault
from mockserver.faults.tools.json_edit import edited, leaves, place_of, put_at, value_at
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.operations import Reply
    from mockserver.engine.scope import Scope


@dataclass(frozen=True)
class OtherType(Fault):
    """A field of another type than documented."""

    family: ClassVar[str] = "meaning"
    breaks: ClassVar[str] = (
        "One field of the answer has another type: numbers and truths become texts, texts become lists, "
        "lists and objects are wrapped in an object."
    )
    notice: ClassVar[str] = "A client that trusts the schema fails where it uses the field."

    field: str = parameter("", "JSON pointer to the field, as /data/status; empty is one that is drawn.")

    def answered(self, strike: Strike, scope: Scope, reply: Reply) -> Reply | None:
        """Put another type there."""

        def edit(body: Any) -> Any:
            if self.field:
                place = place_of(body, self.field)
            else:
                places = [place for place, value in leaves(body) if value is not None]
                place = places[int(strike.chance() * len(places))] if places else None
            if place is None:
                return body
            value = value_at(body, place)
            return put_at(body, place, _other(value))

        return edited(reply, edit)


def _other(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    return {"value": value} if isinstance(value, list | dict) else orjson.dumps(value).decode()
