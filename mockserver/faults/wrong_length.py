"""A Content-Length that is more than the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.outgoing import Outgoing
    from mockserver.provider import Role


@dataclass(frozen=True)
class WrongLength(Fault):
    """A Content-Length that is more than the file."""

    family: ClassVar[str] = "results"
    breaks: ClassVar[str] = "Content-Length tells of more bytes than come before the connection is closed."
    notice: ClassVar[str] = (
        "A client that checks lengths sees a partial download; the bytes themselves are the whole file."
    )
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))

    more_bytes: int = parameter(1000, "How many bytes more are told of.", "bytes", least=1, most=1_000_000_000)

    def sent(self, strike: Strike, outgoing: Outgoing) -> bool | None:
        """Tell of more."""
        if not outgoing.is_file:
            return None
        outgoing.set_header("Content-Length", str(len(outgoing.body) + self.more_bytes))
        outgoing.end("close")
        return True
