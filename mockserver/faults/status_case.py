"""Status words in another case."""

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
class StatusCase(Fault):
    """Status words in another case."""

    family: ClassVar[str] = "meaning"
    breaks: ClassVar[str] = "The status is written in capitals, or with a capital."
    notice: ClassVar[str] = "A client that compares letter by letter never sees the end."

    case: str = parameter("upper", "How the words are written.", choices=("upper", "capital"))

    def shown(self, strike: Strike, scope: Scope) -> None:
        """Write the words otherwise."""

        def word(status: str) -> str:
            written = status.upper() if self.case == "upper" else status.capitalize()
            if written != status:
                strike.land()
            return written

        scope.worded = after(scope.worded, word)
