"""A response with a status and an empty body."""

from dataclasses import dataclass, replace

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response


@dataclass(frozen=True)
class EmptyBody(Fault):
    family = "answers"
    effect = "The request is carried out; the response has no body."
    symptom = "JSON parsing fails; after a submit, the client does not know the id of the new task."
    breaks_answer = True
    exercised_with = (
        Exercise("submit answered with an empty body", operation="submit", times=1),
        Exercise("query answered with an empty body", operation="query", times=1),
    )

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        return replace(response, body=b"", file=None) if response.body or response.file is not None else None
