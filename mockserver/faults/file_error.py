"""A download that the store refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Role


@dataclass(frozen=True)
class FileError(Fault):
    """A download that the store refuses."""

    family: ClassVar[str] = "results"
    effect: ClassVar[str] = "The file host answers with an error instead of the file."
    symptom: ClassVar[str] = "The download fails although the task has succeeded; later it may work."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))
    exercised_with: ClassVar[tuple[Exercise, ...]] = tuple(
        Exercise(f"file refused: {status}{' once' if times else ''}", {"status": status}, times=times)
        for status in (403, 404, 500)
        for times in (1, None)
    )

    status: int = parameter(403, "Status of the answer.", least=400, most=599)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Refuse."""
        return Response(self.status, b"the store cannot serve this", "text/plain", gate="fault", error="file_error")
