"""A file that is no video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.outgoing import Outgoing
    from mockserver.provider import Role


@dataclass(frozen=True)
class WrongMediaType(Fault):
    """A file that is no video."""

    family: ClassVar[str] = "results"
    breaks: ClassVar[str] = "The download is an HTML page with status 200."
    notice: ClassVar[str] = "A client that looks at the status alone keeps a page under the name of a video."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))

    def sent(self, strike: Strike, outgoing: Outgoing) -> bool | None:
        """Send a page in the file's place."""
        if not outgoing.is_file:
            return None
        outgoing.set_header("Content-Type", "text/html")
        outgoing.set_file(b"<html><body>Sign in to continue</body></html>")
        return True
