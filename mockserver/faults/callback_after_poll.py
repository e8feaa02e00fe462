"""A callback that arrives after a poll has shown the end of the task."""

from dataclasses import dataclass, replace

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class CallbackAfterPoll(Fault):
    family = "callbacks"
    of_ends = True
    effect = "The callback is sent only after a query has shown the end, or after a time limit."
    symptom = "The handler is called for a task that the client has already finished."
    exercised_with = (Exercise("callback after the poll", callbacks=True),)

    latest_s: float = parameter(600.0, "The longest wait for a query.", "seconds of mock time")

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        return [
            replace(each, due_ms=each.due_ms + round(self.latest_s * 1000), awaits_query=True) for each in deliveries
        ]
