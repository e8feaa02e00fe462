"""Compile paths and methods: the role of each operation, and checks that they fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mockserver.provider import UCR, Kind, Operation, Parameter, ResultKind, Route
from mockserver.spec.compile.bodies import MOST_OTHER_BYTES, compile_bodies, lazy_forms, names_task, needs_body
from mockserver.spec.compile.context import Context
from mockserver.spec.compile.kinds import child_schema, kind_of, parent_rule, states_for, stream_rule, wait_rule
from mockserver.spec.compile.naming import compile_model_name, field_of
from mockserver.spec.compile.replies import address_of, check_reply, compile_headers, compile_list
from mockserver.spec.compile.shapes import shapes_of
from mockserver.spec.compile.unmarked import NOTHING_ASKED, asked_of, not_implemented, sample_of
from mockserver.spec.document import PATH_PARAMETER, Path_, merge_patch
from mockserver.spec.pointer import keys_of
from mockserver.spec.schema import compile_schema
from mockserver.spec.servers import base_paths, hosts_of
from mockserver.spec.words import operation_name, suggestion

JSON = "application/json"
_STATUS = "$task.status"
METHODS = ("get", "put", "post", "delete", "patch")
DEFAULT_MAX_BODY_BYTES = 1 << 20
_MOST_LISTED = 100
_OWN_HEADERS = frozenset(("accept", "content-type", "authorization"))
_MULTIPART_OVERHEAD_BYTES = 1 << 16
#: What the path of a link may hold, by the role of its operation.
NAMES_IN_LINK = {"result": ("account_id", "task_id", "index"), "file": ("file_id", "file_name")}


def compile_routes(context: Context, kinds: Mapping[str, Kind]) -> tuple[Route, ...]:
    """Compile the paths of the main spec; the other documents may not add any."""
    routes: list[tuple[str, dict[str, Any], dict[str, Operation]]] = []
    lead_paths = context.lead.data["paths"]
    for part in context.documents[1:]:
        for path, item in part.data["paths"].items():
            for method in METHODS:
                if method in item and method not in lead_paths.get(path, {}):
                    context.report(
                        ("paths", path, method),
                        f"is missing in {context.lead.name}, the main spec of the provider",
                        "add it there",
                        document=part,
                    )
    for path, item in lead_paths.items():
        operations = {}
        for method in METHODS:
            if method in item:
                operation = _operation(context, kinds, path, method, item)
                if operation is not None:
                    operations[operation.method] = operation
        routes.append((path, item, operations))
    return tuple(_served(context, routes))


def _served(context: Context, routes: Sequence[tuple[str, dict[str, Any], dict[str, Operation]]]) -> Iterator[Route]:
    """Yield each path after each base path of its servers; and alone, for clients that leave the base path out."""
    usual = context.lead.data.get("servers")
    alone: list[Route] = []
    for path, item, operations in routes:
        found: dict[str, dict[str, Operation]] = {}
        for method, operation in operations.items():
            entry = item[method.lower()]
            for base in base_paths(entry.get("servers", item.get("servers", usual))):
                found.setdefault(base, {})[method] = operation
        for base, served in found.items():
            yield Route(base + path, served)
        if found and "" not in found:
            alone.append(Route(path, operations))
    yield from alone


def _operation(
    context: Context, kinds: Mapping[str, Kind], path: str, method: str, item: dict[str, Any]
) -> Operation | None:
    entry = item[method]
    place = ("paths", path, method)
    mock = entry.get("x-mock")
    base = _base(context, entry, item)
    if mock is None:
        return _unmarked(context, base, path, method, item)
    if mock["role"] == "static":
        return _unmarked(context, base, path, method, item)
    if "operationId" not in entry:
        context.report(place, "has no operationId", "add one: journals and templates use it")
        return None
    role = mock["role"]
    reply = mock.get("reply", {})
    check_reply(context, (*place, "x-mock"), entry)
    body = reply.get("body")
    body_forms = compile_bodies(context, place, entry)
    usual_bytes = DEFAULT_MAX_BODY_BYTES if all(each.kind == "json" for each in body_forms) else MOST_OTHER_BYTES
    max_body_bytes = mock.get("max_body_bytes", usual_bytes)
    if role == "upload":
        if "uploads" not in context.mock:
            context.report(place, "has role `upload`, but the root x-mock has no `uploads`", "add `uploads`")
        max_body_bytes = context.mock.get("uploads", {}).get("max_bytes", 0) + _MULTIPART_OVERHEAD_BYTES
    where = (*place, "x-mock")
    known = states_for(context, mock.get("kind"))
    written: dict[Path_, str] = {("reply", "in", state): state for state in reply.get("in", {})}
    written |= {("states", index): state for index, state in enumerate(mock.get("states", ()))}
    for keys, state in written.items():
        if state not in known:
            context.report((*where, *keys), "is not a state of the lifecycle", suggestion(state, known))
    if mock.get("default_limit", 1) > mock.get("max_limit", _MOST_LISTED):
        context.report((*where, "default_limit"), "is greater than max_limit", "lower it")
    parameters = _parameters(context, place, item, entry)
    bodies = (body, *(merge_patch(body, patch) for patch in reply.get("in", {}).values()))
    statuses = [each for template in bodies for each in _statuses(template)]
    model = str(mock.get("model", ""))
    named, model_name = compile_model_name(context, where, mock)
    in_path = str(mock.get("task", "")).removeprefix("$request.path.")
    return Operation(
        id=entry["operationId"],
        method=method.upper(),
        path=base + path,
        base=base,
        role=role,
        secured=bool(entry.get("security", context.lead.data.get("security"))),
        status=reply.get("status", 200),
        body=None if body is None else context.value(body, *where, "reply", "body"),
        body_in={
            state: context.value(merge_patch(body, patch), *where, "reply", "in", state)
            for state, patch in reply.get("in", {}).items()
        },
        headers=compile_headers(context, (*where, "reply"), reply),
        model=named,
        model_name=model_name,
        task=None if "task" not in mock else context.value(mock["task"], *where, "task"),
        states=frozenset(mock["states"]) if "states" in mock else None,
        kind=kind_of(context, kinds, mock, where),
        parent=parent_rule(context, kinds, mock, where),
        request=child_schema(context, entry, place),
        wait=wait_rule(context, mock, where),
        stream=stream_rule(context, mock, where),
        item=None if "item" not in mock else context.value(mock["item"], *where, "item"),
        limit=None if "limit" not in mock else context.value(mock["limit"], *where, "limit"),
        after=None if "after" not in mock else context.value(mock["after"], *where, "after"),
        **compile_list(context, where, mock),
        address=address_of(context, path, mock, parameters),
        result_kind=mock.get("result", ""),
        index=None if "index" not in mock else context.value(mock["index"], *where, "index"),
        default_limit=mock.get("default_limit", min(20, mock.get("max_limit", _MOST_LISTED))),
        max_limit=mock.get("max_limit", _MOST_LISTED),
        max_body_bytes=max_body_bytes,
        parameters=parameters,
        model_field=field_of(model),
        model_keys=keys_of(model.partition("#")[2]) if model.startswith("$request.body#/") else (),
        task_field=str(mock.get("task", "")).rpartition(".")[2],
        checked_parameters=tuple(
            each
            for each in (*parameters, *_parameters(context, place, item, entry, ("header",)))
            if (each.place, each.name) != ("path", in_path) and each.type not in ("array", "object")
        ),
        bodies=body_forms,
        names_task=names_task(mock),
        body_required=bool(body_forms) and needs_body(context, entry),
        charges_ucr=round(mock.get("charges_credits", 0) * UCR),
        counts_tokens=mock.get("counts_tokens", False),
        examples=tuple(_examples(context, entry)),
        media_types=tuple(_request_body(context, entry).get("content", {})),
        status_at=tuple(dict.fromkeys(keys for keys, _ in statuses)),
        status_words={new: old for _, words in statuses for new, old in words.items()},
        shapes=shapes_of(body, reply.get("in", {}), known) if role == "query" and not statuses else {},
        host=next(hosts_of(entry.get("servers", item.get("servers"))), None),
        key_format=None if role != "keys" or "reply" in mock else mock.get("format", "jwks"),
    )


def _base(context: Context, entry: dict[str, Any], item: dict[str, Any]) -> str:
    return base_paths(entry.get("servers", item.get("servers", context.lead.data.get("servers"))))[0]


def _unmarked(context: Context, base: str, path: str, method: str, item: dict[str, Any]) -> Operation:
    """Compile an operation that has no part in a task."""
    entry, answer = item[method], context.mock.get("unmarked", "example")
    mock = entry.get("x-mock")
    where: Path_ = ("x-mock", "unmarked", "reply")
    if mock is not None:
        where = ("paths", path, method, "x-mock", "reply")
        answer = mock
        check_reply(context, where[:-1], entry)
    asked = NOTHING_ASKED if answer == "not_implemented" else asked_of(context, entry)
    is_checked = answer != "not_implemented"
    parameters = _parameters(context, ("paths", path, method), item, entry) if is_checked else ()
    headers = _parameters(context, ("paths", path, method), item, entry, ("header",)) if is_checked else ()
    reply = answer["reply"] if isinstance(answer, dict) else {}
    return Operation(
        id=entry.get("operationId") or operation_name(method, path),
        method=method.upper(),
        path=base + path,
        base=base,
        role="example",
        secured=bool(entry.get("security", context.lead.data.get("security"))),
        max_body_bytes=asked.max_body_bytes,
        body_required=asked.required,
        parameters=parameters,
        checked_parameters=tuple(each for each in (*parameters, *headers) if each.type not in ("array", "object")),
        examples=tuple(_examples(context, entry)),
        media_types=asked.media_types,
        host=next(hosts_of(entry.get("servers", item.get("servers"))), None),
        request=asked.schema,
        bodies=lazy_forms(context, entry) if is_checked else (),
        sample=None if reply else sample_of(context, entry) if is_checked else not_implemented(method, path),
        status=reply.get("status", 200),
        body=None if reply.get("body") is None else context.value(reply["body"], *where, "body"),
        headers=context.headers(reply.get("headers", {}), *where, "headers"),
        address=address_of(context, path, {}, parameters),
    )


def _request_body(context: Context, entry: dict[str, Any]) -> dict[str, Any]:
    return context.lead.followed(entry.get("requestBody", {}))


def _statuses(template: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """Yield where a template of an answer shows a task's status, and what it calls states by another name."""
    if template == _STATUS:
        yield keys, {}
    elif isinstance(template, dict) and template.get("by") == _STATUS and isinstance(template.get("values"), dict):
        if template.get("otherwise") == _STATUS:
            yield keys, {str(new): old for old, new in template["values"].items()}
    elif isinstance(template, dict):
        for key, each in template.items():
            yield from _statuses(each, (*keys, key.removesuffix("?")))


