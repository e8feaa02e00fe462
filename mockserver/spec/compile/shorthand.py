"""Write out what a spec says shortly, so that everything after reads one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockserver.spec.compile.filling import fill_replies
from mockserver.spec.presets import with_presets

#: The name of the model that no request names.
_ONLY_MODEL = "default"
_METHODS = ("get", "put", "post", "delete", "patch")


def written_out(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data of a main spec with its shorthands written out; the same where it has none."""
    mock = with_presets(_with_models(data))
    return fill_replies(data if mock is data["x-mock"] else {**data, "x-mock": mock})


def _with_models(data: dict[str, Any]) -> dict[str, Any]:
    """Add the only model, where tasks are made and none is named."""
    mock: dict[str, Any] = data["x-mock"]
    if mock.get("models") or not any(_role(entry) == "submit" for entry in _operations(data)):
        return mock if "models" in mock else {**mock, "models": {}}
    results = list(mock.get("results", {}))
    model = {"price": {"reserve": {}}, **({"result": results[0]} if len(results) == 1 else {})}
    return {**mock, "models": {_ONLY_MODEL: model}}


def _operations(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = data["paths"].values()
    return [item[method] for item in items for method in _METHODS if isinstance(item.get(method), dict)]


def _role(entry: dict[str, Any]) -> Any:
    mock = entry.get("x-mock")
    return mock.get("role") if isinstance(mock, dict) else None
