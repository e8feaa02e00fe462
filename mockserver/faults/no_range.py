"""A store that knows no ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.outgoing import Outgoing
    from mockserver.provider import Role


@dataclass(frozen=True)
class NoRange(Fault):
    """A store that knows no ranges."""

    family: ClassVar[str] = "results"
    breaks: ClassVar[str] = "Range is ignored: the whole file comes, with status 200."
    notice: ClassVar[str] = "A client that goes on with a broken download appends the whole file to its first half."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))

    def sent(self, strike: Strike, outgoing: Outgoing) -> bool | None:
        """Send everything, and say that ranges are not served."""
        if not outgoing.is_file:
            return None
        outgoing.set_file(outgoing.file or b"")
        outgoing.set_header("Accept-Ranges", "none")
        return True
