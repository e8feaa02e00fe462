"""The response to a submit is lost after the task was created."""

from dataclasses import dataclass
from http import HTTPStatus

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class LostAnswer(Fault):
    family = "transport"
    effect = "The task exists and its credits are reserved, but the response with its id is lost."
    symptom = "The call fails with a connection error; a client that submits again is charged twice."
    breaks_answer = True
    roles = frozenset(("submit",))
    exercised_with = (Exercise("answer to the submit lost", operation="submit", times=1),)

    ending: str = parameter("reset", "How the connection ends.", choices=("reset", "close"))

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Drop the response if the request created a task."""
        if transmission.status >= HTTPStatus.MULTIPLE_CHOICES:
            return None
        transmission.cut(head_bytes=0)
        transmission.end("reset" if self.ending == "reset" else "close")
        return True
