"""A callback whose signature is for other bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import signed, with_signature


@dataclass(frozen=True)
class SignatureOfOtherBytes(Fault):
    """A callback whose signature is for other bytes."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The signature fits the same JSON written with other spaces, not the bytes that were sent."
    symptom: ClassVar[str] = (
        "A handler that signs what it has parsed and written again may take it; one that signs the raw bytes does not."
    )
    needs_signature: ClassVar[bool] = True
    forges_signature: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (
        Exercise("callback forged: signature of other bytes", times=1, callbacks=True),
    )

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Sign the body as Python's json writes it; one that is not JSON stays as it is."""
        try:
            written = {each.body: json.dumps(json.loads(each.body)).encode() for each in deliveries}
        except ValueError:
            return None
        return with_signature(deliveries, lambda each, _value: signed(each, body=written[each.body]))
