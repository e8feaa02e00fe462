"""Gathers what the operations of a user's OpenAPI document reach, from its files, into one document.

Components keep their place. What stands elsewhere (in another file, or in the middle of a path) moves to
`components/x-linked`; `Document.origins` says where it is from, so that errors lead there. What no operation reaches is
not looked at. Nothing is fetched: a reference may lead to files in the document's folder, and below it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from mockserver.spec.document import Document, Path_, SpecError, SpecIssue, merge_patch
from mockserver.spec.lifting import lifted
from mockserver.spec.pointer import MISSING, at, keys_of, pointed
from mockserver.spec.words import near

LINKED = "x-linked"
METHODS = ("get", "put", "post", "delete", "patch")
_ONE_SCHEMA = frozenset(
    (
        *("not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames"),
        *("unevaluatedItems", "unevaluatedProperties", "contentSchema"),
    )
)
_LIST_OF_SCHEMAS = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_MAP_OF_SCHEMAS = frozenset(("properties", "patternProperties", "dependentSchemas", "$defs", "definitions"))
#: Keys whose values are any JSON, or describe nothing that is served.
_VERBATIM = frozenset(("example", "value", "default", "enum", "const"))
_NOT_SERVED = frozenset(("callbacks", "links", "externalDocs", "tags"))
#: Keys whose values are mappings, and whether these hold mappings alone.
_MAPPINGS = {"responses": True, "content": True, "headers": True, "examples": True, "requestBody": False}
_OF_ITEM = frozenset((*METHODS, "parameters", "servers", "summary", "description"))
_LONGEST_CHAIN = 50

Kind = Literal["schema", "other"]


class _Place(NamedTuple):
    """A place in one of the files."""

    document: Document
    path: Path_

    def below(self, *keys: str | int) -> _Place:
        return _Place(self.document, (*self.path, *keys))


class _Waiting(NamedTuple):
    """A part that something refers to, and where it goes."""

    holder: dict[str, Any]
    name: str
    value: Any
    place: _Place
    kind: Kind


def gathered(document: Document) -> Document:
    """Return the document with all that its operations reach, and nothing else, as OpenAPI 3.1 says it.

    Raises:
        SpecError: with every part that is missing or has another form.
    """
    return _Gatherer(document).run()


class _Gatherer:
    def __init__(self, lead: Document) -> None:
        self._lead = lead
        self._folder = Path(lead.name).resolve().parent
        self._files: dict[Path, Document | None] = {Path(lead.name).resolve(): lead}
        self._paths = {id(lead): Path(lead.name).resolve()}
        self._links: dict[tuple[int, Path_, Kind], str] = {}
        self._waiting: deque[_Waiting] = deque()
        self._errors: list[SpecIssue] = []
        self._warnings: list[tuple[Document, Path_, str, str]] = []
        self._origins: dict[Path_, tuple[Document, Path_]] = {}
        self._components: dict[str, dict[str, Any]] = {}

    def run(self) -> Document:
        data, root = self._lead.data, _Place(self._lead, ())
        out = {key: value for key, value in data.items() if key not in ("paths", "components", *_NOT_SERVED)}
        out.pop("webhooks", None)
        out["paths"] = dict(self._items(data.get("paths"), root.below("paths")))
        schemes = pointed(data, ("components", "securitySchemes"))
        if isinstance(schemes, dict):
            place = root.below("components", "securitySchemes")
            self._components["securitySchemes"] = self._other(schemes, place)
        self._gather_waiting()
        self._models(out, root.below("x-mock", "models"))
        self._gather_waiting()
        out["components"] = self._components
        origins = {**self._lead.origins, **self._origins}
        warnings = [*self._lead.warnings, *self._warnings]
        found = replace(self._lead, data=out, origins=origins, warnings=warnings)
        self._errors += _circles(found)
        if self._errors:
            raise SpecError(self._errors)
        return found

    def _gather_waiting(self) -> None:
        while self._waiting:
            each = self._waiting.popleft()
            make = self._schema if each.kind == "schema" else self._other
            each.holder[each.name] = make(each.value, each.place)

    def _models(self, out: dict[str, Any], place: _Place) -> None:
        """Let the request schemas of models be found, which an overlay names as they are in the document."""
        models = at(out, place.path)
        if not isinstance(models, dict):
            return
        made = dict(models)
        for name, model in models.items():
            if isinstance(model, dict) and isinstance(model.get("request"), str) and model["request"][:2] == "#/":
                there = place.below(name, "request")
                found = _through({**out, "components": self._components}, model["request"]) or self._reference(
                    model["request"], there, "schema"
                )
                made[name] = {**model, "request": found}
        out["x-mock"] = {**out["x-mock"], "models": made}

    def _items(self, paths: Any, place: _Place) -> Iterator[tuple[str, dict[str, Any]]]:
        if not isinstance(paths, dict) or not paths:
            self._tell(place, "has no paths", "add the paths of the API")
            return
        for path, raw in paths.items():
            if path.startswith("x-"):
                continue
            item, here = self._target_of(raw, place.below(path))
            if here.document is not self._lead or here.path != ("paths", path):
                self._origins["paths", path] = here.document, here.path
            if not isinstance(item, dict):
                self._tell(here, "expected a mapping of methods", "write get, post, … below it")
                continue
            made = self._item(item, here)
            if item is not raw:  # what stands beside its reference: an overlay can say it nowhere else
                beside = self._item({key: each for key, each in raw.items() if key != "$ref"}, place.below(path))
                made = merge_patch(made, beside)
            yield path, made

    def _item(self, item: Mapping[str, Any], place: _Place) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, each in item.items():
            here = place.below(key)
            if key in METHODS and not isinstance(each, dict):
                self._tell(here, "expected an operation", "write a mapping with `responses`")
            elif key == "parameters" and not _is_list_of_mappings(each):
                self._tell(here, "expected a list of parameters", "write one mapping for each")
            elif key in _OF_ITEM or key.startswith("x-"):
                out[key] = self._other(each, here)
            else:
                self._warn(here, "is not served", f"use one of {', '.join(METHODS)}")
        for method in METHODS:
            parameters = out[method].get("parameters", []) if method in out else []
            if not _is_list_of_mappings(parameters):
                self._tell(place.below(method, "parameters"), "expected a list of parameters", "write one mapping each")
        return out

    # -- values -------------------------------------------------------------------------------------

    def _other(self, value: Any, place: _Place) -> Any:
        """Copy a value that is no schema."""
        if isinstance(value, list):
            return [self._other(each, place.below(index)) for index, each in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if isinstance(value.get("$ref"), str):
            return {"$ref": self._reference(value["$ref"], place, "other")}
        out: dict[str, Any] = {}
        for key, each in value.items():
            here = place.below(key)
            if key in _VERBATIM or key.startswith("x-"):
                out[key] = each
            elif key in _MAPPINGS and not self._is_mapping(key, each, here):
                continue
            elif key == "schema":
                out[key] = self._schema(each, here)
            elif key not in _NOT_SERVED or place.path[-1:] in (("headers",), ("content",), ("examples",)):
                out[key] = self._other(each, here)
        return out

    def _is_mapping(self, key: str, value: Any, place: _Place) -> bool:
        """Tell whether a part is a mapping, and all in it are where it holds mappings; what is not is told."""
        if not isinstance(value, dict):
            self._tell(place, "expected a mapping", "write names and what they stand for")
            return False
        wrong = [name for name, each in value.items() if not isinstance(each, dict) and not name.startswith("x-")]
        for name in wrong if _MAPPINGS[key] else ():
            self._tell(place.below(name), "expected a mapping", "write names and what they stand for")
        return not (wrong and _MAPPINGS[key])

    def _schema(self, value: Any, place: _Place) -> Any:
        if isinstance(value, bool):
            return value
        if not isinstance(value, dict):
            self._warn(place, "is not a schema", "write a mapping")
            return {}
        schema, left_out = lifted(value)
        for key, why in left_out:
            self._warn(place.below(key), why, "it is not checked")
        if schema.keys() == {"anyOf"} and "anyOf" not in value:  # null is allowed besides
            return {"anyOf": [self._inner(schema["anyOf"][0], place), schema["anyOf"][1]]}
        return self._inner(schema, place)

    def _inner(self, schema: Mapping[str, Any], place: _Place) -> dict[str, Any]:
        """Return a schema with the schemas in it gathered, too."""
        if isinstance(schema.get("$ref"), str):
            reference = {"$ref": self._reference(schema["$ref"], place, "schema")}
            if str(place.document.data.get("openapi", "")).startswith("3.0"):
                return reference  # what stands beside it does not count
        else:
            reference = {}
        out: dict[str, Any] = {}
        for key, each in schema.items():
            here = place.below(key)
            if key in _ONE_SCHEMA:
                out[key] = self._schema(each, here)
            elif key in _LIST_OF_SCHEMAS:
                out[key] = [self._schema(part, here.below(index)) for index, part in enumerate(each)]
            elif key in _MAP_OF_SCHEMAS:
                out[key] = {name: self._schema(part, here.below(name)) for name, part in each.items()}
            elif key != "$ref":
                out[key] = each
        return {**out, **reference}

    # -- references ---------------------------------------------------------------------------------

    def _reference(self, reference: str, place: _Place, kind: Kind) -> str:
        """Return the reference to what a reference leads to, in the gathered document."""
        target = self._find(reference, place)
        if target is None:
            return reference
        value, there = target
        if there.document is self._lead and there.path[:1] == ("components",) and len(there.path) == 3:
            section, name = map(str, there.path[1:])
            parts = self._components.setdefault(section, {})
            if name not in parts:
                parts[name] = {}
                self._waiting.append(_Waiting(parts, name, value, there, "schema" if section == "schemas" else "other"))
            return f"#/components/{_escaped(section)}/{_escaped(name)}"
        known = id(there.document), there.path, kind
        number = self._links.get(known)
        if number is None:
            number = self._links[known] = str(len(self._links))
            parts = self._components.setdefault(LINKED, {})
            parts[number] = {}
            self._origins["components", LINKED, number] = there.document, there.path
            self._waiting.append(_Waiting(parts, number, value, there, kind))
        return f"#/components/{LINKED}/{number}"

    def _target_of(self, value: Any, place: _Place) -> tuple[Any, _Place]:
        """Follow the references that a part of the document consists of."""
        for _ in range(_LONGEST_CHAIN):
            if not isinstance(value, dict) or not isinstance(value.get("$ref"), str):
                break
            found = self._find(value["$ref"], place)
            if found is None:
                return {}, place
            value, place = found
        return value, place

    def _find(self, reference: str, place: _Place) -> tuple[Any, _Place] | None:
        file, _, fragment = reference.partition("#")
        document: Document | None = place.document
        if file:
            document = self._file(unquote(file), place)
            if document is None:
                return None
        assert document is not None
        keys = keys_of(unquote(fragment)) if fragment.strip("/") else ()
        value = pointed(document.data, keys, MISSING)
        if value is MISSING:
            above = pointed(document.data, keys[:-1])
            meant = near(keys[-1], above) if isinstance(above, dict) else None
            whole = f"{reference.rpartition('/')[0]}/{meant}"
            self._tell(
                _of_reference(place),
                f"{reference!r} does not exist",
                f"did you mean {whole}?" if meant else "a reference must end at something that is there",
            )
            return None
        return value, _Place(document, keys)

    def _file(self, name: str, place: _Place) -> Document | None:
        """Return the file that a reference names."""
        here = _of_reference(place)
        if "://" in name or name.startswith("//"):
            self._tell(here, f"{name!r} is not fetched", "save it beside the document, and refer to the file")
            return None
        path = (self._paths[id(place.document)].parent / name).resolve()
        if not path.is_relative_to(self._folder):
            self._tell(here, f"{name!r} is not in the document's folder", "move it there")
            return None
        if path not in self._files:
            self._files[path] = None
            if not path.is_file():
                self._tell(
                    here, f"the file {name!r} does not exist", "a file is looked for beside the one that names it"
                )
                return None
            try:
                found = self._files[path] = Document.read(path)
                self._paths[id(found)] = path
            except SpecError as error:
                self._errors += error.issues
        return self._files[path]

    def _tell(self, place: _Place, message: str, fix: str) -> None:
        self._errors.append(place.document.issue(place.path, message, fix))

    def _warn(self, place: _Place, message: str, fix: str) -> None:
        self._warnings.append((place.document, place.path, message, fix))


def _circles(found: Document) -> Iterator[SpecIssue]:
    """Yield what a reference in the components leads to that is nowhere, or in a circle."""
    for kind, parts in found.data["components"].items():
        for name, part in parts.items():
            if isinstance(part, dict) and isinstance(part.get("$ref"), str):
                why = found.unresolved(part["$ref"])
                if why:
                    yield found.issue(("components", kind, name), why, "let it end at something")


def _through(data: Mapping[str, Any], pointer: str) -> str | None:
    """Return the pointer to what is gathered already, which may be behind references."""
    here: tuple[str, ...] = ()
    for key in keys_of(pointer[1:]):
        here = (*here, key)
        for _ in range(_LONGEST_CHAIN):
            value = pointed(data, here, MISSING)
            if not isinstance(value, dict) or not isinstance(value.get("$ref"), str):
                break
            here = keys_of(value["$ref"][1:])
        if value is MISSING:
            return None
    return "#/" + "/".join(map(_escaped, here))


def _of_reference(place: _Place) -> _Place:
    """Return where a reference itself stands."""
    return place if place.path[:1] == ("x-mock",) else place.below("$ref")


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _is_list_of_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)
