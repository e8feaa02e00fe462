"""One of the provider's errors, although nothing was wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.support.errors import error_asked_for, unknown_error
from mockserver.faults.support.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.context import RequestContext
    from mockserver.engine.faults import Injection
    from mockserver.engine.messages import Response
    from mockserver.provider import Provider


@dataclass(frozen=True)
class Error(Fault):
    """One of the provider's errors, although nothing was wrong."""

    family: ClassVar[str] = "answers"
    effect: ClassVar[str] = "The request is refused with an error of the provider's; nothing else happens."
    symptom: ClassVar[str] = "The call raises the provider's error; a retry may pass."

    status: int = parameter(
        503, "Status of the error; of several with it, the first in the spec.", "", least=400, most=599
    )
    error: str = parameter("", "Name of the error in the spec, where the status is not enough.")
    retry_after: str = parameter(
        "as_documented",
        "How Retry-After is written, if at all.",
        choices=("as_documented", "none", "seconds", "date"),
    )
    retry_after_s: int = parameter(5, "What Retry-After says.", "seconds")

    def problem(self, provider: Provider) -> str | None:
        """Say so where the provider has no such error."""
        return unknown_error(provider, self.error)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Answer with the error."""
        response = error_asked_for(context, self.status, self.error)
        if self.retry_after == "as_documented":
            return response
        headers = tuple(pair for pair in response.headers if pair[0] != "Retry-After")
        if self.retry_after == "seconds":
            headers = (*headers, ("Retry-After", str(self.retry_after_s)))
        elif self.retry_after == "date":
            at_s = context.now_ms // 1000 + self.retry_after_s
            headers = (*headers, ("Retry-After", formatdate(at_s, usegmt=True)))
        return replace(response, headers=headers)
