"""Compile what answers say beside their body: headers, addresses of operations, the pages of a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from mockserver.provider import Headers, Parameter, Value
from mockserver.spec.compile.context import Context
from mockserver.spec.document import PATH_PARAMETER, Path_

_RETRY_AFTER = "Retry-After"
_PATH, _QUERY = "$request.path.", "$request.query."
_Address = tuple[tuple[str, Literal["path", "query"], Literal["task", "model", "request"]], ...]
_SUBMITS = ("post", "put", "patch")


def check_reply(context: Context, where: Path_, entry: dict[str, Any]) -> None:
    """Report an answer that lacks what it needs: a status, and a body unless the document has none for it."""
    reply = entry["x-mock"].get("reply")
    if reply is None:
        return
    if "status" not in reply:
        context.report((*where, "reply"), "missing required key `status`", "write the status of the answer")
    response = context.lead.followed(entry.get("responses", {}).get(str(reply.get("status"))))
    if "body" not in reply and (response.get("content") or reply.get("in") or not response):
        context.report((*where, "reply"), "missing required key `body`", "write it, or `from-schema`")


def compile_headers(context: Context, where: Path_, reply: dict[str, Any]) -> Headers:
    """Compile the headers of an answer, with the one that asks to wait while the task has not ended."""
    headers = context.headers(reply.get("headers", {}), *where, "headers")
    if "retry_after_s" not in reply:
        return headers
    if any(name.lower() == _RETRY_AFTER.lower() for name, _ in headers):
        context.report((*where, "retry_after_s"), "is also in `headers`", "keep one")
    return (*headers, (_RETRY_AFTER, _until_the_end(context.value(reply["retry_after_s"], *where, "retry_after_s"))))


def _until_the_end(wait_s: Value) -> Value:
    def value(request_context: Any) -> Any:
        if request_context.task is None or request_context.status.ended:
            return None
        return wait_s(request_context)

    return value


def compile_list(context: Context, where: Path_, mock: dict[str, Any]) -> dict[str, Any]:
    """Compile how the pages of a list are asked for."""
    found: dict[str, Any] = {
        key: context.value(mock[key], *where, key) for key in ("offset", "page", "order") if key in mock
    }
    if "offset" in mock and "page" in mock:
        context.report((*where, "page"), "is beside `offset`", "keep one of the two")
    filters = mock.get("filter", {})
    return {
        **found,
        "default_order": mock.get("default_order", "desc"),
        "filters": tuple(
            (
                context.value(f"$task.{name}", *where, "filter", name),
                context.value(asked, *where, "filter", name),
                asked.rpartition(".")[2],
            )
            for name, asked in filters.items()
        ),
    }


def address_of(context: Context, path: str, mock: dict[str, Any], parameters: Sequence[Parameter]) -> _Address:
    """Return what the parameters of an operation's address stand for: those of its path, and what it must ask."""
    task = str(mock.get("task", ""))
    models = set(_models_in_paths(context))
    out: _Address = tuple(
        (name, "path", "task" if task == _PATH + name else "model" if name in models else "request")
        for name in PATH_PARAMETER.findall(path)
    )
    named = task.removeprefix(_QUERY) if task.startswith(_QUERY) else None
    asked = [each.name for each in parameters if each.place == "query" and each.required and each.name != named]
    of_task: _Address = () if named is None else ((named, "query", "task"),)
    return (*out, *of_task, *((name, "query", "request") for name in asked))


def _models_in_paths(context: Context) -> list[str]:
    """Return the parameters of paths that name the model of a submit."""
    items = context.lead.data["paths"].values()
    mocks = [item[method].get("x-mock") or {} for item in items for method in _SUBMITS if method in item]
    names = [str(mock.get("model", "")) for mock in mocks if mock.get("role") == "submit"]
    return [name.removeprefix(_PATH) for name in names if name.startswith(_PATH)]
