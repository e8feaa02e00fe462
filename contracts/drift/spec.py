"""A provider's spec with its files: where each answer, error and callback is declared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from contracts.drift.places import Place
from contracts.server.extract import Extractor
from contracts.server.spec import METHODS, Spec
from mockserver.provider import ErrorAnswer, Model, Operation, Provider
from mockserver.spec.catalog import load_providers
from mockserver.spec.compile import compile_providers
from mockserver.spec.document import Document
from mockserver.spec.files import documents_of
from mockserver.spec.vocabulary import builtin_specs


class UnknownDialectError(ValueError):
    """No provider of the journals has this dialect."""


@dataclass(frozen=True)
class DocumentedSpec:
    """A provider, and the documents it was compiled from, as files; the first is the main one."""

    provider: Provider
    files: tuple[Document, ...] = field(repr=False)

    @cached_property
    def spec(self) -> Spec:
        """The same, without the files."""
        return Spec(self.provider, tuple(each.data for each in self.files))

    @property
    def mock(self) -> Place:
        """The root x-mock of the main document."""
        return Place(self.files[0], ("x-mock",))

    def document_of(self, model: Model | None) -> Document:
        """Return the document that describes a model, or the main one."""
        titles = {each.data["info"]["title"]: each for each in self.files}
        return self.files[0] if model is None else titles.get(model.document, self.files[0])

    def model_place(self, model: Model) -> Place:
        """Return where a model is described."""
        return Place(self.document_of(model), ("x-mock", "models", model.shape))

    def operation(self, operation: Operation, model: Model | None = None) -> Place:
        """Return where an operation is described: in the document of the model, if that has it."""
        written = operation.path.removeprefix(operation.base)
        for document in (self.document_of(model), self.files[0]):
            path = Place(document, ("paths", written))
            for method in METHODS:
                if path.at(method).mapping().get("operationId") == operation.id:
                    return path.at(method)
        return Place(self.files[0], ("paths", written, operation.method.lower()))

    def response(self, operation: Place, status: int) -> Place | None:
        """Return where the answer of a status is declared; None if it is not."""
        declared = operation.at("responses")
        for key in (str(status), f"{status // 100}XX", "default"):
            if key in declared.mapping():
                return declared.at(key).followed()
        return None

    def reply(self, operation: Operation) -> Place:
        """Return the template of an operation's answer; it stands in the main document."""
        return self.operation(operation).at("x-mock", "reply", "body")

    def reply_patches(self, operation: Operation) -> tuple[Place, ...]:
        """Return what changes that template in the states that have an answer of their own."""
        patches = self.operation(operation).at("x-mock", "reply", "in")
        return tuple(patches.at(name) for name in patches.below())

    def error_template(self, error: ErrorAnswer) -> Place:
        """Return the template of an error's body."""
        own = self.mock.at("errors", error.name, "body")
        return (
            own
            if error.name in self.mock.at("errors").mapping() and "body" in self._entry(error)
            else self.mock.at("error_body")
        )

    def _entry(self, error: ErrorAnswer) -> dict[str, Any]:
        return self.mock.at("errors", error.name).mapping()

    @cached_property
    def replies(self) -> dict[str, Extractor]:
        """Where the answers of each operation show the facts of a task."""
        return {each.id: Extractor(self.spec, self.spec.reply(each.id)) for each in self.provider.operations.values()}

    @cached_property
    def events(self) -> dict[str, Extractor]:
        """Where the callbacks of each event show the facts of a task."""
        events = self.mock.at("callbacks", "events").mapping()
        return {name: Extractor(self.spec, [template]) for name, template in events.items()}

    @cached_property
    def error_facts(self) -> dict[str, Extractor]:
        """Where the body of each error shows its code and type."""
        return {
            each.name: Extractor(self.spec, [self.error_template(each).value]) for each in self.provider.errors.values()
        }

    def callback_body(self, model: Model | None) -> Place | None:
        """Return where the body of callbacks is declared as OpenAPI; None if it is not."""
        for operation in self.spec.of_role("submit"):
            callbacks = self.operation(operation, model).at("callbacks")
            for name in callbacks.below():
                for url in (named := callbacks.at(name).followed()).below():
                    body = named.at(url, "post", "requestBody").followed()
                    for media in body.at("content").below():
                        return body.at("content", media, "schema")
        return None


def documented(files: Iterable[Path], dialects: Iterable[str] = (), only: str | None = None) -> list[DocumentedSpec]:
    """Load the specs of all providers, built-in and own, or of one, in these dialects.

    Raises:
        SpecError: a spec cannot be read.
        UnknownDialectError: no provider has the dialect.
    """
    paths = list(files)
    own = documents_of(paths)
    led = {_named(each, "provider") for each in own} - {None}
    documents = [each for each in _shipped() if _provider_of(each) not in led] + own
    chosen: dict[str, list[str]] = {}
    for name in dialects:
        having = {_provider_of(each) for each in documents if name in _named(each, "dialects", {})}
        if not having:
            known = sorted({dialect for each in documents for dialect in _named(each, "dialects", {})})
            raise UnknownDialectError(f"unknown dialect {name!r}; known: {', '.join(known) or 'none'}")
        for provider in having:
            chosen.setdefault(provider, []).append(name)
    providers = load_providers(paths, dialects=chosen, only=only)
    return [_with_files(each, documents, chosen.get(each.name, ())) for each in providers]


def compiled(documents: Iterable[Document]) -> DocumentedSpec:
    """Compile documents of one provider, without the checks of `documented`.

    Raises:
        SpecError: they do not fit together.
    """
    given = list(documents)
    (provider,) = compile_providers(given, {})
    return _with_files(provider, given, ())


@lru_cache(maxsize=1)
def _shipped() -> tuple[Document, ...]:
    return tuple(Document.read(path) for path in builtin_specs())


def _with_files(provider: Provider, documents: Iterable[Document], dialects: Iterable[str]) -> DocumentedSpec:
    found = [each for each in documents if _provider_of(each) == provider.name]
    found.sort(key=lambda each: _named(each, "provider") is None)
    return DocumentedSpec(provider, tuple(_patched(each, dialects) for each in found))


def _named(document: Document, key: str, default: Any = None) -> Any:
    return document.data["x-mock"].get(key, default)


def _provider_of(document: Document) -> str:
    return str(_named(document, "provider") or _named(document, "part_of"))


def _patched(document: Document, dialects: Iterable[str]) -> Document:
    for name in dialects:
        entry = _named(document, "dialects", {}).get(name)
        document = document if entry is None else document.patched(entry["patch"])
    return document
