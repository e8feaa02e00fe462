"""Write out what a spec says shortly, so that everything after reads one form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mockserver.spec.compile.filling import fill_replies
from mockserver.spec.document import followed
from mockserver.spec.pointer import keys_of
from mockserver.spec.presets import with_presets
from mockserver.spec.samples import merged

#: The name of the model that no request names.
_ONLY_MODEL = "default"
_IN_PARAMETER = re.compile(r"\$request\.(?:path|query|header)\.([\w-]+)")
_METHODS = ("get", "put", "post", "delete", "patch")


def written_out(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data of a main spec with its shorthands written out; the same where it has none."""
    mock = with_presets(_with_models(data))
    return fill_replies(data if mock is data["x-mock"] else {**data, "x-mock": mock})


def _with_models(data: dict[str, Any]) -> dict[str, Any]:
    """Add the models, where the spec has none: those that submits may name by their schemas, or a single one."""
    mock: dict[str, Any] = data["x-mock"]
    submits = [each for each in _operations(data) if _role(each) == "submit"]
    if mock.get("models") or not submits:
        return mock if "models" in mock else {**mock, "models": {}}
    results = list(mock.get("results", {}))
    model = {"price": {"reserve": {}}, **({"result": results[0]} if len(results) == 1 else {})}
    names = dict.fromkeys(name for entry in submits for name in _names(data, entry))
    return {**mock, "models": {name: dict(model) for name in names or (_ONLY_MODEL,)}}


def _names(data: Mapping[str, Any], entry: dict[str, Any]) -> Iterator[str]:
    """Yield the names that an operation's requests may give to the model."""
    mock = entry["x-mock"]
    named = str(mock.get("model", ""))
    yield from (each for each in (mock.get("default_model"), named) if each and "$" not in each)
    found = _IN_PARAMETER.fullmatch(named)
    if found is not None:
        declared = [followed(data, each) for each in entry.get("parameters") or ()]
        yield from _words(data, next((each.get("schema") for each in declared if each.get("name") == found[1]), None))
    content = followed(data, entry.get("requestBody")).get("content")
    for media in content.values() if named.startswith("$request.body#/") and isinstance(content, dict) else ():
        schema: Any = media.get("schema") if isinstance(media, dict) else None
        for key in keys_of(named.partition("#")[2]):
            schema = merged(data, schema).get("properties", {}).get(key)
        yield from _words(data, schema)


def _words(data: Mapping[str, Any], raw: Any) -> Iterator[str]:
    """Yield the texts that a schema names: what it must be, its default, its examples."""
    schema = followed(data, raw)
    one = [schema[word] for word in ("const", "default", "example") if word in schema]
    yield from (each for each in (*schema.get("enum", ()), *one, *schema.get("examples", ())) if isinstance(each, str))
    for word in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(word, ()):
            yield from _words(data, part)


def _operations(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the operations, with the parameters of their paths."""
    return [
        {**item[method], "parameters": [*(item[method].get("parameters") or ()), *(item.get("parameters") or ())]}
        for item in data["paths"].values()
        for method in _METHODS
        if isinstance(item.get(method), dict) and "x-mock" in item[method]
    ]


def _role(entry: dict[str, Any]) -> Any:
    mock = entry.get("x-mock")
    return mock.get("role") if isinstance(mock, dict) else None
