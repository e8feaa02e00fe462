"""Scenarios: a day that a client may have, as a YAML file. specs/scenario.schema.json has the words.

`gallery/` holds those that come with the package; a file of a user's own is read in the same way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from mockserver.spec.document import Document, Fault, SpecError
from mockserver.spec.vocabulary import specs_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

GALLERY = Path(__file__).with_name("gallery")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario as read. Seconds are mock time since its start."""

    name: str
    summary: str
    good_client: str
    seed: int | None
    speed: float | None
    accounts: tuple[Mapping[str, Any], ...]
    #: Wishes for faults, as the control plane takes them.
    wishes: tuple[Mapping[str, Any], ...]
    expect: tuple[Mapping[str, Any], ...]
    document: Document = field(repr=False, compare=False)

    def fault(self, path: tuple[str | int, ...], message: str, fix: str = "") -> Fault:
        """Say what is wrong at a place in its file."""
        return self.document.fault(path, message, fix)


def gallery() -> dict[str, Path]:
    """Return the scenarios that come with the package, by name."""
    return {path.stem: path for path in sorted(GALLERY.glob("*.yaml"))}


def find(name: str) -> Path:
    """Return the file of a scenario: one of the gallery by its name, or a path.

    Raises:
        SpecError: there is neither.
    """
    known = gallery()
    if name in known:
        return known[name]
    path = Path(name)
    if not path.exists():
        raise SpecError(
            [Fault(name, None, "is no file, and no scenario of the gallery", f"there are {', '.join(known)}")]
        )
    return path


def read(path: Path) -> Scenario:
    """Read a scenario from a file.

    Raises:
        SpecError: with everything that is wrong, and the lines.
    """
    return of_document(Document.read(path))


def of_data(data: Mapping[str, Any]) -> Scenario:
    """Make a scenario from what came as JSON.

    Raises:
        SpecError: with everything that is wrong.
    """
    return of_document(Document("scenario", "", dict(data)))


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    schema = json.loads((specs_directory() / "scenario.schema.json").read_text(encoding="utf-8"))
    return jsonschema_rs.Draft202012Validator(schema)


def of_document(document: Document) -> Scenario:
    """Check a document against the schema, and make the scenario.

    Raises:
        SpecError: with everything that is wrong.
    """
    faults = [_fault(document, error) for error in _validator().iter_errors(document.data)]
    if faults:
        raise SpecError(faults)
    data = document.data
    return Scenario(
        name=data["scenario"],
        summary=data.get("summary", ""),
        good_client=data.get("good_client", ""),
        seed=data.get("seed"),
        speed=data.get("clock", {}).get("speed"),
        accounts=tuple(data.get("accounts", ())),
        wishes=tuple(_wish(event) for event in data["timeline"]),
        expect=tuple(data.get("expect", ())),
        document=document,
    )


def _wish(event: Mapping[str, Any]) -> dict[str, Any]:
    """Write an event of the time line as a wish for a fault."""
    when = dict(event.get("when", {}))
    at_s = event.get("at_s", 0)
    if at_s:
        when["from_s"] = at_s
    if "lasts_s" in event:
        when["until_s"] = at_s + event["lasts_s"]
    whole = {
        name: int(value) if name in ("after", "every", "times") and value == int(value) else value
        for name, value in when.items()
    }
    return {"fault": event["fault"], "with": event.get("with", {}), "where": event.get("where", {}), "when": whole}


def _fault(document: Document, error: jsonschema_rs.ValidationError) -> Fault:
    details = error.kind.as_dict()
    path = tuple(error.instance_path)
    fix = "specs/scenario.schema.json lists the words that may stand here"
    if error.kind.name == "additionalProperties":
        unknown = details["unexpected"]
        return document.fault(
            (*path, unknown[0]), f"unknown word{'s' if len(unknown) > 1 else ''}: {', '.join(unknown)}", fix
        )
    if error.kind.name == "required":
        return document.fault(path, f"has no `{details['property']}`", "it must have one")
    if error.kind.name == "oneOf":
        return document.fault(
            path, "is no expectation", "write `count` with at_least or at_most, or `gap` with at_least_s or at_most_s"
        )
    return document.fault(path, error.message, fix if error.kind.name == "propertyNames" else "")
