"""An undocumented status code."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class UndeclaredStatus(Fault):
    family = "answers"
    effect = "The request is refused with an undocumented status."
    symptom = "A client that handles only a fixed list of statuses misses it."
    undocumented = True
    exercised_with = (
        Exercise("undeclared status: query", operation="query", times=1),
        Exercise("undeclared status: submit", operation="submit", times=1),
    )

    status: int = parameter(520, "The status.", least=400, most=999)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Answer with a body that does not have the form of the provider's errors."""
        return Response(self.status, b"unknown error", "text/plain", gate="fault", error="undeclared_status")
