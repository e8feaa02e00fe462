"""A store that knows no ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.provider import Role


@dataclass(frozen=True)
class NoRange(Fault):
    """A store that knows no ranges."""

    family: ClassVar[str] = "results"
    effect: ClassVar[str] = "Range is ignored: the whole file comes, with status 200."
    symptom: ClassVar[str] = "A client that goes on with a broken download appends the whole file to its first half."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("Range ignored"),)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Send everything, and say that ranges are not served."""
        if not transmission.is_file:
            return None
        transmission.set_file(transmission.file or b"")
        transmission.set_header("Accept-Ranges", "none")
        return True
