"""A link that expires during the download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter
from mockserver.faults.support.store import expired
from mockserver.provider import Role


@dataclass(frozen=True)
class ExpiresMidway(Fault):
    """A link that expires during the download."""

    family: ClassVar[str] = "results"
    effect: ClassVar[str] = "A link's first download is cut off in the middle; from then on the link has expired."
    symptom: ClassVar[str] = "The file is not whole, and a second try is refused."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("link expires during the download", times=1),)

    keep_fraction: float = parameter(0.5, "How much of the file comes.", "fraction", most=0.999)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Refuse every download but the link's first."""
        return expired(injection, context) if injection.match_context.path in injection.record.memory else None

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Cut the first one off."""
        if not transmission.is_file or not transmission.sent_body():
            return None
        injection.record.memory[injection.match_context.path] = True
        transmission.cut(body_bytes=int(len(transmission.body) * self.keep_fraction))
        transmission.end("close")
        return True
