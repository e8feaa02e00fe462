"""An answer with its status, and nothing in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response


@dataclass(frozen=True)
class EmptyBody(Fault):
    """An answer with its status, and nothing in it."""

    family: ClassVar[str] = "answers"
    effect: ClassVar[str] = "What was asked has been done; the body of the answer is missing."
    symptom: ClassVar[str] = (
        "Reading the answer as JSON fails; a submit's task id is not known, though the task exists."
    )
    exercised_with: ClassVar[tuple[Exercise, ...]] = (
        Exercise("submit answered with an empty body", operation="submit", times=1),
        Exercise("query answered with an empty body", operation="query", times=1),
    )

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        """Take the body away."""
        return replace(response, body=b"", file=None) if response.body or response.file is not None else None
