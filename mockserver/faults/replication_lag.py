"""A task that was just made, and is not found yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.errors import provoked
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Role


@dataclass(frozen=True)
class ReplicationLag(Fault):
    """A task that was just made, and is not found yet."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "For some seconds after the submit, queries answer that there is no such task."
    symptom: ClassVar[str] = "A client that takes the first such answer as final loses a task that it has paid for."
    roles: ClassVar[frozenset[Role] | None] = frozenset(
        (
            "query",
            "cancel",
        )
    )
    hides_task: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("task not found yet", {"for_s": 4.0}),)

    for_s: float = parameter(3.0, "How long the task is not found.", "seconds of mock time")

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Say that there is no such task, while it is new."""
        task = injection.match_context.task
        if task is None or context.now_ms >= task.submitted_ms + self.for_s * 1000:
            return None
        return provoked(context, context.state.provider.refusals["unknown_task"], "there is no such task")
