"""Progress that decreases."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task, TaskStatus
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class ProgressBack(Fault):
    family = "meaning"
    effect = "Every second response about a running task shows less progress than the one before."
    symptom = "A client that expects progress to increase fails or shows wrong values."
    undocumented = True
    exercised_with = (Exercise("progress goes back", operation="query"),)

    by_percent: int = parameter(20, "By how much the progress decreases.", "percent", least=1, most=100)

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        """Lower the progress in every second response about a running task."""
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
