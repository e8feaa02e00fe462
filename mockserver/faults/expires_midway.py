"""A link that expires during the download."""

from __future__ import annotations

from dataclasses import dataclass
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
    breaks: ClassVar[str] = "A link's first download is cut off in the middle; from then on the link has expired."
    notice: ClassVar[str] = "The file is not whole, and a second try is refused."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))

    keep_fraction: float = parameter(0.5, "How much of the file comes.", "fraction", most=0.999)

    def instead(self, strike: Strike, scope: Scope) -> Reply | None:
        """Refuse every download but the link's first."""
        return expired(strike, scope) if strike.facts.path in strike.rule.memory else None

    def sent(self, strike: Strike, outgoing: Outgoing) -> bool | None:
        """Cut the first one off."""
        if not outgoing.is_file or not outgoing.sent_body():
            return None
        strike.rule.memory[strike.facts.path] = True
        outgoing.cut(body_bytes=int(len(outgoing.body) * self.keep_fraction))
        outgoing.end("close")
        return True
