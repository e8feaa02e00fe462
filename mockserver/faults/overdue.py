"""A task that takes far longer than was said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class Overdue(Fault):
    """A task that takes far longer than was said."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "The last state before the end lasts longer."
    symptom: ClassVar[str] = "The task ends after the time that a client would wait."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("task overdue", {"by_s": 240.0}),)

    by_s: float = parameter(600.0, "How much longer it takes.", "seconds of mock time")

    def alter_task(self, injection: Injection, context: RequestContext, task: Task) -> Task | None:
        """Put the end off."""
        later_ms = round(self.by_s * 1000)
        return task._replace(due_ms=task.due_ms + later_ms, ends_ms=task.ends_ms + later_ms)
