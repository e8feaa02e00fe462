"""The budget: a request that could cost more than is left is not sent.

A submit is certainly free only if no server could accept it: it is not a JSON object, it names no known model, or
it lacks a required field. A careless server might accept anything else, however invalid by the spec. So its price
is reserved before it is sent, and released when it is refused.
"""

from __future__ import annotations

import json
from typing import Any

from contracts.server.spec import Spec
from mockserver.provider import UCR, Operation


class OverBudgetError(Exception):
    """The request could cost more than is left."""


class Budget:
    """The credits that may be spent."""

    def __init__(self, spec: Spec, spend_credits: float) -> None:
        self._spec = spec
        self.left_ucr = round(spend_credits * UCR)
        self.spent_ucr = 0

    def reserve(self, operation: Operation | None, body: bytes) -> int:
        """Reserve a request's price, and return it.

        Raises:
            OverBudgetError: less is left.
        """
        if operation is None or operation.role not in ("submit", "decoy"):
            return 0
        price_ucr = self._price_ucr(operation, body)
        if self.left_ucr < price_ucr or self.left_ucr < 0:
            raise OverBudgetError(f"{price_ucr / UCR:g} credits, and {max(0, self.left_ucr) / UCR:g} are left")
        self.left_ucr -= price_ucr
        return price_ucr

    def settle(self, operation: Operation | None, price_ucr: int, stated_credits: Any, *, accepted: bool) -> None:
        """Settle a request: release its price if it was refused; otherwise charge at least what the server says."""
        if operation is None or operation.role not in ("submit", "decoy"):
            return
        if operation.role == "decoy":
            self.spent_ucr += price_ucr  # a decoy is charged whatever it answers
            return
        self.left_ucr += price_ucr
        if not accepted:
            return
        cost_ucr = price_ucr or self.highest_ucr
        if isinstance(stated_credits, int | float) and not isinstance(stated_credits, bool):
            cost_ucr = max(cost_ucr, round(stated_credits * UCR))
        self.left_ucr -= cost_ucr
        self.spent_ucr += cost_ucr

    @property
    def highest_ucr(self) -> int:
        """The highest price among the models' examples."""
        return max(self.example_ucr(name) for name in self._spec.provider.models)

    def example_ucr(self, model: str) -> int:
        """Return the price of a model's example."""
        found = self._spec.provider.models[model]
        return found.reserve_ucr(self._spec.scope(found.example or {}, found)) if found.example else 0

    def _price_ucr(self, operation: Operation, body: bytes) -> int:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return 0
        if not isinstance(value, dict):
            return 0
        model = self._spec.model_of(operation, value)
        if model is None:
            return 0
        if operation.role == "decoy":
            return operation.charges_ucr
        if any(field not in value for field in self._spec.required(model)):
            return 0
        if model.request.accepts(value):
            return model.reserve_ucr(self._spec.scope(value, model))
        return self.highest_ucr


def credits_text(amount_ucr: int) -> str:
    """Write an amount of credits."""
    return f"{amount_ucr / UCR:g} credits"
