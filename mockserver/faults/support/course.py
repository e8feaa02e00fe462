"""The states of a task and when it enters and leaves them."""

from mockserver.engine.task import Task
from mockserver.provider import Provider


def state_index(task: Task, state: str) -> int | None:
    """Return the index of a task's state; without a name, that of the last state; None if the name is unknown."""
    names = [each.name for each in task.model.states]
    if not state:
        return len(names) - 1
    return names.index(state) if state in names else None


def starts_ms(task: Task, index: int) -> int:
    """Return when the task enters a state."""
    return task.entered_ms[index - 1] if index else task.submitted_ms


def stops_ms(task: Task, index: int) -> int:
    """Return when the task leaves a state, unless a command or a fault changes it."""
    return task.entered_ms[index] if index < len(task.entered_ms) else task.due_ms


def unknown_state(provider: Provider, state: str) -> str | None:
    """Return an error message if a provider has no state of this name."""
    names = [each.name for each in provider.whole_lifecycle.states]
    return (
        None
        if not state or state in names
        else f"{provider.title} has no state {state[:80]!r}; it has {', '.join(names)}"
    )
