"""A status word that no document has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.parameters import parameter
from mockserver.faults.tools.words import after

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.scope import Scope


@dataclass(frozen=True)
class UnknownStatus(Fault):
    """A status word that no document has."""

    family: ClassVar[str] = "meaning"
    breaks: ClassVar[str] = "On its way, the task is shown in a state with an unknown name."
    notice: ClassVar[str] = "A client that treats unknown words as an end, or as an error, gives up too early."

    word: str = parameter("reviewing", "The word.")

    def shown(self, strike: Strike, scope: Scope) -> None:
        """Say the word for every state before the end."""
        on_the_way = {state.name for state in scope.space.provider.lifecycle.states}

        def word(status: str) -> str:
            if status not in on_the_way:
                return status
            strike.land()
            return self.word

        scope.worded = after(scope.worded, word)
