"""A link that has expired already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.store import expired

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.operations import Reply
    from mockserver.engine.scope import Scope
    from mockserver.provider import Role


@dataclass(frozen=True)
class ExpiredLink(Fault):
    """A link that has expired already."""

    family: ClassVar[str] = "results"
    breaks: ClassVar[str] = "The store answers as it does when a link's time is over."
    notice: ClassVar[str] = "The download is refused although the link is new."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))

    def instead(self, strike: Strike, scope: Scope) -> Reply | None:
        """Refuse as for an expired link."""
        return expired(strike, scope)
