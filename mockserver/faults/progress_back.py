"""Progress that goes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task, TaskStatus
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class ProgressBack(Fault):
    """Progress that goes back."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "Every second answer about a task on its way shows less progress than the one before."
    symptom: ClassVar[str] = "A client that trusts progress to grow fails, or shows wrong values."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("progress goes back", operation="query"),)

    by_percent: int = parameter(20, "How far it goes back.", "percent", least=1, most=100)

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        """Show less than the last time, every second time that a task on its way shows progress."""
        last: dict[str, int] = injection.record.memory
        said: dict[str, int] = {}

        def less(task: Task, status: TaskStatus) -> int:
            progress = status.progress
            if status.ended or task.id in said:
                return said.get(task.id, progress)
            if shown := last.pop(task.id, 0):
                injection.mark_applied()
                progress = max(0, min(shown, progress) - self.by_percent)
            else:
                last[task.id] = progress
            said[task.id] = progress
            return progress

        return view.with_progress(less)
