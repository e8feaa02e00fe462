"""The JSON Schema of x-mock, and the check of a document against it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from mockserver.spec.document import Document, Path_, SpecError
from mockserver.spec.mistakes import NOTHING, UNKNOWN, Mistake, tidied, unknown_key, wrong_value
from mockserver.spec.pointer import at
from mockserver.spec.words import near

_EXPRESSION = r"^\$[a-z]"
_OF_TYPE = {"number": 1, "integer": 1, "boolean": False}
_BOUNDS = {"maximum": "at most", "minimum": "at least", "exclusiveMinimum": "more than"}


def specs_directory() -> Path:
    """Return the folder of the specs: inside an installed package, next to it in a checkout."""
    packaged = Path(__file__).parent.parent / "_specs"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent.parent / "specs"


def builtin_specs() -> list[Path]:
    """Return the files of the built-in specs."""
    return sorted(specs_directory().glob("*.yaml"))


@cache
def vocabulary() -> dict[str, Any]:
    """Return the schema of x-mock."""
    found: dict[str, Any] = json.loads((specs_directory() / "x-mock.schema.json").read_text(encoding="utf-8"))
    return found


def conditions() -> tuple[str, ...]:
    """Return every condition that the `when` of an error can name, in the order of the gates."""
    return tuple(vocabulary()["$defs"]["condition"]["enum"])


@cache
def _validator(definition: str) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of a definition, such as `provider`."""
    schema = {"$ref": f"#/$defs/{definition}", "$defs": vocabulary()["$defs"]}
    return jsonschema_rs.Draft202012Validator(schema)


def check_vocabulary(document: Document) -> None:
    """Check that a document uses x-mock correctly, without unknown keys.

    Raises:
        SpecError: with every issue and its line.
    """
    mistakes = tidied(vocabulary_mistakes(document))
    if mistakes:
        raise SpecError([each.issue(document) for each in mistakes])


def vocabulary_mistakes(document: Document) -> Iterator[Mistake]:
    """Yield what is wrong in the form of a document's x-mock."""
    data = document.data
    mock = data.get("x-mock")
    if not isinstance(mock, dict) or not ({"provider", "part_of"} & set(mock)):
        fix = "a spec needs x-mock at its root; specs/x-mock.schema.json describes it"
        yield Mistake("missing key", ("x-mock",), "missing `provider` or `part_of`", fix, missing="provider")
    if isinstance(mock, dict):
        yield from _mistakes("part" if "part_of" in mock else "provider", mock, ("x-mock",))
    if not isinstance(data.get("paths"), dict) or not data["paths"]:
        fix = "add the paths of the API"
        yield Mistake("missing key", (), "missing required key `paths`", fix, missing="paths")
        return
    if not isinstance(data.get("info"), dict):
        yield Mistake("missing key", (), "missing required key `info`", "add it, with a title", missing="info")
    elif not isinstance(data["info"].get("title"), str):
        yield Mistake("missing key", ("info",), "missing required key `title`", "add it", missing="title")
    for path, item in data["paths"].items():
        if not isinstance(item, dict):
            yield Mistake("value", ("paths", path), "expected a mapping of methods", "write get, post, … below it")
            continue
        for method, operation in item.items():
            if isinstance(operation, dict) and "x-mock" in operation:
                yield from _operation_mistakes(operation["x-mock"], ("paths", path, method, "x-mock"))


@cache
def _roles() -> dict[str, int]:
    """Return which form of an operation each role has."""
    roles: dict[str, int] = {}
    for number, branch in enumerate(vocabulary()["$defs"]["operation"]["oneOf"]):
        role = branch["properties"]["role"]
        roles |= dict.fromkeys(role.get("enum") or [role["const"]], number)
    return roles


def _operation_mistakes(mock: Any, place: Path_) -> Iterator[Mistake]:
    """Yield the mistakes of an operation: by the words of its role."""
    branches = _roles()
    role = mock.get("role") if isinstance(mock, dict) else None
    if isinstance(role, str) and role in branches:
        found = list(_mistakes(f"operation/oneOf/{branches[role]}", mock, place))
        yield from _wrong_role(mock, place, branches, found) or found
    elif role is not None:
        yield wrong_value((*place, "role"), role, branches, f"there is no role {role!r}")
    elif isinstance(mock, dict):
        yield from (unknown_key((*place, key), ["role"]) for key in mock if near(key, ["role"]))
        fix = f"write one of {', '.join(branches)}"
        yield Mistake("missing key", place, "missing required key `role`", fix, missing="role")
    else:
        yield Mistake("value", place, "expected a mapping", "write `x-mock: {role: …}`")


