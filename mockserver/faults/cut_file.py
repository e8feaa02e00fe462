"""A download that breaks off once."""

from dataclasses import dataclass

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class CutFile(Fault):
    family = "results"
    effect = "The first download of a link breaks off in the middle; afterwards, Range works, or is ignored."
    symptom = "A client that resumes at the wrong byte, or does not expect the whole file, puts a broken file together."
    roles = frozenset(("result",))
    exercised_with = tuple(
        Exercise(f"download breaks off: Range {support}", {"ranges": support}) for support in ("works", "ignored")
    )

    ranges: str = parameter("works", "What becomes of Range afterwards.", choices=("works", "ignored"))
    keep_fraction: float = parameter(0.5, "The part of the file that is sent at first.", "fraction", most=0.999)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        if not transmission.is_file or not transmission.sent_body():
            return None
        memory, link = injection.record.memory, injection.match_context.path
        if link not in memory:
            memory[link] = True
            transmission.cut(body_bytes=int(len(transmission.body) * self.keep_fraction))
            transmission.end("close")
            return True
        if self.ranges == "works" or transmission.file is None:
            return None
        transmission.set_file(transmission.file)
        return True
