"""Checks that paths, methods, parameters, security and roles fit together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mockserver.provider import Operation, ResultKind
from mockserver.spec.compile.context import Context
from mockserver.spec.compile.operations import METHODS, NAMES_IN_LINK
from mockserver.spec.document import PATH_PARAMETER, Path_
from mockserver.spec.words import suggestion

_JSON_TYPE = re.compile(r"application/(json|[^/;]+\+json)\b.*", re.IGNORECASE)
#: What has fields, one of which may name the model.
_FIELDS_TYPE = re.compile(
    r"(application/(json|[^/;]+\+json|x-www-form-urlencoded)|multipart/form-data)\b.*", re.IGNORECASE
)
_FORM_TYPE = "multipart/form-data"
_UNSERVED = ("head", "options", "trace")
#: The methods that an operation of a role can have.
_METHODS_OF = {
    "result": ("get",),
    "file": ("get",),
    "keys": ("get",),
    "events": ("get",),
    "submit": ("post", "put", "patch"),
    "estimate": ("post", "put", "patch"),
    "upload": ("post", "put", "patch"),
}
_PUBLIC = ("result", "file", "estimate", "static", "keys")


def check_paths(context: Context, operations: Mapping[str, Operation], results: Mapping[str, ResultKind]) -> None:
    """Report operations that could never be called as they are meant."""
    shapes: dict[str, str] = {}
    for path, item in context.lead.data["paths"].items():
        shape = PATH_PARAMETER.sub("{}", path)
        if shape in shapes:
            fix = "keep one of the two, or make them differ in a fixed part"
            context.report(("paths", path), f"is the same path as {shapes[shape]}", fix)
        shapes.setdefault(shape, path)
        for method in _UNSERVED:
            if method in item:
                context.report(("paths", path, method), "is not served", f"use one of {', '.join(METHODS)}")
        for method in METHODS:
            if method in item and "role" in (item[method].get("x-mock") or {}):
                _check_operation(context, ("paths", path, method), item)
    _check_files(context, operations, results)


def _check_operation(context: Context, place: Path_, item: dict[str, Any]) -> None:
    method = str(place[2])
    entry = item[method]
    role = entry["x-mock"]["role"]
    methods = _METHODS_OF.get(role, METHODS)
    if method not in methods:
        context.report(place, f"has the role `{role}`, which {method} cannot have", f"use {' or '.join(methods)}")
    _check_security(context, place, entry, role)
    _check_media_types(context, place, entry, role)
    reply = entry["x-mock"].get("reply")
    responses = {str(status).upper() for status in entry.get("responses", {})}
    if reply is not None and "status" in reply:
        status = str(reply["status"])
        if not responses & {status, f"{status[0]}XX", "DEFAULT"}:
            where = (*place, "x-mock", "reply", "status")
            fix = f"declare it, or use one of these: {', '.join(sorted(responses)) or 'none'}"
            context.report(where, f"the operation declares no response {status}", fix)


def _check_security(context: Context, place: Path_, entry: dict[str, Any], role: str) -> None:
    scheme = context.mock["authentication"]["scheme"]
    inherited = "security" not in entry
    where: Path_ = ("security",) if inherited else (*place, "security")
    required = context.lead.data.get("security") if inherited else entry["security"]
    if not required:
        if role not in _PUBLIC:
            what = "asks for no key, but has operations on an account" if inherited else "asks for no key"
            fix = f"add `security: [{{{scheme}: []}}]` to the root" if inherited else f"write `[{{{scheme}: []}}]`"
            context.report(() if inherited else where, f"{what}: whose task is it?", fix)
    elif any(not each for each in required):
        context.report(where, "asks for a key and for none", "remove the empty entry, or use `security: []`")
    elif scheme in _schemes(context) and not any(scheme in each for each in required):
        known = ", ".join(sorted({name for each in required for name in each}))
        context.report(where, f"names {known}, but not {scheme!r}, the scheme of x-mock", f"use {scheme}")


def _schemes(context: Context) -> Mapping[str, Any]:
    schemes: Mapping[str, Any] = context.lead.data.get("components", {}).get("securitySchemes", {})
    return schemes


def _check_media_types(context: Context, place: Path_, entry: dict[str, Any], role: str) -> None:
    body = entry.get("requestBody")
    if not isinstance(body, dict):
        return
    where: Path_ = (*place, "requestBody")
    types = list(context.lead.followed(body).get("content", {}))
    named = role == "decoy" or str(entry["x-mock"].get("model", "")).startswith("$request.body")
    readable = _JSON_TYPE if role == "decoy" else _FIELDS_TYPE
    if role in ("submit", "estimate", "decoy") and named and types and not any(map(readable.fullmatch, types)):
        context.report(
            (*where, "content", types[0]), f"a {role} reads JSON, not {', '.join(types)}", "add application/json"
        )
    if role == "upload" and types and _FORM_TYPE not in types:
        context.report(
            (*where, "content", types[0]), f"an upload is a form, not {', '.join(types)}", f"add {_FORM_TYPE}"
        )


def _check_files(context: Context, operations: Mapping[str, Operation], results: Mapping[str, ResultKind]) -> None:
    """Check that links lead to an operation that finds what they are for."""
    mock = context.mock
    for name, kind in results.items():
        where = ("x-mock", "results", name, "path")
        one = mock["results"][name].get("count", 1) == 1
        needed = ("task_id",) if one else ("task_id", "index")
        if kind.link:
            _check_link(context, where, kind.link, needed, NAMES_IN_LINK["result"])
    uploads = mock.get("uploads")
    if uploads is not None:
        _check_link(context, ("x-mock", "uploads", "path"), uploads["path"], ("file_id",), NAMES_IN_LINK["file"])
        if not any(each.role == "upload" for each in operations.values()):
            context.report(("x-mock", "uploads"), "no operation has the role `upload`", "mark the one that takes files")
    of_role = {
        "result": {kind.path for kind in results.values() if kind.path},
        "file": set() if uploads is None else {context.base_of(uploads["path"]) + uploads["path"]},
    }
    for each in operations.values():
        if each.role not in of_role or each.path in of_role[each.role] or each.result_kind:
            continue
        served = {other.path for other in operations.values() if other.role == each.role}
        if of_role[each.role] <= served:
            place = ("paths", each.path.removeprefix(each.base), each.method.lower())
            part = "a path in `results`" if each.role == "result" else "the path of `uploads`"
            context.report(
                place, f"has the role `{each.role}`, but is not {part}", suggestion(each.path, of_role[each.role])
            )


def _check_link(context: Context, where: Path_, path: str, needed: tuple[str, ...], known: tuple[str, ...]) -> None:
    names = PATH_PARAMETER.findall(path)
    for name in names:
        if name not in known:
            context.report(where, f"{{{name}}} is sent as it stands", suggestion(name, known))
    for name in needed:
        if name not in names and all(each in known for each in names):
            context.report(where, f"does not contain {{{name}}}", f"add {{{name}}}: files are found by it")
