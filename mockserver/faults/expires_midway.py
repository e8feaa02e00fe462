"""A link that expires during the download."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter
from mockserver.faults.support.store import expired


@dataclass(frozen=True)
class ExpiresMidway(Fault):
    family = "results"
    effect = "The first download of a link is cut off in the middle; then the link has expired."
    symptom = "The file is incomplete; a retry is refused."
    roles = frozenset(("result",))
    exercised_with = (Exercise("link expires during the download", times=1),)

    keep_fraction: float = parameter(0.5, "The part of the file that is sent.", "fraction", most=0.999)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        return expired(injection, context) if injection.match_context.path in injection.record.memory else None

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        if not transmission.is_file or not transmission.sent_body():
            return None
        injection.record.memory[injection.match_context.path] = True
        transmission.cut(body_bytes=int(len(transmission.body) * self.keep_fraction))
        transmission.end("close")
        return True
