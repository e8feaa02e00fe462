"""A connection reset before, within or after the headers, or in the body."""

from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter

#: Longer than the status line, shorter than the shortest head that the server writes.
WITHIN_HEADERS = 40


@dataclass(frozen=True)
class Reset(Fault):
    family = "transport"
    effect = "The request is carried out; a TCP reset cuts off the response."
    symptom = "The call fails with a connection error, without a status."
    breaks_answer = True
    exercised_with = tuple(
        Exercise(f"connection reset: {at}", {"at": at}, "query", 2) for at in ("before_headers", "within_body")
    )

    at: str = parameter(
        "before_headers",
        "Where the response is cut off.",
        choices=("before_headers", "within_headers", "after_headers", "within_body"),
    )

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        if self.at == "before_headers":
            transmission.cut(head_bytes=0)
        elif self.at == "within_headers":
            transmission.cut(head_bytes=WITHIN_HEADERS)
        else:
            transmission.cut(body_bytes=0 if self.at == "after_headers" else len(transmission.body) // 2)
        transmission.end("reset")
        return True
