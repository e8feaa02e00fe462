"""A status that the document does not list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Exercise, Fault
from mockserver.engine.operations import Response
from mockserver.faults.support.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.context import RequestContext
    from mockserver.engine.faults import Injection


@dataclass(frozen=True)
class UndeclaredStatus(Fault):
    """A status that the document does not list."""

    family: ClassVar[str] = "answers"
    effect: ClassVar[str] = "The request is refused with a status that no documentation mentions."
    symptom: ClassVar[str] = "A client that knows a closed list of statuses falls through it."
    exercised_with: ClassVar[tuple[Exercise, ...]] = (
        Exercise("undeclared status: query", operation="query", times=1),
        Exercise("undeclared status: submit", operation="submit", times=1),
    )

    status: int = parameter(520, "The status.", least=400, most=999)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Answer with a body that is no error of the provider's either."""
        return Response(self.status, b"unknown error", "text/plain", gate="fault", error="undeclared_status")