def _examples(context: Context, entry: dict[str, Any]) -> Iterator[tuple[str, int, Any]]:
    """Yield the examples of an operation's JSON answers, successes first."""
    for status, raw in sorted(entry.get("responses", {}).items()):
        if not str(status).isdecimal():
            continue
        response = context.lead.followed(raw)
        media = response.get("content", {}).get(JSON, {})
        for name, example in media.get("examples", {}).items():
            resolved = context.lead.followed(example)
            if "value" in resolved:
                yield name, int(status), resolved["value"]
        if "example" in media:
            yield "example", int(status), media["example"]


def _parameters(
    context: Context,
    place: Path_,
    item: dict[str, Any],
    entry: dict[str, Any],
    places: tuple[str, ...] = ("query", "path"),
) -> tuple[Parameter, ...]:
    """Compile the parameters in some places; headers that HTTP itself has rules for are none (OpenAPI says so)."""
    out = []
    for parameter in parameters_of(context, item, entry):
        if parameter["in"] not in places or (parameter["in"] == "header" and _is_own(context, parameter["name"])):
            continue
        schema = parameter.get("schema", {})
        try:
            compiled = compile_schema(context.lead, schema)
        except (ValueError, KeyError) as error:
            context.report((*place, "parameters"), f"the schema of {parameter['name']!r} is not valid: {error}")
            continue
        out.append(
            Parameter(
                name=parameter["name"],
                place=parameter["in"],
                required=parameter.get("required", False),
                type=_type_of(context.lead.followed(schema)),
                schema=compiled,
            )
        )
    return tuple(out)


