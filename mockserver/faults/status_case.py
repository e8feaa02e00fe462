"""A status in different letter case."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class StatusCase(Fault):
    family = "meaning"
    effect = "The status is in upper case or capitalised."
    symptom = "A client that compares case-sensitively never sees the end."
    undocumented = True
    exercised_with = (Exercise("status in upper case", {"case": "upper"}, "query"),)

    case: str = parameter("upper", "The case.", choices=("upper", "capital"))

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        def word(status: str) -> str:
            written = status.upper() if self.case == "upper" else status.capitalize()
            if written != status:
                injection.mark_applied()
            return written

        return view.with_status(word)
