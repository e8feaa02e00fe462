"""A spec file: its data, its `$ref`s, and the line of every value.

Reading is fast (PyYAML's C loader); lines are worked out only when there is an issue to report.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import yaml

from mockserver.spec.cache import cached
from mockserver.spec.loading import MOST_REPEATED, TOO_DEEP, is_bounded, loaded, shortened
from mockserver.spec.pointer import MISSING, keys_of, pointed

Path_ = tuple[str | int, ...]
#: A parameter in a path, such as `{task_id}`.
PATH_PARAMETER = re.compile(r"\{([^{}]*)\}")
#: What a reference that leads nowhere stands for: always this one, so that it can be told by its identity.
NO_TARGET: dict[str, Any] = {}
_YAML = "nothing else can be checked until this is mended"
_LONGEST_CHAIN = 50
_LONGEST_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class SpecIssue:
    """A problem in a spec: where, what, and how to fix it."""

    file: str
    line: int | None
    message: str
    fix: str = ""
    #: The place in the document, and the message without it.
    path: Path_ = field(default=(), compare=False, repr=False)
    said: str = field(default="", compare=False, repr=False)
    #: It keeps nothing from being served.
    is_warning: bool = False

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        kind = "warning: " if self.is_warning else ""
        return f"{place}: {kind}{self.message}" + (f" ({self.fix})" if self.fix else "")


class SpecError(ValueError):
    """A spec cannot be served; `issues` lists the reasons."""

    def __init__(self, issues: list[SpecIssue]) -> None:
        super().__init__("\n".join(str(issue) for issue in issues))
        self.issues = issues

    @property
    def faults(self) -> list[SpecIssue]:
        """The old name of `issues`."""
        warnings.warn("SpecError.faults is now SpecError.issues", DeprecationWarning, stacklevel=2)
        return self.issues


@dataclass
class Document:
    """One spec file as read."""

    CIRCLE: ClassVar = "leads in a circle"

    name: str
    text: str
    data: dict[str, Any] = field(repr=False)
    #: Whether a part of it is not what is written, but what was probably meant.
    guessed: bool = False
    #: Where parts are written that stand elsewhere: by their place here, the document and the place there.
    origins: Mapping[Path_, tuple[Document, Path_]] = field(default_factory=dict, repr=False)
    #: What is wrong and keeps nothing from being served: document, place, message and fix.
    warnings: Sequence[tuple[Document, Path_, str, str]] = field(default=(), repr=False)

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read a YAML or JSON file.

        Raises:
            SpecError: it cannot be read, or is not a YAML mapping.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise SpecError([SpecIssue(str(path), None, f"cannot be read: {error.strerror}")]) from None
        except UnicodeDecodeError:
            raise SpecError([SpecIssue(str(path), None, "is not UTF-8 text")]) from None
        return cls.parse(str(path), text)

    @classmethod
    def parse(cls, name: str, text: str) -> Document:
        """Parse the text of a spec.

        Raises:
            SpecError: it is not a YAML mapping, or has a duplicate key.
        """
        try:
            data = cached(text, loaded)
        except yaml.MarkedYAMLError as error:
            line = None if error.problem_mark is None else error.problem_mark.line + 1
            # PyYAML from 6.0.4 on limits nesting itself.
            what = (
                TOO_DEEP if "nesting depth" in str(error.problem) else shortened(str(error.problem), _LONGEST_MESSAGE)
            )
            raise SpecError([SpecIssue(name, line, f"is not valid YAML: {what}", _YAML)]) from None
        except yaml.reader.ReaderError as error:
            line = text.encode()[: error.position].count(b"\n") + 1
            what = f"the character {error.character:#06x} is not allowed"
            raise SpecError([SpecIssue(name, line, f"is not valid YAML: {what}")]) from None
        if not isinstance(data, dict):
            raise SpecError([SpecIssue(name, 1, "expected a mapping")])
        if "&" in text and not is_bounded(data):
            message = f"is too large: its aliases repeat more than {MOST_REPEATED} values"
            raise SpecError([SpecIssue(name, None, message, "write $ref where the same schema is meant")])
        return cls(name, text, data)

    @cached_property
    def _root(self) -> yaml.Node | None:
        try:
            return yaml.compose(self.text, Loader=yaml.CSafeLoader)
        except yaml.YAMLError:  # JSON may be indented with tabs
            return None

    def line(self, path: Path_) -> int | None:
        """Return the line of the value at a path of keys, or of the nearest value around it."""
        node = self._root
        line = None if node is None else node.start_mark.line + 1
        for key in path:
            if isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if pair[0].value == str(key)), None)
                if pair is None:
                    return line
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
                node = node.value[key]
                line = node.start_mark.line + 1
            else:
                return line
        return line

    def origin(self, path: Path_) -> tuple[Document, Path_]:
        """Return the document that a part is written in, and its place there."""
        for length in range(len(path), 0, -1) if self.origins else ():
            if path[:length] in self.origins:
                document, above = self.origins[path[:length]]
                return document.origin((*above, *path[length:]))
        return self, path

    def issue(self, path: Path_, message: str, fix: str = "") -> SpecIssue:
        """Report something wrong at a path."""
        document, there = self.origin(path)
        # An overlay's own place would say less than the one that it changes.
        shown = path if "overlay" in document.data else there
        where = "/".join(shortened(str(key)) for key in shown)
        what = shortened(f"{where}: {message}" if where else message, _LONGEST_MESSAGE)
        return SpecIssue(document.name, document.line(there), what, fix, shown, message)

    def resolve(self, pointer: str) -> Any:
        """Follow a reference within this document, such as ``#/components/schemas/Task``.

        Raises:
            KeyError: the target does not exist.
        """
        return resolve(self.data, pointer)

    def followed(self, value: Any) -> dict[str, Any]:
        """Return what a mapping stands for: the target of its `$ref`, if it has one; empty where that is none."""
        return followed(self.data, value)

    def unresolved(self, reference: str) -> str:
        """Return why a reference has no target; empty where it has one."""
        for _ in range(_LONGEST_CHAIN):
            try:
                found = self.resolve(reference)
            except KeyError:
                return "does not exist"
            if not isinstance(found, dict) or not isinstance(found.get("$ref"), str):
                return ""
            reference = found["$ref"]
        return self.CIRCLE

    def patched(self, patch: dict[str, Any]) -> Document:
        """Return the document with a JSON Merge Patch applied."""
        return replace(self, data=merge_patch(self.data, patch))


def followed(data: Any, value: Any) -> dict[str, Any]:
    """Return what a mapping in a document's data stands for; `NO_TARGET` where its `$ref` leads to no mapping."""
    for _ in range(_LONGEST_CHAIN):
        if not isinstance(value, dict) or not isinstance(value.get("$ref"), str):
            break
        value = pointed(data, keys_of(value["$ref"].removeprefix("#")))
    else:
        return NO_TARGET
    return value if isinstance(value, dict) else NO_TARGET


def resolve(data: Any, pointer: str) -> Any:
    """Follow a reference within a document.

    Raises:
        KeyError: the target does not exist, or is in another document.
    """
    found = pointed(data, keys_of(pointer[1:]), MISSING) if pointer.startswith("#/") else MISSING
    if found is MISSING:
        raise KeyError(pointer)
    return found


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON Merge Patch (RFC 7396); nothing is changed in place."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge_patch(out.get(key), value)
    return out


def bundled_json(path: Path) -> Any:
    """Read a JSON file that ships with the package."""
    return json.loads(path.read_text(encoding="utf-8"))
