"""A query that lags behind the task's end."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class StaleQuery(Fault):
    family = "meaning"
    effect = "For some seconds after the task's end, queries still show it as it was before."
    symptom = "A client that queries once, when the callback comes, finds no end and gives up."
    roles = frozenset(("query", "list"))
    lags = True
    exercised_with = (
        Exercise("query lags behind the end"),
        Exercise("query lags behind the callback", callbacks=True),
    )

    for_s: float = parameter(20.0, "How long queries lag.", "seconds of mock time")

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        def before_the_end(task: Task) -> int | None:
            if not task.ends_ms <= context.now_ms < task.ends_ms + self.for_s * 1000:
                return None
            injection.mark_applied()
            return max(task.submitted_ms, task.ends_ms - 1)

        return view.as_of(before_the_end)
