"""A Content-Length that is more than the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Role


@dataclass(frozen=True)
class WrongLength(Fault):
    """A Content-Length that is more than the file."""

    family: ClassVar[str] = "results"
    effect: ClassVar[str] = "Content-Length announces more bytes than are sent before the connection closes."
    symptom: ClassVar[str] = (
        "A client that checks lengths sees a partial download; the bytes themselves are the whole file."
    )
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("file shorter than its Content-Length", times=1),)

    more_bytes: int = parameter(1000, "How many bytes too many are announced.", "bytes", least=1, most=1_000_000_000)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Tell of more."""
        if not transmission.is_file:
            return None
        transmission.set_header("Content-Length", str(len(transmission.body) + self.more_bytes))
        transmission.end("close")
        return True
