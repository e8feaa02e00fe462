"""A callback that comes before the submit has been answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task


@dataclass(frozen=True)
class EarlyCallback(Fault):
    """A callback that comes before the submit has been answered."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = (
        "The task ends at once, and its callback is delivered first, the answer to the submit only then."
    )
    symptom: ClassVar[str] = "The handler is called with a task id that the client does not know yet."
    delivers_first: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback early", callbacks=True),)

    def alter_task(self, injection: Injection, context: RequestContext, task: Task) -> Task | None:
        """Let the task end now, and the answer wait for the callback."""
        if task.callback_url is None:
            return None
        now_ms = task.submitted_ms
        return task._replace(entered_ms=tuple(now_ms for _ in task.entered_ms), due_ms=now_ms, ends_ms=now_ms)
