"""Fields that no document mentions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.json_edit import edited
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.operations import Reply
    from mockserver.engine.scope import Scope


@dataclass(frozen=True)
class ExtraFields(Fault):
    """Fields that no document mentions."""

    family: ClassVar[str] = "meaning"
    breaks: ClassVar[str] = "Every object in the answer has one more field."
    notice: ClassVar[str] = "A client that refuses unknown fields fails."

    field: str = parameter("x_internal", "Name of the field.")

    def answered(self, strike: Strike, scope: Scope, reply: Reply) -> Reply | None:
        """Add the field everywhere."""
        return edited(reply, self._more)

    def _more(self, value: Any) -> Any:
        if isinstance(value, dict):
            more = {key: self._more(each) for key, each in value.items()}
            return {**more, self.field: {"version": 2, "tags": ["a", None]}}
        return [self._more(each) for each in value] if isinstance(value, list) else value
