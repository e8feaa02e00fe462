"""A new task that queries do not find yet."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.errors import provoked
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class ReplicationLag(Fault):
    family = "meaning"
    effect = "For some seconds after the submit, queries do not find the task."
    symptom = "A client that gives up at the first such response loses a task that it pays for."
    undocumented = True
    roles = frozenset(("query", "cancel"))
    hides_task = True
    exercised_with = (Exercise("task not found yet", {"for_s": 4.0}),)

    for_s: float = parameter(3.0, "How long the task is not found.", "seconds of mock time")

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        task = injection.match_context.task
        if task is None or context.now_ms >= task.submitted_ms + self.for_s * 1000:
            return None
        return provoked(context, context.state.provider.refusals["unknown_task"], "there is no such task")
