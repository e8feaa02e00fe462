"""A failed task that is charged all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task
from mockserver.faults.support.parameters import parameter
from mockserver.faults.support.reasons import reason_of


@dataclass(frozen=True)
class ChargedFailure(Fault):
    """A failed task that is charged all the same."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "The task fails, and its credits are spent, against what the provider promises."
    symptom: ClassVar[str] = "The balance is lower than the sum of the tasks that succeeded."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("task fails and is charged"),)

    reason: str = parameter("", "The provider's reason; empty is the first one that it lists.")

    def alter_task(self, injection: Injection, context: RequestContext, task: Task) -> Task | None:
        """Let the task fail, and keep its price."""
        failure = context.state.provider.lifecycle.failure
        return task._replace(end=failure, reason=reason_of(failure, self.reason), charged_anyway=True)
