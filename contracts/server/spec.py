"""A provider with its documents: what the compiled values do not say, such as where a fact is in an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mockserver.engine.context import RequestContext
from mockserver.engine.models import documented_model
from mockserver.provider import ErrorAnswer, Model, Operation, Provider, Role
from mockserver.spec.catalog import load_providers
from mockserver.spec.compile.shorthand import written_out
from mockserver.spec.document import Document, merge_patch, resolve
from mockserver.spec.files import documents_of
from mockserver.spec.pointer import pointed
from mockserver.spec.vocabulary import builtin_specs

METHODS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True)
class Spec:
    """A provider, and the documents it was compiled from; the first is the main one."""

    provider: Provider
    documents: tuple[dict[str, Any], ...] = field(repr=False)

    @property
    def mock(self) -> dict[str, Any]:
        """The x-mock of the main document."""
        found: dict[str, Any] = self.documents[0]["x-mock"]
        return found

    @cached_property
    def raw_operations(self) -> Mapping[str, dict[str, Any]]:
        """The operations as written, by id."""
        return {
            item[method]["operationId"]: item[method]
            for item in self.documents[0]["paths"].values()
            for method in METHODS
            if method in item
        }

    def of_role(self, *roles: Role) -> list[Operation]:
        """Return the operations of these roles."""
        return [each for each in self.provider.operations.values() if each.role in roles]

    def reply(self, operation_id: str) -> Iterator[Any]:
        """Yield the templates of an operation's reply: the default, then that of each state with its own."""
        written = self.raw_operations[operation_id].get("x-mock", {}).get("reply", {})
        if "body" in written:
            yield written["body"]
            for patch in written.get("in", {}).values():
                yield merge_patch(written["body"], patch)

    def reply_in(self, operation_id: str, state: str) -> Any:
        """Return the template of an operation's reply in a state."""
        written = self.raw_operations[operation_id]["x-mock"]["reply"]
        return merge_patch(written.get("body"), written.get("in", {}).get(state, {}))

    def error_body(self, error: ErrorAnswer) -> Any:
        """Return the template of an error's body."""
        return self.mock["errors"][error.name].get("body", self.mock["error_body"])

    def required(self, model: Model) -> list[str]:
        """Return the required top-level fields of a submit for a model."""
        for document in self.documents:
            entry = document["x-mock"]["models"].get(model.name)
            if entry is not None and "request" in entry:
                return list(resolve(document, entry["request"]).get("required", ()))
        return []

    def links(self, operation: Operation) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield the links of an operation's success: the target operation, and its parameters' expressions."""
        lead = self.documents[0]
        response = _resolved(
            lead, self.raw_operations[operation.id].get("responses", {}).get(str(operation.status), {})
        )
        for written in response.get("links", {}).values():
            link = _resolved(lead, written)
            if link.get("operationId") in self.provider.operations:
                yield link["operationId"], link.get("parameters", {})

    def schema_of(self, operation: Operation, pointer: Iterable[str]) -> dict[str, Any]:
        """Return the schema at a pointer in an operation's success; empty if it does not exist."""
        lead = self.documents[0]
        response = _resolved(
            lead, self.raw_operations[operation.id].get("responses", {}).get(str(operation.status), {})
        )
        found = response.get("content", {}).get("application/json", {}).get("schema", {})
        for key in pointer:
            found = next((each for each in _properties(lead, found, key)), {})
        return _resolved(lead, found)

    def scope(self, body: Any, model: Model | None) -> RequestContext:
        """Return the context for expressions on a submit body."""
        scope = RequestContext.__new__(RequestContext)  # without a server's state: only the request is evaluated
        scope.body = body
        scope.model = model
        scope.inputs = body if model is None else model.request.with_defaults(body)
        return scope

    def model_of(self, operation: Operation, body: Any) -> Model | None:
        """Return the model that a body names; None if the provider does not have it."""
        name = None if operation.model is None else operation.model(self.scope(body, None))
        return documented_model(self.provider, operation, name) if isinstance(name, str) else None


def load(name: str | None, files: Iterable[Path], dialects: Iterable[str], base_url: str) -> Spec:
    """Read the specs and choose the provider: by name, as that of a spec file, or by the address.

    Raises:
        LookupError: the provider is unknown or ambiguous.
        SpecError: a spec cannot be read.
    """
    own = [document.data for document in documents_of(files)]
    led = [data["x-mock"]["provider"] for data in own if "provider" in data.get("x-mock", {})]
    if name is None and len(led) == 1:
        name = led[0]
    known = {each.name: each for each in load_providers(files)}
    if name is None:
        name = next((each for each in known if _serves(known[each], base_url)), None)
    if name is None:
        raise LookupError(f"specify the provider with --provider ({', '.join(known)}), or a spec with --spec")
    if name not in known:
        raise LookupError(f"unknown provider {name!r}; known: {', '.join(known)}")
    chosen = tuple(dialects)
    (provider,) = load_providers(files, only=name, dialects={name: chosen} if chosen else None)
    shipped = [] if name in led else [Document.read(path).data for path in builtin_specs()]
    found = [data for data in (*shipped, *own) if name in (_x_mock(data, "provider"), _x_mock(data, "part_of"))]
    found.sort(key=lambda data: _x_mock(data, "provider") is None)
    lead, *parts = (_in_dialects(data, chosen) for data in found)
    return Spec(provider, (written_out(lead), *parts))


def _resolved(document: dict[str, Any], thing: dict[str, Any]) -> dict[str, Any]:
    """Follow a $ref, if there is one."""
    found: dict[str, Any] = resolve(document, thing["$ref"]) if "$ref" in thing else thing
    return found


def _properties(document: dict[str, Any], schema: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
    """Yield the schemas of a property, including those of alternatives."""
    schema = _resolved(document, schema)
    if key in schema.get("properties", {}):
        yield schema["properties"][key]
    for word in ("allOf", "anyOf", "oneOf"):
        for each in schema.get(word, ()):
            yield from _properties(document, each, key)


def _x_mock(data: dict[str, Any], key: str) -> Any:
    return data.get("x-mock", {}).get(key)


def _serves(provider: Provider, base_url: str) -> bool:
    """Tell whether an address is a provider's own host, or its path on a mock server."""
    host, _, path = base_url.partition("://")[2].partition("/")
    return host in provider.hosts or path.rstrip("/").rpartition("/")[2] == provider.name


def _in_dialects(data: dict[str, Any], dialects: Iterable[str]) -> dict[str, Any]:
    for name in dialects:
        data = merge_patch(data, pointed(data, ("x-mock", "dialects", name, "patch")) or {})
    return data
