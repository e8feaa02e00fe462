"""`mockserver check`: report every issue of a user's specs, with file, line and fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mockserver.spec.compile import compile_providers
from mockserver.spec.document import Document, SpecError, SpecIssue
from mockserver.spec.keys import key_issues
from mockserver.spec.vocabulary import builtin_specs, check_vocabulary


def check_files(paths: Iterable[Path]) -> list[SpecIssue]:
    """Return the issues of these files: YAML, references, OpenAPI 3.1, x-mock, and consistency between files.

    A file that is `part_of` a provider may extend a built-in spec.
    """
    issues: list[SpecIssue] = []
    documents: list[Document] = []
    for path in paths:
        try:
            document = Document.read(path)
        except SpecError as error:
            issues += error.issues
            continue
        found = document_issues(document)
        if not found:
            documents.append(document)
        issues += found
    if issues:
        return issues
    try:
        providers = compile_providers([*documents, *_leads_wanted(documents)], {})
        for provider in providers:
            for dialect in provider.dialects:
                compile_providers([*documents, *_leads_wanted(documents)], {provider.name: [dialect.name]})
    except SpecError as error:
        issues += error.issues
    return issues


def document_issues(document: Document) -> list[SpecIssue]:
    """Return the issues of a single document."""
    issues = _references(document) or key_issues(document) or _openapi(document)
    try:
        check_vocabulary(document)
    except SpecError as error:
        issues += error.issues
    return issues


def _leads_wanted(documents: list[Document]) -> list[Document]:
    """Return the built-in main specs of providers that the checked documents are part of."""
    led = {document.data["x-mock"].get("provider") for document in documents}
    wanted = {document.data["x-mock"].get("part_of") for document in documents} - {None} - led
    if not wanted:
        return []
    shipped = [Document.read(path) for path in builtin_specs()]
    return [document for document in shipped if document.data["x-mock"].get("provider") in wanted]


def _references(document: Document) -> list[SpecIssue]:
    issues: list[SpecIssue] = []

    def walk(value: Any, path: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            reference = value.get("$ref")
            if isinstance(reference, str):
                _follow(reference, path)
            for key, each in value.items():
                if key not in ("example", "examples", "x-mock"):
                    walk(each, (*path, key))
        elif isinstance(value, list):
            for index, each in enumerate(value):
                walk(each, (*path, index))

    def _follow(reference: str, path: tuple[str | int, ...]) -> None:
        try:
            document.resolve(reference)
        except KeyError:
            fix = "references must point into the same document, such as #/components/…"
            issues.append(document.issue((*path, "$ref"), f"{reference!r} does not exist", fix))

    walk(document.data, ())
    return issues


def _openapi(document: Document) -> list[SpecIssue]:
    """Validate against the OpenAPI 3.1 schema with openapi-spec-validator."""
    from openapi_spec_validator import OpenAPIV31SpecValidator  # noqa: PLC0415 - slow to load, only needed here

    version = document.data.get("openapi")
    if not isinstance(version, str) or not version.startswith("3.1"):
        return [document.issue(("openapi",), f"must be 3.1.x; got {version!r}", "write `openapi: 3.1.0`")]
    issues = []
    try:
        for error in OpenAPIV31SpecValidator(document.data).iter_errors():
            path = _whole_path(document.data, tuple(getattr(error, "absolute_path", ())), error)
            message = str(getattr(error, "message", error)).partition("\n")[0]
            issues.append(document.issue(path, f"is not valid OpenAPI 3.1: {message[:300]}"))
    except Exception as error:  # noqa: BLE001 - the validator raises arbitrary errors for some invalid documents
        issues.append(document.issue((), f"is not valid OpenAPI 3.1: {type(error).__name__}: {str(error)[:300]}"))
    return list(dict.fromkeys(issues))


def _whole_path(data: Any, path: tuple[str | int, ...], error: Any) -> tuple[str | int, ...]:
    """Complete a path that the validator reports relative to a schema: return the first place that fits."""
    instance = getattr(error, "instance", None)
    if not path or _at(data, path) is instance:
        return path
    places = [each for each in _paths(data, ()) if each[-len(path) :] == path and _at(data, each) == instance]
    return places[0] if places else path


def _paths(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from _paths(child, (*path, key))


def _at(data: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return None
    return data
