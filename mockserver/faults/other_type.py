"""A field of another type than documented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.json_edit import edited, leaves, place_of, put_at, value_at
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class OtherType(Fault):
    """A field of another type than documented."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = (
        "One field of the answer has another type: numbers and truths become texts, texts become lists, "
        "lists and objects are wrapped in an object."
    )
    symptom: ClassVar[str] = "A client that trusts the schema fails where it uses the field."
    hides_result: ClassVar[bool] = True
    withholds_links: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("field of another type", operation="query", times=1),)

    field: str = parameter("", "JSON pointer to the field, as /data/status; empty is one that is drawn.")

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        """Put another type there."""

        def edit(body: Any) -> Any:
            if self.field:
                place = place_of(body, self.field)
            else:
                places = [place for place, value in leaves(body) if value is not None]
                place = places[int(injection.chance() * len(places))] if places else None
            if place is None:
                return body
            value = value_at(body, place)
            return put_at(body, place, _other(value))

        return edited(response, edit)


def _other(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    return {"value": value} if isinstance(value, list | dict) else orjson.dumps(value).decode()
