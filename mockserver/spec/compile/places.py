"""Where the templates of a provider stand, and what each may read; texts that look like expressions elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mockserver.provider import Model, Operation, Schema
from mockserver.spec.compile.context import Context
from mockserver.spec.compile.lifecycles import lifecycle_entries
from mockserver.spec.compile.operations import METHODS, parameters_of
from mockserver.spec.document import Document, Path_, merge_patch
from mockserver.spec.expressions import names_of
from mockserver.spec.reading import Scope, meant_expressions

_ALWAYS = frozenset(("now", "server", "request_id"))
_OF_TASK = _ALWAYS | {"task", "parent", "account", "draw", "input", "reply", "url"}
_ROOTS = {
    "submit": _OF_TASK | {"quote"},
    "estimate": _ALWAYS | {"account", "draw", "input", "quote"},
    "query": _OF_TASK,
    "cancel": _OF_TASK,
    "delete": _OF_TASK,
    "events": _OF_TASK,
    "list": _ALWAYS | {"account", "list"},
    "balance": _ALWAYS | {"account"},
    "upload": _ALWAYS | {"account", "file"},
    "static": _ALWAYS | {"account"},
    "keys": _ALWAYS | {"signing_key"},
}
_OF_BODY = frozenset(("input", "draw", "parent"))
_WHAT = {
    "submit": "the answer to a submit",
    "estimate": "the answer to an estimate",
    "query": "the answer to a query",
    "cancel": "the answer to a cancel",
    "delete": "the answer to a delete",
    "events": "an event of a stream",
    "list": "the answer to a list",
    "balance": "the answer with a balance",
    "upload": "the answer to an upload",
    "static": "a fixed answer",
    "keys": "the answer with a key",
}
_NOTHING: frozenset[str] = frozenset()
_PARAMETERS = frozenset(("query", "path", "header"))
_NO_BODY = _PARAMETERS | {"method"}
_REQUEST = _NO_BODY | {"body"}
_BODY = frozenset(("body",))
#: What lines of a log may not read of `$task`: what changes, or is not known while the task is on its way.
_CHANGING = frozenset(names_of("task")) - {"id", "model", "kind", "request", "estimated_s", "account_id"}
_LINKS = frozenset(("result_url", "result_urls", "result_base64", "output_duration_s"))
#: Keys of x-mock that say something to people, or do not belong to the running provider.
_NO_TEMPLATES = frozenset(("source", "summary", "description", "example", "examples", "dialects", "x-mock"))


class _Place(NamedTuple):
    path: Path_
    template: Any
    scope: Scope
    document: Document


def check_places(context: Context, models: Mapping[str, Model], operations: Mapping[str, Operation]) -> None:
    """Report what templates read that is not there, and expressions where none is read."""
    places = list(_Places(context, models, operations).all())
    for place in places:
        for path, message, fix in place.scope.problems(place.template):
            context.report((*place.path, *path), message, fix, document=place.document)
    for document in context.documents:
        known = {place.path for place in places if place.document is document}
        roots: list[Path_] = [("x-mock",)]
        if document is context.lead:
            roots += [("paths", path, method, "x-mock") for path, method, _, _ in operations_of(document)]
        for root in roots:
            data: Any = document.data
            for key in root:
                data = data[key]
            for path, text in meant_expressions(data, root, known.__contains__, _NO_TEMPLATES):
                context.report(path, f"{text} is sent as it stands", "no expression is read here", document=document)


def operations_of(document: Document) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Yield the operations that have a role: path, method, path item, operation."""
    for path, item in document.data["paths"].items():
        for method in METHODS:
            if method in item and "role" in (item[method].get("x-mock") or {}):
                yield path, method, item, item[method]


