"""A task that has succeeded but has no links yet."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class LateUrl(Fault):
    family = "meaning"
    effect = "For some seconds after the task's end, responses contain no links."
    symptom = "A client that expects links as soon as the task succeeds finds none."
    undocumented = True
    roles = frozenset(("query", "list"))
    hides_result = True
    withholds_links = True
    exercised_with = (Exercise("link comes later", {"for_s": 25.0}),)

    for_s: float = parameter(10.0, "How long the links are missing after the end.", "seconds of mock time")

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        def hides(task: Task) -> bool:
            if context.now_ms >= task.ends_ms + self.for_s * 1000:
                return False
            injection.mark_applied()
            return True

        return view.with_hidden_results(hides)
