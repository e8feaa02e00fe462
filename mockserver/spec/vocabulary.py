"""The JSON Schema of x-mock, and the check of a document against it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from mockserver.spec.document import Document, SpecError, SpecIssue


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
    schema = {"$ref": f"#/$defs/{definition}", "$defs": vocabulary()["$defs"]}
    return jsonschema_rs.Draft202012Validator(schema)


def check_vocabulary(document: Document) -> None:
    """Check that a document uses x-mock correctly, without unknown keys.

    Raises:
        SpecError: with every issue and its line.
    """
    issues: list[SpecIssue] = []
    mock = document.data.get("x-mock")
    if not isinstance(mock, dict) or not ({"provider", "part_of"} & set(mock)):
        raise SpecError(
            [
                document.issue(
                    ("x-mock",),
                    "missing `provider` or `part_of`",
                    "a spec needs x-mock at its root; specs/x-mock.schema.json describes it",
                )
            ]
        )
    if not isinstance(document.data.get("paths"), dict) or not document.data["paths"]:
        raise SpecError([document.issue(("paths",), "has no operations", "add the paths of the API")])
    if not isinstance(document.data.get("info"), dict) or "title" not in document.data["info"]:
        raise SpecError([document.issue(("info",), "has no title", "add info.title")])
    issues += _issues(document, "part" if "part_of" in mock else "provider", mock, ("x-mock",))
    for path, item in document.data["paths"].items():
        if not isinstance(item, dict):
            issues.append(document.issue(("paths", path), "expected a mapping of methods"))
            continue
        for method, operation in item.items():
            if isinstance(operation, dict) and "x-mock" in operation:
                place = ("paths", path, method, "x-mock")
                issues += _issues(document, "operation", operation["x-mock"], place)
    if issues:
        raise SpecError(issues)


def _issues(document: Document, definition: str, value: Any, place: tuple[str | int, ...]) -> list[SpecIssue]:
    return [_issue(document, error, place) for error in _validator(definition).iter_errors(value)]


def _issue(document: Document, error: jsonschema_rs.ValidationError, place: tuple[str | int, ...]) -> SpecIssue:
    details = error.kind.as_dict()
    path = (*place, *error.instance_path)
    if error.kind.name == "additionalProperties":
        unknown = details["unexpected"]
        return document.issue(
            (*path, unknown[0]),
            f"unknown key{'s' if len(unknown) > 1 else ''}: {', '.join(unknown)}",
            "specs/x-mock.schema.json lists the known keys",
        )
    if error.kind.name == "required":
        return document.issue(
            path, f"missing required key `{details['property']}`", "specs/x-mock.schema.json describes it"
        )
    if error.kind.name == "oneOf" and "context" in details:
        branches = [branch for branch in details["context"] if branch]
        nearest = min(branches, key=lambda branch: (_wrong_role(branch), len(branch)), default=None)
        if nearest:
            unknown_first = sorted(nearest, key=lambda each: each.kind.name != "additionalProperties")
            return _issue(document, unknown_first[0], place)
    return document.issue(path, error.message)


def _wrong_role(branch: list[jsonschema_rs.ValidationError]) -> bool:
    return any(list(error.instance_path)[-1:] == ["role"] for error in branch)
