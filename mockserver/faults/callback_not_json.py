"""A callback that is no JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.deliveries import with_body

if TYPE_CHECKING:
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.faults import Strike


@dataclass(frozen=True)
class CallbackNotJson(Fault):
    """A callback that is no JSON."""

    family: ClassVar[str] = "callbacks"
    breaks: ClassVar[str] = "The body is a form, though Content-Type says JSON; the signature fits it."
    notice: ClassVar[str] = "Reading it as JSON fails."

    def called(self, strike: Strike, deliveries: list[Delivery]) -> list[Delivery] | None:
        """Send something else."""
        return with_body(deliveries, lambda _body: b"status=done&ok=1")
