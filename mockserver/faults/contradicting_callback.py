"""A callback that reports another end than the query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.render import contrary_callback_body
from mockserver.faults.support.deliveries import with_body


@dataclass(frozen=True)
class ContradictingCallback(Fault):
    """A callback that reports another end than the query."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The callback says that the task failed where it succeeded, or the other way round."
    symptom: ClassVar[str] = "A client that believes the callback without asking has the wrong outcome."
    hides_result: ClassVar[bool] = True
    signs_again: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback contradicts the query", callbacks=True),)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Report the other end."""
        task = injection.match_context.task
        body = None if task is None else contrary_callback_body(context.state, task)
        if body is None:
            return None
        return with_body(deliveries, lambda _body: body)
