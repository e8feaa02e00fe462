"""A callback that arrives before the response to the submit."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task


@dataclass(frozen=True)
class EarlyCallback(Fault):
    family = "callbacks"
    effect = "The task ends at once; its callback is delivered before the submit is answered."
    symptom = "The handler is called with a task id that the client does not know yet."
    delivers_first = True
    exercised_with = (Exercise("callback early", callbacks=True),)

    def alter_task(self, injection: Injection, context: RequestContext, task: Task) -> Task | None:
        """End the task now, and delay the response until the callback is delivered."""
        if task.callback_url is None:
            return None
        now_ms = task.submitted_ms
        return task._replace(entered_ms=tuple(now_ms for _ in task.entered_ms), due_ms=now_ms, ends_ms=now_ms)
