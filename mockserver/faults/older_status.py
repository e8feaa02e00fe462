"""The status words of an older table of the provider's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.words import after

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.scope import Scope
    from mockserver.provider import Provider


@dataclass(frozen=True)
class OlderStatus(Fault):
    """The status words of an older table of the provider's."""

    family: ClassVar[str] = "meaning"
    breaks: ClassVar[str] = "Where the provider once had another word for a state, the answer has that one."
    notice: ClassVar[str] = "A client that knows only the new words takes the task for something else."

    @classmethod
    def never_at(cls, provider: Provider) -> str | None:
        """Say so where there never were other words."""
        return None if provider.lifecycle.older_words else f"{provider.title} has no older words for its states"

    def shown(self, strike: Strike, scope: Scope) -> None:
        """Say the older word."""
        older = scope.space.provider.lifecycle.older_words

        def word(status: str) -> str:
            if status in older:
                strike.land()
            return older.get(status, status)

        scope.worded = after(scope.worded, word)
