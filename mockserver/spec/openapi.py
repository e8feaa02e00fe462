"""Checks a document against OpenAPI 3.1 itself, and that its references lead somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockserver.spec.document import Document, SpecIssue

_Path = tuple[str | int, ...]
#: Keys whose values are no part of the description, or are checked elsewhere.
_NOT_FOLLOWED = ("example", "examples", "x-mock")
_LONGEST_CHAIN = 50


def reference_issues(document: Document) -> list[SpecIssue]:
    """Return the references that lead nowhere, or in a circle."""
    issues = []
    for path, reference in _references(document.data, ()):
        why = _unresolved(document, reference)
        if why:
            fix = "a reference must end at something in the same document, such as #/components/…"
            issues.append(document.issue((*path, "$ref"), f"{reference!r} {why}", fix))
    return issues


def _references(value: Any, path: _Path) -> Iterator[tuple[_Path, str]]:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str):
            yield path, reference
        for key, each in value.items():
            if key not in _NOT_FOLLOWED:
                yield from _references(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _references(each, (*path, index))


def _unresolved(document: Document, reference: str) -> str:
    """Return why a reference has no target; empty where it has one."""
    for _ in range(_LONGEST_CHAIN):
        try:
            found = document.resolve(reference)
        except KeyError:
            return "does not exist"
        if not isinstance(found, dict) or not isinstance(found.get("$ref"), str):
            return ""
        reference = found["$ref"]
    return "leads in a circle"


def openapi_issues(document: Document) -> list[SpecIssue]:
    """Validate against the OpenAPI 3.1 schema with openapi-spec-validator."""
    from openapi_spec_validator import OpenAPIV31SpecValidator  # noqa: PLC0415 - slow to load, only needed here

    version = document.data.get("openapi")
    if not isinstance(version, str) or not version.startswith("3.1"):
        return [document.issue(("openapi",), f"must be 3.1.x; got {version!r}", "write `openapi: 3.1.0`")]
    issues = []
    data = _without(document)
    try:
        for error in OpenAPIV31SpecValidator(data).iter_errors():
            path = _whole_path(data, tuple(getattr(error, "absolute_path", ())), error)
            message = str(getattr(error, "message", error)).partition("\n")[0]
            issues.append(document.issue(path, f"is not valid OpenAPI 3.1: {message[:300]}"))
    except Exception as error:  # noqa: BLE001 - the validator raises arbitrary errors for some invalid documents
        issues.append(document.issue((), f"is not valid OpenAPI 3.1: {type(error).__name__}: {str(error)[:300]}"))
    return list(dict.fromkeys(issues))


def _without(document: Document) -> Any:
    """Return the data without what the validator cannot take.

    A reference without a target makes it give up, and it would search defaults for patterns by backtracking.
    """

    def walk(value: Any, *, named: bool) -> Any:
        if isinstance(value, list):
            return [walk(each, named=False) for each in value]
        if not isinstance(value, dict):
            return value
        reference = value.get("$ref")
        if isinstance(reference, str) and _unresolved(document, reference):
            return {}
        return {
            key: each if key in _NOT_FOLLOWED else walk(each, named=key in ("properties", "schemas"))
            for key, each in value.items()
            if named or key != "pattern" or not isinstance(each, str)
        }

    return walk(document.data, named=False)


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
