"""An error in a response with status 200."""

from dataclasses import dataclass, replace

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.errors import error_asked_for, unknown_error
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Provider


@dataclass(frozen=True)
class OkWithError(Fault):
    family = "answers"
    effect = "The request is refused, but the HTTP status is a success."
    symptom = "A client that checks only the status treats the error as a success."
    undocumented = True
    hides_error = True
    hides_result = True
    exercised_with = (
        Exercise("error inside 200: query", {"status": 500}, "query", 1),
        Exercise("error inside 200: submit", {"status": 500}, "submit"),
    )

    status: int = parameter(500, "Status of the error in the body.", least=400, most=599)
    error: str = parameter("", "Name of the error in the spec; needed if several errors have the status.")

    def problem(self, provider: Provider) -> str | None:
        return unknown_error(provider, self.error)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        response = error_asked_for(context, self.status, self.error)
        return replace(response, status=200, headers=())
