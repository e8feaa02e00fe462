"""A truncated file with a matching Content-Length."""

from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class TruncatedFile(Fault):
    family = "results"
    effect = "The file is truncated, and Content-Length matches the part that is sent; Range is ignored."
    symptom = "The download seems complete; the file does not play."
    roles = frozenset(("result",))
    spoils_file = True
    exercised_with = (Exercise("file truncated: once", times=1), Exercise("file truncated: always"))

    keep_fraction: float = parameter(0.5, "The part of the file that is sent.", "fraction", most=0.999)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        if not transmission.is_file:
            return None
        file = transmission.file or b""
        transmission.set_file(file[: int(len(file) * self.keep_fraction)])
        return True