class _Places:
    """The places of one provider's templates."""

    def __init__(self, context: Context, models: Mapping[str, Model], operations: Mapping[str, Operation]) -> None:
        self._context, self._mock = context, context.mock
        self._models = models
        self._schemas = [model.request for model in models.values() if not model.by_operation]
        self._urls: dict[str, list[str]] = {}
        for operation in operations.values():
            self._schemas += [form.schema for form in operation.bodies if form.schema is not None]
            self._urls[operation.id] = [
                name for name, place, what in operation.address if (place, what) == ("path", "request")
            ]
        self._replies: dict[str, list[Any]] = {}
        for _, _, _, entry in operations_of(context.lead):
            reply = entry["x-mock"].get("reply", {})
            if entry["x-mock"]["role"] == "query" and "operationId" in entry:
                body = reply.get("body")
                patched = [merge_patch(body, patch) for patch in reply.get("in", {}).values()]
                self._replies[entry["operationId"]] = [body, *patched]

    def all(self) -> Iterator[_Place]:
        """Yield every place."""
        for path, method, item, entry in operations_of(self._context.lead):
            yield from self._of_operation(("paths", path, method, "x-mock"), item, entry)
        yield from self._of_unmarked()
        yield from self._of_errors()
        yield from self._of_results()
        for lifecycle, entry in dict(lifecycle_entries(self._mock).values()).items():
            yield from self._of_lifecycle(entry, lifecycle)
        yield from self._of_kinds()
        yield from self._of_callbacks()
        yield from self._of_idempotency()
        texts = self._scope("a text of a submit", frozenset({"input"}), _BODY)
        for key, name in (("content_policy", "texts"), ("uploads", "referenced_by")):
            if name in self._mock.get(key, {}):
                yield self._place(("x-mock", key, name), self._mock[key][name], texts)
        for document in self._context.documents:
            for name, entry in document.data["x-mock"]["models"].items():
                yield from self._of_model(document, ("x-mock", "models", name), entry, self._models[name])

    def _scope(self, what: str, roots: frozenset[str], request: frozenset[str], **more: Any) -> Scope:
        schemas: Sequence[Schema] = more.pop("schemas", self._schemas)
        return Scope(what, roots, request, schemas=schemas, replies=self._replies, urls=self._urls, **more)

    def _place(self, path: Path_, template: Any, scope: Scope, document: Document | None = None) -> _Place:
        return _Place(path, template, scope, document or self._context.lead)

    def _of_operation(self, path: Path_, item: dict[str, Any], entry: dict[str, Any]) -> Iterator[_Place]:
        mock = entry["x-mock"]
        role = mock["role"]
        parameters: dict[str, list[str]] = {"path": [], "query": []}
        for parameter in parameters_of(self._context, item, entry):
            parameters.setdefault(parameter["in"], []).append(parameter["name"])
        request = _REQUEST if role in ("submit", "estimate") else _NO_BODY
        reads = self._scope(_WHAT.get(role, role), _ROOTS.get(role, _ALWAYS), request, parameters=parameters)
        asked = self._scope("what a request names", _NOTHING, _PARAMETERS, parameters=parameters)
        whose = self._scope("the name of a task", _NOTHING, _REQUEST, parameters=parameters)
        parent = frozenset({"parent"}) if "parent" in mock else _NOTHING
        named = self._scope("the name of a model", parent, _REQUEST, parameters=parameters)
        parents = self._scope("what a request names", _NOTHING, _PARAMETERS | _BODY, parameters=parameters, schemas=[])
        item_scope = self._scope("an entry of a list", _OF_TASK, _NO_BODY, parameters=parameters)
        reply = mock.get("reply", {})
        scopes = {
            "model": named,
            "task": whose if role in ("query", "cancel") else asked,
            "item": item_scope,
            "event": reads,
        }
        scopes |= dict.fromkeys(("limit", "after", "offset", "page", "order", "index"), asked)
        for name, template in mock.get("filter", {}).items():
            yield self._place((*path, "filter", name), template, asked)
        if "retry_after_s" in reply:
            yield self._place((*path, "reply", "retry_after_s"), reply["retry_after_s"], reads)
        if "prefer_s" not in (mock.get("wait") if isinstance(mock.get("wait"), dict) else ()):
            scopes["wait"] = self._scope("the time that a submit waits", _OF_BODY, _REQUEST, parameters=parameters)
        for key, scope in scopes.items():
            if key in mock:
                yield self._place((*path, key), mock[key], scope)
        if isinstance(mock.get("parent"), dict):
            yield self._place((*path, "parent", "task"), mock["parent"]["task"], parents)
        elif "parent" in mock:
            yield self._place((*path, "parent"), mock["parent"], parents)
        if "body" in reply:
            yield self._place((*path, "reply", "body"), reply["body"], reads)
        for part in ("in", "headers"):
            for name, template in reply.get(part, {}).items():
                yield self._place((*path, "reply", part, name), template, reads)

    def _of_unmarked(self) -> Iterator[_Place]:
        answer = self._mock.get("unmarked")
        reply = answer["reply"] if isinstance(answer, dict) else {}
        scope = self._scope("the answer of an operation without x-mock", _ALWAYS, _NO_BODY)
        if reply:
            yield self._place(("x-mock", "unmarked", "reply", "body"), reply["body"], scope)
        for name, template in reply.get("headers", {}).items():
            yield self._place(("x-mock", "unmarked", "reply", "headers", name), template, scope)

    def _of_errors(self) -> Iterator[_Place]:
        what = "an error"
        body = self._scope(what, _ALWAYS | {"error", "problem", "account"}, _NO_BODY)
        message = self._scope("the message of an error", _ALWAYS | {"problem", "account"}, _NO_BODY)
        yield self._place(("x-mock", "error_body"), self._mock.get("error_body"), body)
        for name, entry in self._mock["errors"].items():
            path = ("x-mock", "errors", name)
            yield self._place((*path, "message"), entry.get("message", ""), message)
            if "body" in entry:
                yield self._place((*path, "body"), entry["body"], body)
            for header, template in entry.get("headers", {}).items():
                yield self._place((*path, "headers", header), template, body)

    def _of_results(self) -> Iterator[_Place]:
        made = self._scope("a property of a result", _OF_BODY | {"task"}, _NOTHING, not_yet=_LINKS)
        refusal = self._scope("the refusal of a file", _ALWAYS, _NO_BODY)
        for name, entry in self._mock.get("results", {}).items():
            path = ("x-mock", "results", name)
            variants = entry.get("variants", {"values": {}})
            for where, each in (
                (path, entry),
                *(((*path, "variants", "values", key), each) for key, each in variants["values"].items()),
            ):
                for key in ("count", "duration_s", "short_side_px", "ratio", "content"):
                    if key in each:
                        yield self._place((*where, key), each[key], made)
            if "by" in variants:
                asked = self._scope("what a request for a file names", _NOTHING, _PARAMETERS)
                yield self._place((*path, "variants", "by"), variants["by"], asked)
            for key, each in entry.get("refusals", {}).items():
                yield self._place((*path, "refusals", key, "body"), each["body"], refusal)

    def _of_kinds(self) -> Iterator[_Place]:
        read = self._scope("a kind of task", _OF_BODY, _REQUEST)
        for name, entry in self._mock.get("kinds", {}).items():
            path = ("x-mock", "kinds", name)
            if "result" in entry:
                yield self._place((*path, "result"), entry["result"], read)
            for key, amount in entry.get("price", {}).items():
                for part, template in amount.items() if key != "source" else ():
                    yield self._place((*path, "price", key, part), template, read)

    def _of_lifecycle(self, entry: dict[str, Any], path: Path_) -> Iterator[_Place]:
        """Yield the lines of logs, and how they are written."""
        said = self._scope("a line of a log", _OF_BODY | {"task"}, _NOTHING, not_yet=_CHANGING)
        written = self._scope("the form of a line of a log", _OF_BODY | {"task", "log"}, _NOTHING, not_yet=_CHANGING)
        for part in ("states", "ends"):
            for name, each in entry[part].items():
                for index, line in enumerate(each.get("logs", ()) if isinstance(each, dict) else ()):
                    yield self._place((*path, part, name, "logs", index), line, said)
        if "log_line" in entry:
            yield self._place((*path, "log_line"), entry["log_line"], written)

    def _of_callbacks(self) -> Iterator[_Place]:
        entry, path = self._mock.get("callbacks", {}), ("x-mock", "callbacks")
        sent = self._scope("a callback", (_OF_TASK - {"request_id"}) | {"callback"}, _BODY)
        address = self._scope("the address of a callback", frozenset({"input"}), _BODY)
        chosen = self._scope("what a submit says of its callbacks", frozenset({"input"}), frozenset(("body", "header")))
        if "url" in entry:
            yield self._place((*path, "url"), entry["url"], address)
        if "wanted" in entry.get("filter", {}):
            yield self._place((*path, "filter", "wanted"), entry["filter"]["wanted"], chosen)
        signature = entry.get("signature", {})
        scopes = {"header": chosen, "secret": chosen, "content": sent, "value": sent}
        for key, scope in scopes.items():
            if key in signature:
                yield self._place((*path, "signature", key), signature[key], scope)
        for part in ("events", "headers"):
            for name, template in entry.get(part, {}).items():
                yield self._place((*path, part, name), template, sent)

    def _of_idempotency(self) -> Iterator[_Place]:
        entry, path = self._mock.get("idempotency"), ("x-mock", "idempotency")
        if entry is not None:
            yield self._place((*path, "key"), entry["key"], self._scope("an idempotency key", _NOTHING, _REQUEST))
            answer = self._scope("an answer that is sent again", _OF_TASK, _NO_BODY)
            for name, template in entry.get("replay_headers", {}).items():
                yield self._place((*path, "replay_headers", name), template, answer)

    def _of_model(self, document: Document, path: Path_, entry: dict[str, Any], model: Model) -> Iterator[_Place]:
        schemas = [model.request]
        priced = self._scope("a price", _OF_BODY, _REQUEST, schemas=schemas)
        chosen = self._scope("the choice of a result", _OF_BODY, _REQUEST, schemas=schemas)
        compared = self._scope("a requirement", frozenset({"input"}), _BODY, schemas=schemas)
        for key, amount in entry["price"].items():
            if key != "source":
                for name, template in amount.items():
                    yield self._place((*path, "price", key, name), template, priced, document)
        if "result" in entry:
            yield self._place((*path, "result"), entry["result"], chosen, document)
        for index, each in enumerate(entry.get("requirements", ())):
            for side in ("left", "right"):
                yield self._place((*path, "requirements", index, side), each[side], compared, document)
