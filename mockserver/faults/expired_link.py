"""A link that has expired already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.store import expired
from mockserver.provider import Role


@dataclass(frozen=True)
class ExpiredLink(Fault):
    """A link that has expired already."""

    family: ClassVar[str] = "results"
    effect: ClassVar[str] = "The file host answers as it does when a link has expired."
    symptom: ClassVar[str] = "The download is refused although the link is new."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("link expired"),)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Refuse as for an expired link."""
        return expired(injection, context)