def _is_own(context: Context, header: str) -> bool:
    """Tell whether a header is checked elsewhere: it carries the key, or HTTP has rules for it."""
    schemes = context.lead.data.get("components", {}).get("securitySchemes", {})
    carries_key = {str(each.get("name")).lower() for each in schemes.values() if isinstance(each, dict)}
    return header.lower() in _OWN_HEADERS or header.lower() in carries_key


def parameters_of(context: Context, item: dict[str, Any], entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of an operation; its own replace those of the path."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for raw in (*item.get("parameters", ()), *entry.get("parameters", ())):
        parameter = context.lead.followed(raw)
        if isinstance(parameter.get("in"), str) and isinstance(parameter.get("name"), str):
            found[parameter["in"], parameter["name"]] = parameter
    return list(found.values())


def _type_of(schema: dict[str, Any]) -> str:
    """Return the type that the text of a parameter is read as."""
    types = schema.get("type", "string")
    kinds = types if isinstance(types, list) else [types]
    return next((kind for kind in ("integer", "number", "boolean", "string") if kind in kinds), str(kinds[0]))


def check_routes(context: Context, operations: Mapping[str, Operation], results: Mapping[str, ResultKind]) -> None:
    """Check that an operation serves each path of a result or an upload."""
    for each in operations.values():
        if each.result_kind and each.result_kind not in results:
            wrong = ("paths", each.path.removeprefix(each.base), each.method.lower(), "x-mock", "result")
            context.report(wrong, f"unknown result {each.result_kind!r}", suggestion(each.result_kind, results))
    uploads = context.mock.get("uploads")
    linked: list[tuple[Path_, str, str]] = [
        (("x-mock", "results", name, "path"), "result", kind.path) for name, kind in results.items() if kind.path
    ]
    if uploads is not None:
        path = context.base_of(uploads["path"]) + uploads["path"]
        linked.append((("x-mock", "uploads", "path"), "file", path))
    paths = {path for _, _, path in linked}
    for where, role, path in linked:
        served = [each.path for each in operations.values() if each.role == role]
        unlinked = [each for each in served if each not in paths]
        misnamed = set(PATH_PARAMETER.findall(path)) - set(NAMES_IN_LINK[role])  # told elsewhere
        forgotten = [each for each in operations.values() if (each.path, each.method) == (path, "GET")]
        if forgotten and forgotten[0].role == "example":
            place = ("paths", path.removeprefix(forgotten[0].base), "get")
            context.report(place, "has no x-mock", f"add `x-mock: {{role: {role}}}`")
        elif path not in served and not misnamed:
            fix = suggestion(path, unlinked) if unlinked else "add this path with a get"
            context.report(where, f"no operation of role `{role}` has the path {path}", fix)
    for each in operations.values():
        if each.role in ("submit", "estimate") and not context.mock["models"]:
            where = ("paths", each.path.removeprefix(each.base), each.method.lower(), "x-mock")
            what = f"has the role `{each.role}`, but there are no models"
            context.report(where, what, "add `models` to the root x-mock")
    if context.mock["models"] and not any(each.role == "submit" for each in operations.values()):
        context.report(("paths",), "no operation has the role `submit`", "mark the one that creates tasks")
