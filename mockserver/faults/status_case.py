"""Status words in another case."""

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
class StatusCase(Fault):
    """Status words in another case."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "The status is written in capitals, or with a capital."
    symptom: ClassVar[str] = "A client that compares letter by letter never sees the end."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("status in upper case", {"case": "upper"}, "query"),)

    case: str = parameter("upper", "How the words are written.", choices=("upper", "capital"))

    def alter_view(self, injection: Injection, context: RequestContext) -> None:
        """Write the words otherwise."""

        def word(status: str) -> str:
            written = status.upper() if self.case == "upper" else status.capitalize()
            if written != status:
                injection.mark_applied()
            return written

        context.shown_status = after(context.shown_status, word)
