"""A task that fails with one of the provider's reasons."""

from collections.abc import Iterator
from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task
from mockserver.faults.support.parameters import parameter
from mockserver.faults.support.reasons import reason_of
from mockserver.provider import Provider


@dataclass(frozen=True)
class Fail(Fault):
    family = "meaning"
    effect = "The task fails."
    symptom = "The query reports the failure and its reason; no credits are spent."

    reason: str = parameter("", "The provider's failure reason; empty: the first one in the spec.")
    stage: float = parameter(
        -1.0,
        "When the task fails, as a fraction of its duration; -1: as the spec says for the reason.",
        "fraction",
        least=-1,
        most=1,
    )

    @classmethod
    def exercises(cls, provider: Provider) -> Iterator[Exercise]:
        """Yield each reason of the provider, failures in bulk, and a failure that a callback reports."""
        ends = provider.lifecycle.ends.values()
        reasons = [reason for end in ends if end.kind == "failure" for reason in end.reasons]
        for reason in reasons:
            yield Exercise(f"task fails: {reason}", {"reason": reason})
        yield Exercise("tasks fail in bulk", {"reason": reasons[0]} if reasons else {}, jobs=3)
        if provider.callbacks is not None:
            yield Exercise("task fails, reported by callback", callbacks=True)

    def alter_task(self, injection: Injection, context: RequestContext, task: Task) -> Task | None:
        failure = task.model.lifecycle.failure
        reason = reason_of(failure, self.reason)
        fraction = self.stage if self.stage >= 0 else 1.0 if reason is None else reason.at_fraction
        ends_ms = task.submitted_ms + int((task.due_ms - task.submitted_ms) * fraction)
        return task._replace(end=failure, reason=reason, ends_ms=ends_ms)
