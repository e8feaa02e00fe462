"""A file host that does not support ranges."""

from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission


@dataclass(frozen=True)
class NoRange(Fault):
    family = "results"
    effect = "Range is ignored: the whole file is sent, with status 200."
    symptom = "A client that resumes a download appends the whole file to its first part."
    roles = frozenset(("result",))
    exercised_with = (Exercise("Range ignored"),)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Send the whole file, and declare that ranges are not supported."""
        if not transmission.is_file:
            return None
        transmission.set_file(transmission.file or b"")
        transmission.set_header("Accept-Ranges", "none")
        return True
