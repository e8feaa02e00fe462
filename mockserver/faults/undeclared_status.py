"""An undocumented status code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class UndeclaredStatus(Fault):
    """An undocumented status code."""

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
