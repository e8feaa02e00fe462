"""A Content-Length that is larger than the file."""

from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class WrongLength(Fault):
    family = "results"
    effect = "Content-Length is larger than the file; the connection closes after the file."
    symptom = "A client that checks the length reports an incomplete download although the file is complete."
    breaks_answer = True
    roles = frozenset(("result",))
    exercised_with = (Exercise("file shorter than its Content-Length", times=1),)

    more_bytes: int = parameter(1000, "By how much it is larger than the file.", "bytes", least=1, most=1_000_000_000)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        if not transmission.is_file:
            return None
        transmission.set_header("Content-Length", str(len(transmission.body) + self.more_bytes))
        transmission.end("close")
        return True
