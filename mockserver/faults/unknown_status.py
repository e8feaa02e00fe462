"""A status word that no document has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Exercise, Fault
from mockserver.faults.support.parameters import parameter
from mockserver.faults.support.words import after

if TYPE_CHECKING:
    from mockserver.engine.context import RequestContext
    from mockserver.engine.faults import Injection


@dataclass(frozen=True)
class UnknownStatus(Fault):
    """A status word that no document has."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "On its way, the task is shown in a state with an unknown name."
    symptom: ClassVar[str] = "A client that treats unknown words as an end, or as an error, gives up too early."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("unknown status", operation="query", times=2),)

    word: str = parameter("reviewing", "The word.")

    def alter_view(self, injection: Injection, context: RequestContext) -> None:
        """Say the word for every state before the end."""
        on_the_way = {state.name for state in context.state.provider.lifecycle.states}

        def word(status: str) -> str:
            if status not in on_the_way:
                return status
            injection.mark_applied()
            return self.word

        context.shown_status = after(context.shown_status, word)
