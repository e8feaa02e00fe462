"""Places in a spec, and the edits that would make it agree with what was recorded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mockserver.spec.document import Document
from mockserver.spec.pointer import MISSING, at, keys_of

Keys = tuple[str | int, ...]
_LONGEST_CHAIN = 50


@dataclass(frozen=True, eq=False)
class Place:
    """A value in a document, by its keys from the top."""

    document: Document
    keys: Keys = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.document is other.document and self.keys == other.keys

    def __hash__(self) -> int:
        return hash((self.document.name, self.keys))

    def at(self, *keys: str | int) -> Place:
        """Return a place below this one."""
        return Place(self.document, (*self.keys, *keys))

    @property
    def value(self) -> Any:
        """What stands there; MISSING if nothing does."""
        return at(self.document.data, self.keys, MISSING)

    def mapping(self) -> dict[str, Any]:
        """Return the mapping that stands there; empty if none does."""
        value = self.value
        return value if isinstance(value, dict) else {}

    def followed(self) -> Place:
        """Follow `$ref`s to the place that is meant."""
        here = self
        for _ in range(_LONGEST_CHAIN):
            reference = here.mapping().get("$ref")
            if not isinstance(reference, str) or not reference.startswith("#/"):
                break
            here = Place(self.document, keys_of(reference[1:]))
        return here

    def field(self, *keys: str) -> Place:
        """Return the place of a field of a template, also where it is optional there."""
        here = self
        for key in keys:
            known = here.mapping()
            here = here.at(f"{key}?" if f"{key}?" in known and key not in known else key)
        return here

    def below(self) -> Iterator[str]:
        """Yield the keys of the mapping that stands there."""
        yield from self.mapping()

    @property
    def pointer(self) -> str:
        """The place as a JSON pointer."""
        return "#/" + "/".join(str(key).replace("~", "~0").replace("/", "~1") for key in self.keys)

    def __str__(self) -> str:
        document, keys = self.document.origin(self.keys)
        line = document.line(keys)
        return _short(document.name) + ("" if line is None else f":{line}")


def _short(name: str) -> str:
    """Return a path relative to the working directory, if it is below that."""
    path, here = Path(name), Path.cwd()
    return os.fspath(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else name


def flow(value: Any) -> str:
    """Write a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1 << 30, sort_keys=False, allow_unicode=True)
    return text.removesuffix("...\n").strip()


@dataclass(frozen=True)
class Edit:
    """A change of one value of a spec: to another one, or its removal (`MISSING`)."""

    place: Place
    value: Any
    #: What it says, if that is shorter than the whole value.
    words: str = ""

    def __str__(self) -> str:
        if self.words:
            return self.words
        pointer = self.place.pointer
        return f"remove {pointer}" if self.value is MISSING else f"set {pointer} to {flow(self.value)}"

    def applied(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return a document's data with the change."""
        changed: dict[str, Any] = _changed(data, self.place.keys, self.value)
        return changed


def _changed(value: Any, keys: Keys, new: Any) -> Any:
    if not keys:
        return new
    first, *rest = keys
    if isinstance(value, list) and isinstance(first, int):
        inner = _changed(value[first], tuple(rest), new) if first < len(value) else new
        return [*value[:first], *([] if inner is MISSING else [inner]), *value[first + 1 :]]
    before = value if isinstance(value, dict) else {}
    inner = _changed(before.get(str(first), {}), tuple(rest), new)
    return {key: each for key, each in {**before, str(first): inner}.items() if each is not MISSING}
