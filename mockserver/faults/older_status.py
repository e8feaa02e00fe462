"""The status words of an older table of the provider's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Exercise, Fault
from mockserver.faults.support.words import after

if TYPE_CHECKING:
    from mockserver.engine.context import RequestContext
    from mockserver.engine.faults import Injection
    from mockserver.provider import Provider


@dataclass(frozen=True)
class OlderStatus(Fault):
    """The status words of an older table of the provider's."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "Where the provider once had another word for a state, the answer has that one."
    symptom: ClassVar[str] = "A client that knows only the new words takes the task for something else."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("older status", operation="query", times=2),)

    @classmethod
    def never_at(cls, provider: Provider) -> str | None:
        """Say so where there never were other words."""
        return None if provider.lifecycle.older_words else f"{provider.title} has no older words for its states"

    def alter_view(self, injection: Injection, context: RequestContext) -> None:
        """Say the older word."""
        older = context.state.provider.lifecycle.older_words

        def word(status: str) -> str:
            if status in older:
                injection.mark_applied()
            return older.get(status, status)

        context.shown_status = after(context.shown_status, word)
