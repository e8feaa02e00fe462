"""A callback with an undocumented event, while the task is still running."""

from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task
from mockserver.faults.support.events import of_unknown_event
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class EarlyUnknownEvent(Fault):
    family = "callbacks"
    of_ends = True
    effect = "A callback with an unknown event is sent; queries and callbacks show the task's end only some time later."
    symptom = "A client that takes every callback for the end finds a task that is still running."
    adds_unknown_event = True
    signs_again = True
    exercised_with = (Exercise("callback of an unknown event while the task is running", callbacks=True),)

    before_s: float = parameter(40.0, "How long before the end it is sent.", "seconds of mock time", least=1)
    word: str = parameter("reviewing", "The unknown name of the event and the status.")

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        """Show a task that calls back as running until its callback is due."""
        if context.operation is None or context.operation.role not in ("query", "list"):
            return None

        def before_the_end(task: Task) -> int | None:
            shown_ms = task.ends_ms + self.before_s * 1000
            if task.callback_url is None or not task.ends_ms <= context.now_ms < shown_ms:
                return None
            injection.mark_applied()
            return max(task.submitted_ms, task.ends_ms - 1)

        return view.as_of(before_the_end)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Add the callback, and delay the others, which are as they would be otherwise."""
        unknown = of_unknown_event(deliveries[0], injection, context, self.word)
        if unknown is None:
            return None
        for each in deliveries:
            each.due_ms += round(self.before_s * 1000)
        return [*unknown, *deliveries]
