"""A file that is not a video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.provider import Role


@dataclass(frozen=True)
class WrongMediaType(Fault):
    """A file that is not a video."""

    family: ClassVar[str] = "results"
    effect: ClassVar[str] = "The download is an HTML page with status 200."
    symptom: ClassVar[str] = "A client that looks at the status alone keeps a page under the name of a video."
    roles: ClassVar[frozenset[Role] | None] = frozenset(("result",))
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("web page instead of the file", times=1),)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Send a page in the file's place."""
        if not transmission.is_file:
            return None
        transmission.set_header("Content-Type", "text/html")
        transmission.set_file(b"<html><body>Sign in to continue</body></html>")
        return True
