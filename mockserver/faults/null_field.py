"""A field that is null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.json_edit import edited, leaves, place_of, put_at
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.operations import Reply
    from mockserver.engine.scope import Scope


@dataclass(frozen=True)
class NullField(Fault):
    """A field that is null."""

    family: ClassVar[str] = "meaning"
    breaks: ClassVar[str] = "One field of the answer is null."
    notice: ClassVar[str] = "A client that trusts the schema fails where it uses the field."

    field: str = parameter("", "JSON pointer to the field, as /data/status; empty is one that is drawn.")

    def answered(self, strike: Strike, scope: Scope, reply: Reply) -> Reply | None:
        """Put null there."""

        def edit(body: Any) -> Any:
            if self.field:
                place = place_of(body, self.field)
            else:
                places = [place for place, value in leaves(body) if value is not None]
                place = places[int(strike.chance() * len(places))] if places else None
            if place is None:
                return body

            return put_at(body, place, None)

        return edited(reply, edit)
