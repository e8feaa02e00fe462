"""The answer to a submit is lost after the task was made."""

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
class LostAnswer(Fault):
    """The answer to a submit is lost after the task was made."""

    family: ClassVar[str] = "transport"
    breaks: ClassVar[str] = "The task exists and its credits are reserved, but the client is never told its id."
    notice: ClassVar[str] = "The call fails with a connection error; a client that submits again pays twice."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("submit",))

    ending: str = parameter("reset", "How the connection ends.", choices=("reset", "close"))

    def sent(self, strike: Strike, outgoing: Outgoing) -> bool | None:
        """Send nothing, where there is a task that the answer would have told of."""
        if outgoing.status >= HTTPStatus.MULTIPLE_CHOICES:
            return None
        outgoing.cut(head_bytes=0)
        outgoing.end("reset" if self.ending == "reset" else "close")
        return True
