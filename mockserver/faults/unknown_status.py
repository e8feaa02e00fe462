"""An undocumented status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class UnknownStatus(Fault):
    """An undocumented status."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "Before its end, the task is shown in an unknown state."
    symptom: ClassVar[str] = "A client that treats an unknown state as an end, or as an error, gives up too early."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("unknown status", operation="query", times=2),)

    word: str = parameter("reviewing", "The word.")

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        """Say the word for every state before the end."""
        on_the_way = {state.name for state in context.state.provider.lifecycle.states}

        def word(status: str) -> str:
            if status not in on_the_way:
                return status
            injection.mark_applied()
            return self.word

        return view.with_status(word)
