"""A task that the provider cancels."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task, status_at
from mockserver.faults.support.parameters import parameter
from mockserver.provider import End, Provider


@dataclass(frozen=True)
class CancelledTask(Fault):
    family = "meaning"
    effect = "The task is cancelled without a request for it."
    symptom = "A client that knows only success and failure polls on, or takes it for a success."
    exercised_with = (Exercise("task cancelled"),)

    stage: float = parameter(0.5, "When it is cancelled, as a part of its duration.", "fraction", most=1)

    @classmethod
    def never_at(cls, provider: Provider) -> str | None:
        return None if _cancellation(provider) else f"{provider.title} has no cancelled tasks"

    def alter_task(self, injection: Injection, context: RequestContext, task: Task) -> Task | None:
        wanted_ms = task.submitted_ms + int((task.due_ms - task.submitted_ms) * self.stage)
        # Where it cannot be cancelled then: at the end of the state that is nearest.
        for ends_ms in (wanted_ms, *sorted(task.entered_ms, key=lambda each: abs(each - wanted_ms))):
            end = task.model.lifecycle.cancelled_in(status_at(task, ends_ms - 1).status)
            if end is not None:
                break
        else:
            return None
        reason = next(iter(end.reasons.values()), None)
        return task._replace(end=end, reason=reason, ends_ms=ends_ms)


def _cancellation(provider: Provider) -> End | None:
    """Return the provider's end of cancelled tasks, if it has one."""
    return next((end for end in provider.whole_lifecycle.ends.values() if end.kind == "cancellation"), None)
