"""Status 200, with an error inside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.errors import error_asked_for, unknown_error
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Provider


@dataclass(frozen=True)
class OkWithError(Fault):
    """Status 200, with an error inside."""

    family: ClassVar[str] = "answers"
    effect: ClassVar[str] = "The request is refused, but the HTTP status says that it was not."
    symptom: ClassVar[str] = "A client that looks at the status alone takes the error for a success."
    hides_result: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (
        Exercise("error inside 200: query", {"status": 500}, "query", 1),
        Exercise("error inside 200: submit", {"status": 500}, "submit"),
    )

    status: int = parameter(500, "Status of the error that is inside.", least=400, most=599)
    error: str = parameter("", "Name of the error in the spec, where the status is not enough.")

    def problem(self, provider: Provider) -> str | None:
        """Say so where the provider has no such error."""
        return unknown_error(provider, self.error)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Answer with the error's body and another status."""
        response = error_asked_for(context, self.status, self.error)
        return replace(response, status=200, headers=())
