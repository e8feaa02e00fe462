"""Reads scenario files: a sequence of faults, accounts and expectations, as specs/scenario.schema.json defines.

`Scenario` is the main type. Built-in scenarios are in `gallery/`.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any

import jsonschema_rs

from mockserver.spec.document import Document, SpecError, SpecIssue
from mockserver.spec.loading import shortened
from mockserver.spec.vocabulary import specs_directory

_MOST_LEVELS = 100
#: The most values that are read; YAML aliases count each time, since a short text can expand to any number.
_MOST_VALUES = 1_000_000
_LONGEST_MESSAGE = 200
_FIX = "specs/scenario.schema.json lists the keys allowed here"
_EXPECTATION = "write `count` with at_least or at_most, or `gap` with at_least_s or at_most_s"
#: The limits of an account that a scenario may set.
LIMITS = ("requests_per_minute", "requests_per_hour", "tasks_per_day", "concurrent_tasks")
GALLERY = Path(__file__).with_name("gallery")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario as read. Seconds are mock time since the start of the scenario."""

    name: str
    summary: str
    good_client: str
    seed: int | None
    speed: float | None
    accounts: tuple[Mapping[str, Any], ...]
    #: Fault requests, as the control plane accepts them.
    fault_requests: tuple[Mapping[str, Any], ...]
    expect: tuple[Mapping[str, Any], ...]
    document: Document = field(repr=False, compare=False)
    #: What `contracts run` adds to the prompts of its jobs.
    prompt: str = ""

    def fault(self, path: tuple[str | int, ...], message: str, fix: str = "") -> SpecIssue:
        """Report an issue at a place in the file."""
        return self.document.issue(path, message, fix)


def gallery() -> dict[str, Path]:
    """Return the files of the built-in scenarios, by name."""
    return {path.stem: path for path in sorted(GALLERY.glob("*.yaml"))}


def find(name: str) -> Path:
    """Return the file of a scenario: a built-in one by its name, or a path.

    Raises:
        SpecError: neither exists.
    """
    known = gallery()
    if name in known:
        return known[name]
    path = Path(name)
    with contextlib.suppress(OSError):  # reading it reports the problem
        if not path.exists():
            fix = f"built-in: {', '.join(known)}"
            raise SpecError([SpecIssue(name, None, "not a file or a built-in scenario", fix)])
    return path


def read(path: Path) -> Scenario:
    """Read a scenario from a file.

    Raises:
        SpecError: every issue, with its line.
    """
    return of_document(Document.read(path))


def of_data(data: Mapping[str, Any]) -> Scenario:
    """Make a scenario from JSON data.

    Raises:
        SpecError: every issue.
    """
    return of_document(Document("scenario", "", dict(data)))


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    schema = json.loads((specs_directory() / "scenario.schema.json").read_text(encoding="utf-8"))
    return jsonschema_rs.Draft202012Validator(schema)


def of_document(document: Document) -> Scenario:
    """Check a document against the schema and make the scenario.

    Raises:
        SpecError: every issue.
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
        prompt=data.get("prompt", ""),
    )


def _check_size(document: Document) -> None:
    """Reject a document that is too large or too deep for the schema validator."""
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
            raise SpecError([document.issue(path[:1], f"is too large: more than {_MOST_VALUES} values")])
        waiting += [((*path, key), each) for key, each in inner]


def _whole(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Convert floats such as 2.0 to integers: JSON Schema accepts both."""
    return {
        name: int(value) if name in names and isinstance(value, float) and value.is_integer() else value
        for name, value in given.items()
    }


def _fault_request(event: Mapping[str, Any]) -> dict[str, Any]:
    """Convert an event of the timeline to a fault request."""
    when = dict(event.get("when", {}))
    at_s = event.get("at_s", 0)
    if at_s:
        when["from_s"] = at_s
    if "lasts_s" in event:
        when["until_s"] = at_s + event["lasts_s"]
    when = _whole(when, ("after", "every", "times"))
    return {"fault": event["fault"], "with": event.get("with", {}), "where": event.get("where", {}), "when": when}


def _issues(document: Document, error: jsonschema_rs.ValidationError) -> Iterator[SpecIssue]:
    """Report a schema violation: one issue a key, one line each."""
    kind, details = error.kind.name, error.kind.as_dict()
    path = tuple(error.instance_path)
    data: Any = document.data
    value = reduce(getitem, path, data)
    if kind in ("additionalProperties", "propertyNames"):
        for key in details["unexpected"] if kind == "additionalProperties" else (details["error"].instance,):
            yield document.issue((*path, key), f"unknown key: {shortened(key)}", _FIX)
    elif kind == "required":
        yield document.issue(path, f"missing required key `{details['property']}`")
    elif kind == "oneOf":
        if isinstance(value, dict):
            yield document.issue(path, "not an expectation", _EXPECTATION)
    elif isinstance(value, float) and not math.isfinite(value):
        yield document.issue(path, f"{value} is not a finite number")
    elif len(error.message) > _LONGEST_MESSAGE:
        half = _LONGEST_MESSAGE // 2
        yield document.issue(path, f"{error.message[:half]} … {error.message[-half:]}")
    else:
        yield document.issue(path, error.message)
