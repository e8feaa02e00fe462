"""Checks a document against OpenAPI 3.1 itself: its own schema, its references, and what no schema can say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from mockserver.spec.document import PATH_PARAMETER, Document, Path_
from mockserver.spec.mistakes import NOTHING, UNKNOWN, Mistake, unknown_key, wrong_value
from mockserver.spec.pointer import at, pointed
from mockserver.spec.words import near

#: Keys whose values do not describe the API, or are checked elsewhere.
_NOT_FOLLOWED = ("example", "examples", "x-mock")
_SECTIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    (): ("openapi", "info", "servers", "paths", "components", "security", "tags", "webhooks"),
    ("components",): ("schemas", "responses", "parameters", "headers", "requestBodies", "securitySchemes", "examples"),
}
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'")
_SEE = "the OpenAPI 3.1 specification says what may stand here"
_LONGEST = 300


def reference_mistakes(document: Document) -> Iterator[Mistake]:
    """Yield the references that lead nowhere, or in a circle."""
    for path, reference in _references(document.data, ()):
        why = document.unresolved(reference)
        if why:
            above = reference.rpartition("/")[0]
            beside = pointed(document.data, tuple(above.removeprefix("#/").split("/")))
            fix = "a reference must end at something in the same document, such as #/components/…"
            known = [f"{above}/{each}" for each in beside] if isinstance(beside, dict) else []
            told = wrong_value((*path, "$ref"), reference, known, f"{reference!r} {why}")
            yield told if told.meant is not NOTHING and why != document.CIRCLE else told._replace(fix=fix)


def _references(value: Any, path: Path_) -> Iterator[tuple[Path_, str]]:
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


def misspelt_extensions(document: Document) -> Iterator[Mistake]:
    """Yield what was meant to be `x-mock`, or a part of the document that much else refers to."""
    for path in _extensions(document.data, ()):
        if path[-1] != "x-mock":
            yield unknown_key(path, ["x-mock"])
    for place, known in _SECTIONS.items():
        holder = pointed(document.data, place)
        for key in holder if isinstance(holder, dict) else ():
            meant = near(key, [each for each in known if each not in holder])
            if key not in known and meant and not _near_extension(key):
                yield unknown_key((*place, key), [meant])


def misplaced_extensions(document: Document) -> Iterator[Mistake]:
    """Yield each `x-mock` that is neither at the root nor in an operation: it is ignored there."""
    for path in _extensions(document.data, ()):
        own = path == ("x-mock",) or (len(path) == 4 and path[0] == "paths" and path[2] in _METHODS)
        if path[-1] == "x-mock" and not own:
            fix = "put it at the root or into an operation"
            yield Mistake("unknown key", path, "is not read here", fix, NOTHING)


def _extensions(value: Any, path: Path_) -> Iterator[Path_]:
    named = bool(path) and path[-1] in ("properties", "schemas")
    if isinstance(value, dict):
        for key, each in value.items():
            here = (*path, key)
            if not named and (key == "x-mock" or (len(here) in (1, 4) and _near_extension(key))):
                yield here
            elif key not in _NOT_FOLLOWED and (named or not key.startswith("x-")):
                yield from _extensions(each, here)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _extensions(each, (*path, index))


def _near_extension(key: str) -> bool:
    """Tell whether a key was probably meant to be `x-mock`."""
    return key != "x-mock" and bool(get_close_matches(key.lower().replace("_", "-"), ("x-mock",), 1, 0.8))


def operation_mistakes(document: Document) -> Iterator[Mistake]:
    """Yield ids and parameters of operations that are missing, or there twice."""
    ids: dict[str, str] = {}
    paths = document.data.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        for method, entry in item.items() if isinstance(item, dict) else ():
            if method not in _METHODS or not isinstance(entry, dict):
                continue
            place, name = ("paths", path, method), entry.get("operationId")
            if isinstance(name, str):
                if name in ids:
                    fix = "give each operation its own"
                    what = f"{name!r} is also the id of {ids[name]}"
                    yield Mistake("value", (*place, "operationId"), what, fix, f"{name}_{len(ids)}")
                ids.setdefault(name, f"{method} {path}")
            elif name is None and "x-mock" in entry:
                fix, meant = "add it: journals and templates use it", _id_meant(document, f"{method}_{len(ids)}")
                yield Mistake("missing key", place, "missing required key `operationId`", fix, meant, "operationId")
            yield from _Parameters(document, place, item, entry).mistakes()


def _id_meant(document: Document, otherwise: str) -> str:
    """Return the only operation id that is named and not there."""
    items = [item for item in document.data["paths"].values() if isinstance(item, dict)]
    ids = {entry.get("operationId") for item in items for entry in item.values() if isinstance(entry, dict)}
    unknown = set(re.findall(r"\$reply\.(\w+)", repr(document.data))) - ids
    return unknown.pop() if len(unknown) == 1 else otherwise


class _Parameters:
    """The parameters of one operation: those declared, and those in its path."""

    def __init__(
        self, document: Document, place: tuple[str, str, str], item: dict[str, Any], entry: dict[str, Any]
    ) -> None:
        self._document, self._place, self._mock = document, place, entry.get("x-mock")
        self._in_path = PATH_PARAMETER.findall(place[1])
        self._lists = ((place[:2], item.get("parameters")), (place, entry.get("parameters")))

    def mistakes(self) -> Iterator[Mistake]:
        """Yield references to other things than parameters, and parameters that are duplicate, undeclared or unused."""
        declared: dict[str, Path_] = {}
        found: list[Mistake] = []
        unclear = False
        for where, parameters in self._lists:
            seen: set[tuple[str, str]] = set()
            for index, raw in enumerate(parameters if isinstance(parameters, list) else ()):
                here, parameter = (*where, "parameters", index), self._document.followed(raw)
                if not {"name", "in"} <= set(parameter):
                    if _misleads(self._document, raw):
                        unclear = True  # `reference_mistakes` tells it
                    elif isinstance(raw, dict) and isinstance(raw.get("$ref"), str):
                        fix = "use #/components/parameters/…"
                        found.append(Mistake("value", here, "does not lead to a parameter", fix))
                    continue
                name, place = str(parameter["name"]), str(parameter["in"])
                if (name, place) in seen:
                    missing = [each for each in self._in_path if each not in declared]
                    fix = f"did you mean {missing[0]}?" if len(missing) == 1 else "remove one of the two"
                    found.append(Mistake("value", (*here, "name"), f"there are two {place} parameters {name!r}", fix))
                seen.add((name, place))
                if place == "path":
                    declared[name] = here
        yield from found
        if not found and not unclear:
            yield from self._of_names(declared)

    def _of_names(self, declared: dict[str, Path_]) -> Iterator[Mistake]:
        missing = [each for each in self._in_path if each not in declared]
        unused = [each for each in declared if each not in self._in_path]
        if len(missing) == len(unused) == 1:
            yield self._misnamed(missing[0], unused[0], declared[unused[0]])
            return
        path = self._place[:2]
        for name in missing:
            fix = f"add {{name: {name}, in: path, required: true, schema: {{type: string}}}} to its parameters"
            yield Mistake("value", path, f"does not declare the path parameter {name!r}", fix)
        for name in unused:
            yield Mistake("value", declared[name], f"the path has no {{{name}}}", "remove it, or add it to the path")
        for name in self._in_path:
            if self._in_path.count(name) > 1:
                yield Mistake("value", path, f"has the path parameter {name!r} twice", "rename one of them")

    def _misnamed(self, in_path: str, declared: str, here: Path_) -> Mistake:
        """Report one name in the path and another one declared: the one that x-mock knows is right."""
        if self._known(declared) and not self._known(in_path):
            meant = self._place[1].replace(f"{{{in_path}}}", f"{{{declared}}}")
            what = f"does not declare the path parameter {in_path!r}"
            return Mistake("unknown key", self._place[:2], what, f"did you mean {declared}?", meant)
        what, fix = f"the path has no {{{declared}}}", f"did you mean {in_path}?"
        direct = "name" in (at(self._document.data, here) or ())
        return Mistake("value", (*here, "name") if direct else here, what, fix, in_path if direct else UNKNOWN)

    def _known(self, name: str) -> bool:
        everywhere = repr(self._document.data.get("x-mock"))
        return f"{{{name}}}" in everywhere or f"path.{name}'" in repr(self._mock)


def openapi_mistakes(document: Document) -> list[Mistake]:
    """Validate against the OpenAPI 3.1 schema with openapi-spec-validator."""
    from openapi_spec_validator import OpenAPIV31SpecValidator  # noqa: PLC0415 - slow to load, only needed here

    version = document.data.get("openapi")
    if not isinstance(version, str) or not version.startswith("3.1"):
        return [Mistake("value", ("openapi",), f"must be 3.1.x; got {version!r}", "write `openapi: 3.1.0`", "3.1.0")]
    found: list[Mistake] = []
    data = _without(document)
    try:
        for error in OpenAPIV31SpecValidator(data).iter_errors():
            path = _whole_path(data, tuple(getattr(error, "absolute_path", ())), error)
            if type(error).__name__ not in _CHECKED_HERE and not _misleads(document, at(document.data, path)):
                found += _told(error, path, data)
    except Exception as error:  # noqa: BLE001 - the validator raises arbitrary errors for some invalid documents
        if not found:
            what = f"is not valid OpenAPI 3.1: {type(error).__name__}: {str(error)[:_LONGEST]}"
            found.append(Mistake("value", (), what, _SEE))
    return found


#: Errors that `operation_mistakes` tells with their line.
_CHECKED_HERE = ("UnresolvableParameterError", "DuplicateOperationIDError", "ParameterDuplicateError")


def _told(error: Any, path: Path_, data: Any) -> Iterator[Mistake]:
    """Explain an error of the validator."""
    message = str(getattr(error, "message", error)).partition("\n")[0]
    keywords = [str(key) for key in getattr(error, "schema_path", ())] or [""]
    node = pointed(getattr(error, "schema", {}), tuple(keywords[:-1]), {})
    schema = node if isinstance(node, dict) else {}
    if keywords[-1] in ("unevaluatedProperties", "additionalProperties"):
        patterns = " or ".join(schema.get("patternProperties", {}))
        fix = f"other keys must match {patterns}" if patterns and len(schema["patternProperties"]) == 1 else ""
        for text in _QUOTED.findall(message):
            told = unknown_key((*path, ast.literal_eval(text)), schema.get("properties", {}), fix)
            if path[-1:] == ("responses",):
                told = told._replace(meant="default", fix="write a status such as '200', or default")
            yield told
        return
    what = f"is not valid OpenAPI 3.1: {message[:_LONGEST]}"
    if keywords[-1] == "required":
        names = _QUOTED.findall(message.replace('"', "'"))
        missing = names[0][1:-1] if names else ""
        yield Mistake("missing key", path, f"missing required key `{missing}`", "add it", missing=missing)
        return
    forms = getattr(error, "context", None) or ()
    allowed = next((each.validator_value for each in forms if each.validator == "enum"), schema.get("enum", ()))
    if keywords[-1] == "oneOf" and "parameters" in path[-2:-1]:
        if isinstance(parameter := at(data, path), dict) and "schema" not in parameter:
            yield Mistake("missing key", path, "missing required key `schema`", "add it", missing="schema")
    elif allowed:
        yield wrong_value(path, at(data, path), allowed, what)
    else:
        yield Mistake("value", path, what, _SEE, NOTHING)


def _without(document: Document) -> Any:
    """Return the data without what the validator cannot take.

    A reference without a target makes it give up, and it would search defaults for patterns by backtracking.
    """

    def walk(value: Any, *, named: bool) -> Any:
        if isinstance(value, list):
            return [walk(each, named=False) for each in value if not _misleads(document, each)]
        if not isinstance(value, dict):
            return value
        if _misleads(document, value):
            return {}
        return {
            key: each if key in _NOT_FOLLOWED else walk(each, named=key in ("properties", "schemas"))
            for key, each in value.items()
            if named or key != "pattern" or not isinstance(each, str)
        }

    return walk(document.data, named=False)


def _misleads(document: Document, value: Any) -> bool:
    """Tell whether a value is a reference to nothing."""
    return isinstance(value, dict) and isinstance(value.get("$ref"), str) and bool(document.unresolved(value["$ref"]))


def _whole_path(data: Any, path: Path_, error: Any) -> Path_:
    """Complete a path that the validator reports relative to a schema: return the first place that fits."""
    instance = getattr(error, "instance", None)
    path = tuple(_as_written(data, path))
    if not path or at(data, path) is instance:
        return path
    places = [each for each in _paths(data, ()) if each[-len(path) :] == path and at(data, each) == instance]
    return places[0] if places else path


def _as_written(data: Any, path: Path_) -> Iterator[str | int]:
    """Yield the keys of a path; the validator turns those that look like numbers into numbers."""
    for key in path:
        written = str(key) if isinstance(data, dict) else key
        data = at(data, (written,))
        yield written


def _paths(node: Any, path: Path_) -> Iterator[Path_]:
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from _paths(child, (*path, key))
