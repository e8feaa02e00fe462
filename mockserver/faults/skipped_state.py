"""A state that the task skips."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Fault, Injection
from mockserver.engine.task import Task
from mockserver.faults.support.course import starts_ms, state_index, stops_ms, unknown_state
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Provider


@dataclass(frozen=True)
class SkippedState(Fault):
    family = "meaning"
    effect = "The task skips a state."
    symptom = "A client that waits for this state waits for ever."
    undocumented = True

    state: str = parameter("", "The state; empty: the last one before the end.")

    def problem(self, provider: Provider) -> str | None:
        return unknown_state(provider, self.state)

    def alter_task(self, injection: Injection, context: RequestContext, task: Task) -> Task | None:
        """Leave the state in the instant it is entered; all later states begin earlier."""
        index = state_index(task, self.state)
        if index is None:
            return None
        start_ms = starts_ms(task, index)
        shorter_ms = stops_ms(task, index) - start_ms
        if not shorter_ms or task.ends_ms <= start_ms:
            return None
        return task._replace(
            entered_ms=tuple(at if number < index else at - shorter_ms for number, at in enumerate(task.entered_ms)),
            due_ms=task.due_ms - shorter_ms,
            ends_ms=max(start_ms, task.ends_ms - shorter_ms),
        )
