"""Where the states of a task's course lie."""

from mockserver.engine.task import Task
from mockserver.provider import Provider


def state_index(task: Task, state: str) -> int | None:
    """Return which of the states on the way this is; the last one where none is named, None where it is none."""
    names = [each.name for each in task.model.states]
    if not state:
        return len(names) - 1
    return names.index(state) if state in names else None


def starts_ms(task: Task, index: int) -> int:
    """Return when a state on the way is entered."""
    return task.entered_ms[index - 1] if index else task.submitted_ms


def stops_ms(task: Task, index: int) -> int:
    """Return when it is left, as long as nothing interferes."""
    return task.entered_ms[index] if index < len(task.entered_ms) else task.due_ms


def unknown_state(provider: Provider, state: str) -> str | None:
    """Say that a provider has no state of this name; None where it has, or where none is named."""
    names = [each.name for each in provider.lifecycle.states]
    return (
        None
        if not state or state in names
        else f"{provider.title} has no state {state[:80]!r}; it has {', '.join(names)}"
    )
