"""A slow download."""

from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class SlowFile(Fault):
    family = "results"
    effect = "The file is sent slowly."
    symptom = "The link may expire, or the client may time out, before the file is complete."
    roles = frozenset(("result",))
    exercised_with = (Exercise("file slow", {"bytes_per_s": 40_000.0}),)

    bytes_per_s: float = parameter(20_000.0, "Speed of the file.", "bytes a second of wall time", least=1, most=1e9)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        if not transmission.is_file or not transmission.sent_body():
            return None
        transmission.bytes_per_s = min(self.bytes_per_s, transmission.bytes_per_s or self.bytes_per_s)
        return True
