"""A callback whose signature has another length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.deliveries import with_signature
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.faults import Strike


@dataclass(frozen=True)
class SignatureLength(Fault):
    """A callback whose signature has another length."""

    family: ClassVar[str] = "callbacks"
    breaks: ClassVar[str] = "The signature is cut short, or too long."
    notice: ClassVar[str] = (
        "A handler that compares in constant time without looking at the length first may fail with an exception."
    )
    needs_signature: ClassVar[bool] = True

    characters: int = parameter(10, "How long it is.", "characters", most=1000)

    def called(self, strike: Strike, deliveries: list[Delivery]) -> list[Delivery] | None:
        """Cut the signature, or fill it up."""
        return with_signature(deliveries, lambda _each, value: value[: self.characters].ljust(self.characters, "0"))
