"""A file that is not whole, though its length is right."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.outgoing import Outgoing
    from mockserver.provider import Role


@dataclass(frozen=True)
class TruncatedFile(Fault):
    """A file that is not whole, though its length is right."""

    family: ClassVar[str] = "results"
    breaks: ClassVar[str] = "The file ends early, and Content-Length agrees."
    notice: ClassVar[str] = "The download looks whole; the file does not play."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))

    keep_fraction: float = parameter(0.5, "How much of the file there is.", most=0.999)

    def sent(self, strike: Strike, outgoing: Outgoing) -> bool | None:
        """Shorten the file."""
        if outgoing.status != HTTPStatus.OK:
            return None
        outgoing.set_body(outgoing.body[: int(len(outgoing.body) * self.keep_fraction)])
        return True
