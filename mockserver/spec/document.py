"""A spec file: its data, its `$ref`s, and the line of every value.

Reading is fast (PyYAML's C loader); lines are worked out only when there is an issue to report.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import yaml

from mockserver.spec.pointer import MISSING, keys_of, pointed

Path_ = tuple[str | int, ...]
#: A parameter in a path, such as `{task_id}`.
PATH_PARAMETER = re.compile(r"\{([^{}]*)\}")
#: What a reference that leads nowhere stands for: always this one, so that it can be told by its identity.
NO_TARGET: dict[str, Any] = {}
#: Deeper nesting may exhaust the stack of PyYAML's C reader; nesting up to the second limit is always read.
_SAFE_NESTING = 5000
_SURE_NESTING = 100
#: The most values that aliases may repeat: a short text can expand to any number, and each is checked.
_MOST_REPEATED = 10_000
_ENDLESS = 1 << 62
_YAML = "nothing else can be checked until this is mended"
_LONGEST_WORD = 80
_LONGEST_CHAIN = 50
_TOO_DEEP = "nested too deep"
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
            data = _loaded(text)
        except yaml.MarkedYAMLError as error:
            line = None if error.problem_mark is None else error.problem_mark.line + 1
            # PyYAML from 6.0.4 on limits nesting itself.
            what = (
                _TOO_DEEP if "nesting depth" in str(error.problem) else shortened(str(error.problem), _LONGEST_MESSAGE)
            )
            raise SpecError([SpecIssue(name, line, f"is not valid YAML: {what}", _YAML)]) from None
        except yaml.reader.ReaderError as error:
            line = text.encode()[: error.position].count(b"\n") + 1
            what = f"the character {error.character:#06x} is not allowed"
            raise SpecError([SpecIssue(name, line, f"is not valid YAML: {what}")]) from None
        if not isinstance(data, dict):
            raise SpecError([SpecIssue(name, 1, "expected a mapping")])
        if "&" in text and not _is_bounded(data):
            message = f"is too large: its aliases repeat more than {_MOST_REPEATED} values"
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

    def issue(self, path: Path_, message: str, fix: str = "") -> SpecIssue:
        """Report something wrong at a path."""
        for length in range(len(path), 0, -1) if self.origins else ():
            if path[:length] in self.origins:
                document, above = self.origins[path[:length]]
                return document.issue((*above, *path[length:]), message, fix)
        where = "/".join(shortened(str(key)) for key in path)
        what = shortened(f"{where}: {message}" if where else message, _LONGEST_MESSAGE)
        return SpecIssue(self.name, self.line(path), what, fix, path, message)

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


def shortened(text: str, most: int = _LONGEST_WORD) -> str:
    """Return a user's text cut to fit into a line, with unprintable characters escaped."""
    seen = text[:most] + ("…" if len(text) > most else "")
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in seen)


def _loaded(text: str) -> Any:
    """Load a text unless its nesting could exhaust the stack.

    Each level takes a bracket or a column of its line; most texts have too few of them.

    Raises:
        YAMLError: it is not YAML, or is nested too deep.
    """
    if text.lstrip()[:1] == "{" and (found := _loaded_json(text)) is not None:
        return found
    longest = max(map(len, text.splitlines()), default=0)
    if 2 * (text.count("[") + text.count("{") + longest) > _SAFE_NESTING:
        _check_nesting(text, _SAFE_NESTING)
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, made stricter
    except RecursionError:
        _check_nesting(text, _SURE_NESTING)
        raise


def _loaded_json(text: str) -> Any:
    """Load a text that is JSON; None where it is something else, or YAML has a mistake in it to tell with its line."""
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        raise ValueError
    return out


def _no_number(_text: str) -> Any:
    raise ValueError


def _is_bounded(data: Any) -> bool:
    """Tell whether aliases repeat few values of a document; in time linear in the text."""
    sizes: dict[int, int] = {}
    written = 0
    waiting: list[tuple[Any, bool]] = [(data, False)]
    while waiting:
        value, inner_known = waiting.pop()
        if not isinstance(value, dict | list) or (id(value) in sizes and not inner_known):
            continue
        inner = list(value.values() if isinstance(value, dict) else value)
        if not inner_known:
            sizes[id(value)] = _ENDLESS  # until it is known: an alias within itself has no end
            waiting.append((value, True))
            waiting += [(each, False) for each in inner]
            continue
        written += 1 + sum(not isinstance(each, dict | list) for each in inner)
        sizes[id(value)] = min(_ENDLESS, 1 + sum(sizes.get(id(each), 1) for each in inner))
    return sizes.get(id(data), 1) - written <= _MOST_REPEATED


def _check_nesting(text: str, most: int) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > most:
                raise _wrong(event, _TOO_DEEP)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _wrong(at: Any, what: str) -> yaml.MarkedYAMLError:
    """Return an error at the position of a node or an event."""
    return yaml.constructor.ConstructorError(None, None, what, at.start_mark)


class _Loader(yaml.CSafeLoader):
    """Reads YAML as JSON: no dates, bytes or sets; keys are strings and unique."""


def _mapping(loader: _Loader, node: yaml.Node) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(node, "expected a mapping")
    out: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _wrong(key_node, "a key must be a string")
        key = key_node.value
        if key in out:
            raise _wrong(key_node, f"duplicate key {shortened(key)!r}")
        out[key] = loader.construct_object(value_node, deep=True)
    return out


def _scalar(construct: Callable[[_Loader, Any], Any], kind: str) -> Callable[[_Loader, Any], Any]:
    def constructed(loader: _Loader, node: yaml.Node) -> Any:
        try:
            return construct(loader, node)
        except (ValueError, LookupError):
            raise _wrong(node, f"{shortened(str(node.value))!r} is not a {kind}") from None

    return constructed


def _text(loader: _Loader, node: Any) -> Any:
    return loader.construct_scalar(node)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)
_Loader.add_constructor("tag:yaml.org,2002:int", _scalar(_Loader.construct_yaml_int, "valid integer"))
_Loader.add_constructor("tag:yaml.org,2002:float", _scalar(_Loader.construct_yaml_float, "valid number"))
_Loader.add_constructor("tag:yaml.org,2002:bool", _scalar(_Loader.construct_yaml_bool, "valid boolean"))
for _tag in ("binary", "set", "omap", "pairs"):
    del _Loader.yaml_constructors[f"tag:yaml.org,2002:{_tag}"]


def bundled_json(path: Path) -> Any:
    """Read a JSON file that ships with the package."""
    return json.loads(path.read_text(encoding="utf-8"))
