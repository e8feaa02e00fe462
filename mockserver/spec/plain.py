"""A plain OpenAPI document, without `x-mock`: everything that a provider needs and the document does not say.

Its operations have no part in a task: each answers with an example. An overlay says what is otherwise: its `x-mock`
need not be whole, what it leaves out is what is made here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mockserver.spec.document import Document, SpecError
from mockserver.spec.gathering import METHODS, gathered
from mockserver.spec.words import near, operation_name

#: The scheme of providers whose document has none that keys can be read from.
_SCHEME = "x-key"
_EXAMPLE = "mock-key"
_FILLED_PARTS = ("authentication", "accounts")
#: Where what is missing is made here.
FILLED = ((), ("info",), ("x-mock",), *(("x-mock", part) for part in _FILLED_PARTS))
#: Words of a title that say nothing about whose API it is.
_EMPTY = re.compile(
    r"(the|an?|apis?|rest|restful|http|public|open|openapi|swagger|spec|specification|v[0-9.]+|[0-9.]+)"
)
_FORM = re.compile(r"3\.[0-9]+(\.[0-9]+)?(-.*)?")


def is_plain(document: Document) -> bool:
    """Tell whether a document is one of OpenAPI without `x-mock`, and none was meant; that of overlays is apart."""
    data = document.data
    if not isinstance(data.get("openapi", data.get("swagger")), str) or "x-mock" in document.text:
        return False
    own = [each for each in data if each.startswith("x-") and document.origin((each,))[0] is document]
    return not any(near(each, ["x-mock"]) for each in own)


def completed(document: Document) -> Document:
    """Return a plain document as one that can be compiled: what its operations reach, with an `x-mock`.

    Raises:
        SpecError: with every reason why it cannot be served.
    """
    version = document.data.get("openapi")
    if not isinstance(version, str) or not _FORM.fullmatch(version):
        found = version or f"Swagger {document.data.get('swagger')}"
        fix = "convert it to OpenAPI 3; many editors do it"
        raise SpecError([document.issue(("openapi" if version else "swagger",), f"must be 3.x; got {found!r}", fix)])
    whole = gathered(document)
    data = dict(whole.data)
    info = data.get("info")
    title = info.get("title") if isinstance(info, dict) else None
    title = title if isinstance(title, str) and title.strip() else Path(document.name).stem
    data["info"] = {"version": "0", **(info if isinstance(info, dict) else {}), "title": title}
    name, scheme = _scheme(data)
    data["components"] = {**data["components"], "securitySchemes": {name: scheme}}
    _name_operations(data)
    for _, entry in _operations(data):
        _secure(entry, data.get("security"), name)
    data.pop("security", None)
    data["x-mock"] = _filled(data.get("x-mock", {}), _mock(_short_name(title, document.name), title, name))
    return replace(whole, data=data)


def _filled(said: Any, usual: dict[str, Any]) -> dict[str, Any]:
    """Return what an overlay says of the provider, and the usual for what it does not say."""
    if not isinstance(said, dict):
        return usual
    if "part_of" in said:
        return said
    out = {**usual, **said}
    for key in _FILLED_PARTS:
        if isinstance(said.get(key), dict):
            out[key] = {**usual[key], **said[key]}
    plans = _mapping(said.get("accounts")).get("plans")
    if isinstance(plans, dict) and plans and "default_plan" not in said["accounts"]:
        out["accounts"]["default_plan"] = next(iter(plans))
    if isinstance(said.get("errors"), dict):
        out["errors"] = {**usual["errors"], **said["errors"]}
    return out


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _mock(name: str, title: str, scheme: str) -> dict[str, Any]:
    return {
        "provider": name,
        "title": title,
        "authentication": {"scheme": scheme, "example": _EXAMPLE},
        "ids": {"task": {"format": "{hex:24}"}},
        "accounts": {
            "default_plan": "default",
            "plans": {"default": {"summary": "No limits"}},
            "credits": {"ample": 1_000_000},
        },
        "models": {},
        "lifecycle": {
            "states": {"queued": 2, "running": {"from": 20, "to": 40}},
            "ends": {
                "succeeded": "success",
                "failed": {"kind": "failure", "reasons": {"error": "The task failed."}},
            },
        },
        "errors": {"preset": "http"},
    }


def _short_name(title: str, file: str) -> str:
    """Return the name in URLs: the words of the title that say whose API it is, or the file's name."""
    for text in (title, Path(file).stem):
        words = re.findall(r"[a-z0-9.]+", text.lower())
        kept = [each.replace(".", "-").strip("-") for each in words if not _EMPTY.fullmatch(each)]
        name = re.sub(r"^[^a-z]+", "", "-".join(each for each in kept if each))
        if name:
            return name
    return "api"


def _operations(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the operations with a name for each that has none."""
    for path, item in data["paths"].items():
        for method in METHODS:
            if method in item:
                yield operation_name(method, path), item[method]


def _name_operations(data: Mapping[str, Any]) -> None:
    """Give each operation an id of its own."""
    taken: set[str] = set()
    for otherwise, entry in _operations(data):
        given = entry.get("operationId")
        wanted = given if isinstance(given, str) and given else otherwise
        name, number = wanted, 1
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name)
        entry["operationId"] = name


# -- security ---------------------------------------------------------------------------------------


def _scheme(data: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the scheme that most operations can be called with, as a key in a header."""
    declared = data["components"].get("securitySchemes", {})
    known = {name: rule for name, each in declared.items() if (rule := _key_of(each)) is not None}
    used: Counter[str] = Counter()
    for _, entry in _operations(data):
        for name in dict.fromkeys(_names(entry.get("security", data.get("security")))):
            if name in known:
                used[name] += 1
    if not used:
        return _SCHEME, {"type": "http", "scheme": "bearer"}
    name = max(known, key=lambda each: used[each])  # the first of those that are used as often
    return name, known[name]


def _key_of(scheme: Any) -> dict[str, Any] | None:
    """Return a scheme as a bearer token or a header; None where it is neither."""
    if not isinstance(scheme, dict):
        return None
    kind = scheme.get("type")
    if kind in ("oauth2", "openIdConnect") or (kind == "http" and str(scheme.get("scheme")).lower() == "bearer"):
        return {"type": "http", "scheme": "bearer"}
    if kind == "http":
        return {"type": "apiKey", "in": "header", "name": "Authorization"}
    if kind == "apiKey" and scheme.get("in") == "header" and isinstance(scheme.get("name"), str):
        return {"type": "apiKey", "in": "header", "name": scheme["name"]}
    return None


def _names(security: Any) -> Iterator[str]:
    for each in security if isinstance(security, list) else ():
        if isinstance(each, dict):
            yield from each


def _secure(entry: dict[str, Any], usual: Any, name: str) -> None:
    """Say of an operation whether it needs the key: every way to call it does."""
    security = entry.get("security", usual)
    ways = [each for each in security if isinstance(each, dict)] if isinstance(security, list) else []
    entry["security"] = [{name: []}] if ways and all(ways) and name in _names(ways) else []
