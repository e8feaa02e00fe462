"""A connection that is held open, and on which nothing comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.outgoing import Outgoing


@dataclass(frozen=True)
class HeldOpen(Fault):
    """A connection that is held open, and on which nothing comes."""

    family: ClassVar[str] = "transport"
    breaks: ClassVar[str] = (
        "The request is taken, what it asks is done, and no answer comes; in the end the connection is closed."
    )
    notice: ClassVar[str] = "The call hangs until the client's own timeout."

    seconds: float = parameter(60.0, "How long nothing comes.", "seconds of wall time", most=3600)

    def sent(self, strike: Strike, outgoing: Outgoing) -> bool | None:
        """Send nothing, wait, close."""
        outgoing.cut(head_bytes=0)
        outgoing.hold_s = max(outgoing.hold_s, self.seconds)
        outgoing.end("close")
        return True
