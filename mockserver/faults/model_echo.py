"""The model's name, echoed otherwise than it was sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.json_edit import edited, leaves, put_at
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.operations import Reply
    from mockserver.engine.scope import Scope
    from mockserver.provider import Role


@dataclass(frozen=True)
class ModelEcho(Fault):
    """The model's name, echoed otherwise than it was sent."""

    family: ClassVar[str] = "meaning"
    breaks: ClassVar[str] = "Wherever the answer names the model, it has another name."
    notice: ClassVar[str] = "A client that looks its task up by the model does not find it."
    roles: ClassVar[frozenset[Role] | None] = frozenset(
        (
            "submit",
            "query",
        )
    )

    name_as: str = parameter("gemini-omni-internal", "The name that is echoed.")

    def answered(self, strike: Strike, scope: Scope, reply: Reply) -> Reply | None:
        """Replace the name."""
        task = scope.task
        if task is None:
            return None

        def edit(body: Any) -> Any:
            for place, value in list(leaves(body)):
                if value == task.model.name:
                    body = put_at(body, place, self.name_as)
            return body

        return edited(reply, edit)