def _wrong_role(mock: Any, place: Path_, branches: dict[str, int], found: list[Mistake]) -> list[Mistake]:
    """Report the role alone where its keys are wrong, and right for another role."""
    wrong = [str(each.path[-1]) for each in found if each.kind == "unknown key"]
    fitting = [
        role
        for role, number in branches.items()
        if wrong and not any(_mistakes(f"operation/oneOf/{number}", {**mock, "role": role}, place))
    ]
    if not fitting:
        return []
    what, meant = f"the role `{mock['role']}` has no {', '.join(wrong)}", fitting[0] if len(fitting) == 1 else UNKNOWN
    return [Mistake("value", (*place, "role"), what, f"did you mean {' or '.join(fitting)}?", meant)]


def _mistakes(definition: str, value: Any, place: Path_) -> Iterator[Mistake]:
    for error in _validator(definition).iter_errors(value):
        yield from _mistake(error, value, place)


def _mistake(error: jsonschema_rs.ValidationError, value: Any, place: Path_) -> Iterator[Mistake]:
    details, kind = error.kind.as_dict(), error.kind.name
    path = (*place, *error.instance_path)
    if kind == "additionalProperties":
        schema = at(vocabulary(), error.schema_path[:-1], {})
        present = at(value, error.instance_path, {})
        for name in details["unexpected"]:
            yield unknown_key((*path, name), [key for key in schema.get("properties", {}) if key not in present])
    elif kind == "required":
        name = details["property"]
        fix = "specs/x-mock.schema.json describes it"
        yield Mistake("missing key", path, f"missing required key `{name}`", fix, missing=name)
    elif kind in ("enum", "const"):
        wrong = at(value, error.instance_path)
        allowed = details["options"] if kind == "enum" else [details["expected_value"]]
        yield wrong_value(path, wrong, allowed, str(error.message))
    elif kind == "oneOf" and details.get("context"):
        here = list(error.instance_path)
        wrong = at(value, here)
        branches = [branch for branch in details["context"] if branch]
        for each in min(branches, key=lambda branch: _distance(branch, here, wrong), default=()):
            yield from _mistake(each, value, place)
    elif kind == "pattern" and details["pattern"] == _EXPRESSION:
        wrong = at(value, error.instance_path)
        yield Mistake("value", path, f"{wrong!r} is no expression", "write a number, or $ and a name", 1)
    else:
        yield Mistake("value", path, str(error.message), _fix(kind, details), _instead(kind, details))


def _distance(branch: list[jsonschema_rs.ValidationError], here: list[str | int], wrong: Any) -> tuple[int, ...]:
    """Tell how far a value is from a form: most where it is of another type, less where it is another word or key."""
    of_type = any(each.kind.name == "type" and each.instance_path == here for each in branch)
    of_word = any(each.kind.name == "const" and each.instance_path == here for each in branch)
    unknown = [each for each in branch if each.kind.name == "additionalProperties" and each.instance_path == here]
    keys = sum(len(each.kind.as_dict()["unexpected"]) for each in unknown)
    return of_type or (of_word and not isinstance(wrong, str)), not of_word, len(branch) > 1, keys


def _instead(kind: str, details: dict[str, Any]) -> Any:
    """Return a value that may stand there, so that what depends on it can be checked."""
    if kind == "type":
        return next((_OF_TYPE[each] for each in details["types"] if each in _OF_TYPE), NOTHING)
    return math.floor(details["limit"]) + (kind == "exclusiveMinimum") if kind in _BOUNDS else NOTHING


def _fix(kind: str, details: dict[str, Any]) -> str:
    if kind == "type":
        return f"write a value of type {' or '.join(details['types'])}"
    word = _BOUNDS.get(kind)
    return "specs/x-mock.schema.json says what it may be" if word is None else f"write {word} {details['limit']:g}"
