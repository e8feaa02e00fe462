"""A success with another status than 200."""

from dataclasses import dataclass, replace
from http import HTTPStatus

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class OtherSuccess(Fault):
    family = "answers"
    effect = "The request is carried out; its response has another 2xx status."
    symptom = "A client that compares the status with 200 takes the success for a failure."
    roles = frozenset(("submit", "query", "cancel", "list", "estimate", "balance", "upload"))  # a file keeps its status
    asked_by = ".retry.any-success"
    exercised_with = tuple(
        Exercise(f"submit answered with {status}", {"status": status}, operation="submit") for status in (201, 202)
    )

    status: int = parameter(202, "The status.", least=200, most=299)

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        succeeded = HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES
        return replace(response, status=self.status) if succeeded and response.file is None else None
