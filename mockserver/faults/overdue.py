"""A task that takes far longer than documented."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class Overdue(Fault):
    family = "meaning"
    effect = "The last state before the end lasts longer."
    symptom = "A client with a time limit gives up before the task ends."
    prolongs_by = "by_s"
    exercised_with = (Exercise("task overdue", {"by_s": 240.0}),)

    by_s: float = parameter(600.0, "How much longer the state lasts.", "seconds of mock time")

    def alter_task(self, injection: Injection, context: RequestContext, task: Task) -> Task | None:
        later_ms = round(self.by_s * 1000)
        return task._replace(due_ms=task.due_ms + later_ms, ends_ms=task.ends_ms + later_ms)
