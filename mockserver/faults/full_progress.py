"""Progress of 100 % before the end."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task, TaskStatus
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Provider


@dataclass(frozen=True)
class FullProgress(Fault):
    family = "meaning"
    effect = "Responses show a progress of 100 % while the task is still running."
    symptom = "A client that takes the progress for the end finds no file."
    roles = frozenset(("query", "list"))
    fills_progress = True
    exercised_with = (Exercise("progress 100 before the end", operation="query"),)

    percent: int = parameter(100, "The progress that is shown.", "percent", most=100)

    @classmethod
    def never_at(cls, provider: Provider) -> str | None:
        return None if provider.shows_progress else f"{provider.title} shows no progress"

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        def full(_task: Task, status: TaskStatus) -> int:
            if status.ended:
                return status.progress
            injection.mark_applied()
            return self.percent

        return view.with_progress(full)
