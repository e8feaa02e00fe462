"""A field that is null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.json_edit import edited, leaves, place_of, put_at
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class NullField(Fault):
    """A field that is null."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "One field of the answer is null."
    symptom: ClassVar[str] = "A client that trusts the schema fails where it uses the field."
    hides_result: ClassVar[bool] = True
    withholds_links: ClassVar[bool] = True

    field: str = parameter("", "JSON pointer to the field, as /data/status; empty is one that is drawn.")

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        """Put null there."""

        def edit(body: Any) -> Any:
            if self.field:
                place = place_of(body, self.field)
            else:
                places = [place for place, value in leaves(body) if value is not None]
                place = places[int(injection.chance() * len(places))] if places else None
            if place is None:
                return body

            return put_at(body, place, None)

        return edited(response, edit)
