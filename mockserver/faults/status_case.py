"""Status in another case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class StatusCase(Fault):
    """Status in another case."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "The status is written in capitals, or with a capital."
    symptom: ClassVar[str] = "A client that compares letter by letter never sees the end."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("status in upper case", {"case": "upper"}, "query"),)

    case: str = parameter("upper", "How the words are written.", choices=("upper", "capital"))

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        """Write the words otherwise."""

        def word(status: str) -> str:
            written = status.upper() if self.case == "upper" else status.capitalize()
            if written != status:
                injection.mark_applied()
            return written

        return view.with_status(word)
