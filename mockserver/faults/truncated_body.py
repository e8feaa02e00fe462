"""A body that ends before its Content-Length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.outgoing import Outgoing


@dataclass(frozen=True)
class TruncatedBody(Fault):
    """A body that ends before its Content-Length."""

    family: ClassVar[str] = "transport"
    breaks: ClassVar[str] = "The connection is closed in the middle of the body; Content-Length told of more."
    notice: ClassVar[str] = (
        "A client that checks lengths sees a partial answer; one that does not reads broken JSON, or keeps half a file."
    )

    keep_fraction: float = parameter(0.5, "How much of the body comes.", "fraction", most=0.999)

    def sent(self, strike: Strike, outgoing: Outgoing) -> bool | None:
        """Cut the body, and close."""
        if not outgoing.sent_body():
            return None
        outgoing.cut(body_bytes=int(len(outgoing.body) * self.keep_fraction))
        outgoing.end("close")
        return True
