"""A callback that is signed with the secret before the present one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.faults.support.deliveries import secret_of, signed, with_signature
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class OldSecret(Fault):
    """A callback that is signed with the secret before the present one."""

    family: ClassVar[str] = "callbacks"
    effect: ClassVar[str] = "The signature is right for a secret that is no longer in force."
    symptom: ClassVar[str] = "A handler must refuse it, unless it is in the middle of changing secrets."
    needs_signature: ClassVar[bool] = True
    forges_signature: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("callback forged: old secret", times=1, callbacks=True),)

    secret: str = parameter("", "The old secret; empty is the account's last one, or one that was never in force.")

    def alter_deliveries(
        self, injection: Injection, context: RequestContext, deliveries: list[Delivery]
    ) -> list[Delivery] | None:
        """Sign with it."""
        first = deliveries[0]
        secret = self.secret or first.account.previous_secret or f"not {secret_of(first)}"
        return with_signature(deliveries, lambda each, _value: signed(each, secret=secret))
