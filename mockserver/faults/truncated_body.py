"""A body that ends before its Content-Length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.transmission import Transmission
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class TruncatedBody(Fault):
    """A body that ends before its Content-Length."""

    family: ClassVar[str] = "transport"
    effect: ClassVar[str] = "The connection is closed in the middle of the body; Content-Length announced more."
    symptom: ClassVar[str] = (
        "A client that checks lengths sees a partial answer; one that does not reads broken JSON, or keeps half a file."
    )
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("answer truncated", operation="query", times=1),)

    keep_fraction: float = parameter(0.5, "How much of the body comes.", "fraction", most=0.999)

    def alter_transmission(self, injection: Injection, transmission: Transmission) -> bool | None:
        """Cut the body, and close."""
        if not transmission.sent_body():
            return None
        transmission.cut(body_bytes=int(len(transmission.body) * self.keep_fraction))
        transmission.end("close")
        return True
