"""An undocumented status."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class UnknownStatus(Fault):
    family = "meaning"
    effect = "Until the task ends, responses show an unknown state."
    symptom = "A client that treats an unknown state as an end or an error gives up too early."
    undocumented = True
    shows_other_status = True
    exercised_with = (Exercise("unknown status", operation="query", times=2),)

    word: str = parameter("reviewing", "The name of the state.")

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        whole = context.state.provider.whole_lifecycle
        on_the_way = {*(state.name for state in whole.states), *whole.through}

        def word(status: str) -> str:
            if status not in on_the_way:
                return status
            injection.mark_applied()
            return self.word

        return view.with_status(word)
