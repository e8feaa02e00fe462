"""The model's name, echoed otherwise than it was sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.json_edit import edited, leaves, put_at
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Role


@dataclass(frozen=True)
class ModelEcho(Fault):
    """The model's name, echoed otherwise than it was sent."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "Wherever the answer names the model, it has another name."
    symptom: ClassVar[str] = "A client that looks its task up by the model does not find it."
    roles: ClassVar[frozenset[Role] | None] = frozenset(
        (
            "submit",
            "query",
        )
    )
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("another model name in answers"),)

    name_as: str = parameter("gemini-omni-internal", "The name that is echoed.")

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        """Replace the name."""
        task = context.task
        if task is None:
            return None

        def edit(body: Any) -> Any:
            for place, value in list(leaves(body)):
                if value == task.model.name:
                    body = put_at(body, place, self.name_as)
            return body

        return edited(response, edit)
