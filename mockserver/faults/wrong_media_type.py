"""A file that is not a video."""

from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission


@dataclass(frozen=True)
class WrongMediaType(Fault):
    family = "results"
    effect = "The download is an HTML page with status 200."
    symptom = "A client that checks only the status saves the page as a video."
    undocumented = True
    roles = frozenset(("result",))
    spoils_file = True
    exercised_with = (
        Exercise("web page instead of the file", times=1),
        Exercise("web page instead of the file: always"),
    )

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        if not transmission.is_file:
            return None
        transmission.set_header("Content-Type", "text/html")
        transmission.set_file(b"<html><body>Sign in to continue</body></html>")
        return True
