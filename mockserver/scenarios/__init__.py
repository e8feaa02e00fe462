"""Scenarios: a day that a client may have, as a YAML file. specs/scenario.schema.json has the words.

`gallery/` holds those that come with the package; a file of a user's own is read in the same way.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from mockserver.spec.document import Document, SpecError, SpecIssue, shortened
from mockserver.spec.vocabulary import specs_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST_LEVELS = 100
#: How many values are read; aliases, which let a short text mean any number of them, count each time.
_MOST_VALUES = 1_000_000
_LONGEST_MESSAGE = 200
_FIX = "specs/scenario.schema.json lists the words that may stand here"
_EXPECTATION = "write `count` with at_least or at_most, or `gap` with at_least_s or at_most_s"
#: The limits of an account that a scenario may set.
LIMITS = ("requests_per_minute", "requests_per_hour", "concurrent_tasks")
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
    fault_requests: tuple[Mapping[str, Any], ...]
    expect: tuple[Mapping[str, Any], ...]
    document: Document = field(repr=False, compare=False)

    def fault(self, path: tuple[str | int, ...], message: str, fix: str = "") -> SpecIssue:
        """Say what is wrong at a place in its file."""
        return self.document.issue(path, message, fix)


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
    try:
        there = path.exists()
    except OSError:
        there = True  # and reading it says what is wrong
    if not there:
        raise SpecError(
            [SpecIssue(name, None, "is no file, and no scenario of the gallery", f"there are {', '.join(known)}")]
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
    _check_size(document)
    faults = [fault for error in _validator().iter_errors(document.data) for fault in _issues(document, error)]
    if faults:
        raise SpecError(sorted(faults, key=lambda fault: fault.line or 0))
    data = _whole(document.data, ("seed",))
    return Scenario(
        name=data["scenario"],
        summary=data.get("summary", ""),
        good_client=data.get("good_client", ""),
        seed=data.get("seed"),
        speed=data.get("clock", {}).get("speed"),
        accounts=tuple(_whole(each, LIMITS) for each in data.get("accounts", ())),
        fault_requests=tuple(_fault_request(event) for event in data["timeline"]),
        expect=tuple(_whole(each, ("at_least", "at_most")) for each in data.get("expect", ())),
        document=document,
    )


def _check_size(document: Document) -> None:
    """Refuse what is too large, or nested too deep, for what judges it.

    Raises:
        SpecError: it is.
    """
    left = _MOST_VALUES
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), document.data)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            inner: Any = value.items()
        elif isinstance(value, list):
            inner = enumerate(value)
        else:
            continue
        left -= len(value)
        if len(path) >= _MOST_LEVELS:
            raise SpecError([document.issue(path[:1], f"is nested more than {_MOST_LEVELS} levels deep")])
        if left < 0:
            raise SpecError([document.issue(path[:1], f"is too large: more than {_MOST_VALUES} values were found")])
        waiting += [((*path, key), each) for key, each in inner]


def _whole(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Write whole numbers as such: to JSON Schema 2.0 is an integer too."""
    return {
        name: int(value) if name in names and isinstance(value, float) and value.is_integer() else value
        for name, value in given.items()
    }


def _fault_request(event: Mapping[str, Any]) -> dict[str, Any]:
    """Write an event of the time line as a wish for a fault."""
    when = dict(event.get("when", {}))
    at_s = event.get("at_s", 0)
    if at_s:
        when["from_s"] = at_s
    if "lasts_s" in event:
        when["until_s"] = at_s + event["lasts_s"]
    when = _whole(when, ("after", "every", "times"))
    return {"fault": event["fault"], "with": event.get("with", {}), "where": event.get("where", {}), "when": when}


def _issues(document: Document, error: jsonschema_rs.ValidationError) -> Iterator[SpecIssue]:
    """Say what the schema has against a document: each word for itself, in words of ours, in a line."""
    kind, details = error.kind.name, error.kind.as_dict()
    path = tuple(error.instance_path)
    value = _value_at(document.data, path)
    if kind == "additionalProperties":
        for word in details["unexpected"]:
            yield document.issue((*path, word), f"unknown word: {shortened(word)}", _FIX)
    elif kind == "propertyNames":
        word = details["error"].instance
        yield document.issue((*path, word), f"unknown word: {shortened(word)}", _FIX)
    elif kind == "required":
        yield document.issue(path, f"has no `{details['property']}`", "it must have one")
    elif kind == "oneOf":
        if isinstance(value, dict):
            yield document.issue(path, "is no expectation", _EXPECTATION)
    elif isinstance(value, float) and not math.isfinite(value):
        yield document.issue(path, f"{value} is no number that can be counted with")
    elif len(error.message) > _LONGEST_MESSAGE:
        half = _LONGEST_MESSAGE // 2
        yield document.issue(path, f"{error.message[:half]} … {error.message[-half:]}")
    else:
        yield document.issue(path, error.message)


def _value_at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value
