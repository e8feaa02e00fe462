"""A failed task that is charged."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task
from mockserver.faults.support.parameters import parameter
from mockserver.faults.support.reasons import reason_of


@dataclass(frozen=True)
class ChargedFailure(Fault):
    family = "meaning"
    effect = "The task fails and its credits are spent, contrary to the documentation."
    symptom = "The account is charged more than the successful tasks cost."
    undocumented = True
    exercised_with = (Exercise("task fails and is charged"),)

    reason: str = parameter("", "The provider's failure reason; empty: the first one in the spec.")

    def alter_task(self, injection: Injection, context: RequestContext, task: Task) -> Task | None:
        failure = task.model.lifecycle.failure
        return task._replace(end=failure, reason=reason_of(failure, self.reason), charged_anyway=True)
