"""A callback whose signature was computed over other bytes."""

import json
from dataclasses import dataclass

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import with_signing


@dataclass(frozen=True)
class SignatureOfOtherBytes(Fault):
    family = "callbacks"
    effect = "The signature covers the same JSON with different whitespace, not the bytes that are sent."
    symptom = "A handler that checks re-serialised JSON may accept it; a handler that checks the raw bytes rejects it."
    needs_signature = True
    forges_signature = True
    exercised_with = (Exercise("callback forged: signature of other bytes", times=1, callbacks=True),)

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Sign the body as Python's json writes it; a body that is not JSON stays unchanged."""
        try:
            written = {each.body: json.dumps(json.loads(each.body)).encode() for each in deliveries}
        except ValueError:
            return None
        return with_signing(deliveries, lambda each, signing: signing._replace(body=written[each.body]))
