"""Tries each model's own example: it names the model, and a new account can pay for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockserver.provider import UCR, Model, Operation
from mockserver.spec.compile.context import Context
from mockserver.spec.document import Document, Path_


class _Submit:
    """As much of a request context as the price of an example reads."""

    def __init__(self, model: Model, draws: Mapping[str, Any]) -> None:
        self.body = model.example
        self.inputs = self.input = model.request.with_defaults(model.example)
        self._draws = draws

    def drawn(self, name: str) -> Any:
        """Return a value that the provider may choose."""
        entry = self._draws[name]
        return entry["of"][0] if "of" in entry else entry["from"]


def check_examples(context: Context, operations: Mapping[str, Operation], models: Mapping[str, Model]) -> None:
    """Report examples that no submit would accept."""
    if context.issues or any(document.guessed for document in context.documents):
        return
    submits = [each for each in operations.values() if each.role == "submit"]
    named_by = [each.model for each in submits if each.parent is None and each.model is not None]
    for document in context.documents:
        for name in document.data["x-mock"]["models"]:
            model, path = models[name], ("x-mock", "models", name)
            if model.example is None or not model.request.accepts(model.example):
                continue
            example = _Submit(model, context.mock.get("draws", {}))
            try:
                said = [value(example) for value in named_by]
                _check_price(context, document, path, model, example)
            except AttributeError:  # it reads what only a real request has
                continue
            for_children = any(each.parent is not None for each in submits) and not any(said)
            if name not in said and not for_children:
                fix = f"the field that names the model must be {name!r}"
                context.report((*path, "example"), f"names the model {said[0]!r}", fix, document=document)


def _check_price(context: Context, document: Document, path: Path_, model: Model, example: _Submit) -> None:
    reserved_ucr, granted = model.reserve_ucr(example), context.mock["accounts"]["credits"]["ample"]
    if reserved_ucr > granted * UCR:
        what = f"costs {reserved_ucr / UCR:g} credits for the example, and a new account has {granted:g}"
        context.report((*path, "price"), what, "lower the price, or raise accounts.credits.ample", document=document)
    if model.settle_ucr is not None and model.settle_ucr(example) > reserved_ucr:
        what = "costs more at the end than was reserved, for the example"
        context.report((*path, "price", "settle"), what, "reserve at least as much", document=document)
