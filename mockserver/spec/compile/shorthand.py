"""Write out what a spec says shortly, so that everything after reads one form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mockserver.spec.compile.filling import fill_replies
from mockserver.spec.document import Document
from mockserver.spec.presets import with_presets

#: The name of the model that no request names.
_ONLY_MODEL = "default"
_METHODS = ("get", "put", "post", "delete", "patch")


def written_out(document: Document) -> Document:
    """Return a main spec with its shorthands written out; the same one where it has none."""
    mock = with_presets(_with_models(document))
    data = document.data if mock is document.data["x-mock"] else {**document.data, "x-mock": mock}
    data = fill_replies(data)
    return document if data is document.data else replace(document, data=data)


def _with_models(document: Document) -> dict[str, Any]:
    """Add the only model, where tasks are made and none is named."""
    mock: dict[str, Any] = document.data["x-mock"]
    if mock.get("models") or not any(_role(entry) == "submit" for entry in _operations(document)):
        return mock if "models" in mock else {**mock, "models": {}}
    results = list(mock.get("results", {}))
    model = {"price": {"reserve": {}}, **({"result": results[0]} if len(results) == 1 else {})}
    return {**mock, "models": {_ONLY_MODEL: model}}


def _operations(document: Document) -> list[dict[str, Any]]:
    return [
        item[method]
        for item in document.data["paths"].values()
        for method in _METHODS
        if isinstance(item.get(method), dict)
    ]


def _role(entry: dict[str, Any]) -> Any:
    mock = entry.get("x-mock")
    return mock.get("role") if isinstance(mock, dict) else None
