"""Compile how the requests of an operation name the model: in the body, in the path, or not at all."""

from __future__ import annotations

import re
from typing import Any

from mockserver.provider import Value
from mockserver.spec.compile.context import Context
from mockserver.spec.document import Path_
from mockserver.spec.expressions import constant
from mockserver.spec.words import suggestion

_NAMED = re.compile(r"\$request\.(?:path|query|header)\.([\w-]+)")
_ROLES = ("submit", "estimate")


def compile_model_name(context: Context, where: Path_, mock: dict[str, Any]) -> tuple[Value | None, str]:
    """Return what tells the name of the model, and the name where it is always the same."""
    text, default = mock.get("model"), mock.get("default_model")
    models = [name for each in context.documents for name in each.data["x-mock"]["models"]]
    if text is None and mock["role"] not in _ROLES:
        return None, ""
    if default is not None and default not in models:
        context.report((*where, "default_model"), f"unknown model {default!r}", suggestion(default, models))
    if text is None:
        name = default or (models[0] if models else "")
        if len(models) > 1 and default is None:
            fix = "write `model`: a name, or where requests have it"
            context.report(where, f"does not say which of {len(models)} models it makes", fix)
        return constant(name), name
    if "$" not in text:
        if text not in models:
            context.report((*where, "model"), f"unknown model {text!r}", suggestion(text, models))
        if default is not None:
            context.report((*where, "default_model"), "is never used: `model` is always the same", "remove it")
        return constant(text), text
    found = context.value(text, *where, "model")
    if default is None:
        return found, ""

    def named(request_context: Any) -> Any:
        name = found(request_context)
        return default if name is None else name

    return named, ""


def field_of(model: str) -> str:
    """Return what the field of the model is called, for words of refusal."""
    if "#/" in model:
        return ".".join(model.partition("#/")[2].split("/"))
    found = _NAMED.search(model)
    return "model" if found is None else found[1]
