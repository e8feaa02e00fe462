"""A callback whose signature is for other bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.deliveries import secret_of, signed, with_signature

if TYPE_CHECKING:
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.faults import Strike


@dataclass(frozen=True)
class SignatureOfOtherBytes(Fault):
    """A callback whose signature is for other bytes."""

    family: ClassVar[str] = "callbacks"
    breaks: ClassVar[str] = "The signature fits the same JSON written otherwise, not the bytes that were sent."
    notice: ClassVar[str] = (
        "A handler that signs what it has parsed and written again may take it; one that signs the raw bytes does not."
    )

    def called(self, strike: Strike, deliveries: list[Delivery]) -> list[Delivery] | None:
        """Sign the body with blanks in it."""
        spaced = json.dumps(json.loads(deliveries[0].body), ensure_ascii=False).encode()
        value = signed(deliveries[0], secret_of(deliveries[0]), spaced)
        return with_signature(deliveries, lambda _value: value)
