"""A link that expires during the download."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.parameters import parameter
from mockserver.faults.tools.store import expired

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.operations import Reply
    from mockserver.engine.outgoing import Outgoing
    from mockserver.engine.scope import Scope
    from mockserver.provider import Role


@dataclass(frozen=True)
class ExpiresMidway(Fault):
    """A link that expires during the download."""

    family: ClassVar[str] = "results"
    breaks: ClassVar[str] = "The first download is cut off in the middle; from then on the link has expired."
    notice: ClassVar[str] = "The file is not whole, and a second try is refused."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))

    keep_fraction: float = parameter(0.5, "How much of the file comes.", most=0.999)

    def instead(self, strike: Strike, scope: Scope) -> Reply | None:
        """Refuse every download but the first."""
        return expired(strike, scope) if strike.rule.hits else None

    def sent(self, strike: Strike, outgoing: Outgoing) -> bool | None:
        """Cut the first one off."""
        if outgoing.status != HTTPStatus.OK:
            return None
        outgoing.cut(body_bytes=int(len(outgoing.body) * self.keep_fraction))
        outgoing.ending = "close"
        return True
