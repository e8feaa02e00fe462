"""A file that is not whole, though its length is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Role


@dataclass(frozen=True)
class TruncatedFile(Fault):
    """A file that is not whole, though its length is right."""

    family: ClassVar[str] = "results"
    effect: ClassVar[str] = "The file ends early, and Content-Length agrees; Range is ignored."
    symptom: ClassVar[str] = "The download looks whole; the file does not play."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))
    exercised_with: ClassVar[tuple[Exercise, ...]] = (
        Exercise("file truncated: once", times=1),
        Exercise("file truncated: always"),
    )

    keep_fraction: float = parameter(0.5, "How much of the file there is.", "fraction", most=0.999)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Shorten the file."""
        if not transmission.is_file:
            return None
        file = transmission.file or b""
        transmission.set_file(file[: int(len(file) * self.keep_fraction)])
        return True
