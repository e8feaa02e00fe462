"""The state names of an older version of the document."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.provider import Provider


@dataclass(frozen=True)
class OlderStatus(Fault):
    family = "meaning"
    effect = "The response uses the former name of a state, if it had one."
    symptom = "A client that knows only the current names does not recognise the state."
    undocumented = True
    shows_other_status = True
    exercised_with = (Exercise("older status", operation="query", times=2),)

    @classmethod
    def never_at(cls, provider: Provider) -> str | None:
        return None if provider.whole_lifecycle.older_words else f"{provider.title} has no former names of states"

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        older = context.state.provider.whole_lifecycle.older_words

        def word(status: str) -> str:
            if status in older:
                injection.mark_applied()
            return older.get(status, status)

        return view.with_status(word)
