"""A task that stays in a state."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task
from mockserver.faults.support.course import starts_ms, state_index, unknown_state
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Provider


@dataclass(frozen=True)
class Stuck(Fault):
    family = "meaning"
    effect = "The task enters the state and never leaves it."
    symptom = "The client polls until it gives up."
    never_finishes = True
    exercised_with = (Exercise("task never finishes"),)

    state: str = parameter("", "The state; empty: the last one before the end.")

    def problem(self, provider: Provider) -> str | None:
        return unknown_state(provider, self.state)

    def alter_task(self, injection: Injection, context: RequestContext, task: Task) -> Task | None:
        """Hold the task from the instant it enters the state."""
        index = state_index(task, self.state)
        if index is None or starts_ms(task, index) >= task.ends_ms:
            return None
        return task._replace(held_ms=starts_ms(task, index))
