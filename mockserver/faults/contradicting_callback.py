"""A callback that contradicts the query."""

from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.render import contrary_callback_body
from mockserver.faults.support.deliveries import with_body


@dataclass(frozen=True)
class ContradictingCallback(Fault):
    family = "callbacks"
    of_ends = True
    effect = "The callback reports a failure where the task succeeded, or the reverse."
    symptom = "A client that trusts the callback without a query gets the wrong outcome."
    undocumented = True
    hides_result = True
    signs_again = True
    exercised_with = (Exercise("callback contradicts the query", callbacks=True),)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        task = injection.match_context.task
        body = None if task is None else contrary_callback_body(context.state, task)
        if body is None:
            return None
        return with_body(deliveries, lambda _body: body)
