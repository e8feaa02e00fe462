"""A download that the store refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.engine.operations import Reply
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.scope import Scope
    from mockserver.provider import Role


@dataclass(frozen=True)
class FileError(Fault):
    """A download that the store refuses."""

    family: ClassVar[str] = "results"
    breaks: ClassVar[str] = "The store answers with an error in place of the file."
    notice: ClassVar[str] = "The download fails although the task has succeeded; later it may work."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))

    status: int = parameter(403, "Status of the answer.", least=400, most=599)

    def instead(self, strike: Strike, scope: Scope) -> Reply | None:
        """Refuse."""
        return Reply(self.status, b"the store cannot serve this", "text/plain", gate="fault", error="file_error")
