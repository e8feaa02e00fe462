"""The state names of an older version of the document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.provider import Provider


@dataclass(frozen=True)
class OlderStatus(Fault):
    """The state names of an older version of the document."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "Where the provider once had another name for a state, the response has that one."
    symptom: ClassVar[str] = "A client that knows only the new names misreads the state."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("older status", operation="query", times=2),)

    @classmethod
    def never_at(cls, provider: Provider) -> str | None:
        """Say so where there never were other words."""
        return None if provider.lifecycle.older_words else f"{provider.title} has no older words for its states"

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        """Say the older word."""
        older = context.state.provider.lifecycle.older_words

        def word(status: str) -> str:
            if status in older:
                injection.mark_applied()
            return older.get(status, status)

        return view.with_status(word)
