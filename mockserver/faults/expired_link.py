"""A link that has already expired."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.store import expired


@dataclass(frozen=True)
class ExpiredLink(Fault):
    family = "results"
    effect = "The file host responds as it does to an expired link."
    symptom = "The download is refused although the link is new."
    roles = frozenset(("result",))
    exercised_with = (Exercise("link expired"),)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        return expired(injection, context)
