"""OpenAPI Overlays, 1.0 and 1.1: applies their actions to a document, in order, and keeps track of who said what.

`Document.origins` of the result says which parts an overlay has written, so that errors lead there. An action whose
target is misspelt is told, and applied where it was probably meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import takewhile
from typing import Any

from mockserver.spec.document import Document, Path_, SpecIssue
from mockserver.spec.origins import Origins
from mockserver.spec.pointer import at
from mockserver.spec.words import near, suggestion

_FORM = re.compile(r"1\.[01](\.[0-9]+)?")
_ROOT_KEYS = ("overlay", "info", "extends", "actions")
_WHAT_TO_DO = ("update", "remove", "copy")
_ACTION_KEYS = ("target", "description", *_WHAT_TO_DO)
#: A step of a query that leads to one value: `.name`, `['name']` or `[0]`.
_STEP = re.compile(r"""\.([A-Za-z_][\w-]*)|\[\s*'((?:[^'\\]|\\.)*)'\s*\]|\[\s*"((?:[^"\\]|\\.)*)"\s*\]|\[([0-9]+)\]""")
_ESCAPE = re.compile(r"\\(.)")
_SUCH_AS = "such as $.paths['/jobs']"
_MISSING: Any = object()


def is_overlay(data: Any) -> bool:
    """Tell whether a file is an overlay, or was meant to be one."""
    is_other = not isinstance(data, dict) or "openapi" in data or "swagger" in data
    return not is_other and ("overlay" in data or "actions" in data)


def overlaid(document: Document, overlays: Iterable[Document]) -> tuple[Document, list[SpecIssue]]:
    """Return a document with overlays applied one after the other, and what is wrong with the overlays."""
    work = _Work(document)
    for overlay in overlays:
        work.apply(overlay)
    found = replace(
        document,
        data=work.data,
        origins=work.origins.flat(),
        warnings=[*document.warnings, *work.warnings],
        guessed=work.guessed,
    )
    return found, work.issues


def written_by_overlays(document: Document) -> dict[str, Any]:
    """Return the parts of a document that overlays have written, at their places; an array is there as a whole."""
    out: dict[str, Any] = {}
    for path, (source, _) in sorted(document.origins.items(), key=lambda pair: len(pair[0])):
        if "overlay" not in source.data:
            continue
        keys = tuple(takewhile(lambda key: isinstance(key, str), path))
        holder: Any = out
        for key in keys[:-1]:
            holder = holder.setdefault(key, {}) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and keys:
            holder.setdefault(keys[-1], at(document.data, keys))
    return out


class _Work:
    """A document on which overlays are applied; what it was read from is not changed."""

    def __init__(self, document: Document) -> None:
        self.data: Any = document.data
        self.origins = Origins(document)
        self.issues: list[SpecIssue] = []
        self.warnings: list[tuple[Document, Path_, str, str]] = []
        self.guessed = False
        self._own: dict[int, Any] = {}

    def apply(self, overlay: Document) -> None:
        """Apply the actions of an overlay."""
        self._check_root(overlay)
        actions = overlay.data.get("actions")
        if not isinstance(actions, list) or not actions:
            where: Path_ = ("actions",) if "actions" in overlay.data else ()
            if not where and any(near(key, ["actions"]) for key in overlay.data):
                return  # told above
            self._tell(overlay, where, "has no list of `actions`", "write `actions:` with one entry or more")
            return
        for index, action in enumerate(actions):
            if self._is_action(overlay, ("actions", index), action):
                self._act(overlay, ("actions", index), action)

    # -- form ---------------------------------------------------------------------------------------

    def _tell(self, overlay: Document, path: Path_, message: str, fix: str) -> None:
        self.issues.append(overlay.issue(path, message, fix))

    def _warn(self, overlay: Document, path: Path_, message: str, fix: str) -> None:
        self.warnings.append((overlay, path, message, fix))

    def _check_root(self, overlay: Document) -> None:
        data = overlay.data
        self._check_keys(overlay, (), data, _ROOT_KEYS)
        version = data.get("overlay")
        if "overlay" not in data:
            if not any(near(key, ["overlay"]) for key in data):
                self._tell(overlay, (), "missing required key `overlay`", "write `overlay: 1.1.0`")
        elif not isinstance(version, str) or not _FORM.fullmatch(version):
            self._tell(overlay, ("overlay",), f"must be 1.0.x or 1.1.x; got {version!r}", "write `overlay: 1.1.0`")
        info = data.get("info")
        for key in ("title", "version"):
            if not isinstance(info, dict) or not isinstance(info.get(key), str):
                where: Path_ = ("info",) if "info" in data else ()
                self._warn(overlay, where, f"`info` has no {key}", "other tools want one, a text")

    def _check_keys(self, overlay: Document, path: Path_, data: dict[str, Any], known: tuple[str, ...]) -> None:
        for key in data:
            if key not in known and not key.startswith("x-"):
                unused = [each for each in known if each not in data]
                self._tell(overlay, (*path, key), f"unknown key: {key}", suggestion(key, unused))

    def _is_action(self, overlay: Document, path: Path_, action: Any) -> bool:
        """Tell whether an action can be applied; what keeps it from that is told."""
        if not isinstance(action, dict):
            self._tell(overlay, path, "expected an action", "write a mapping with `target` and `update`")
            return False
        known = len(self.issues)
        self._check_keys(overlay, path, action, _ACTION_KEYS)
        misspelt = len(self.issues) > known
        target = action.get("target")
        if "target" not in action and not misspelt:
            self._tell(overlay, path, "has no `target`", f"add one: a JSONPath, {_SUCH_AS}")
        elif "target" in action and not (isinstance(target, str) and target.startswith("$")):
            self._tell(overlay, (*path, "target"), f"{target!r} is not a JSONPath: it starts with no $", _SUCH_AS)
        said = [key for key in _WHAT_TO_DO if key in action]
        if not said and not misspelt:
            self._tell(overlay, path, "does nothing", f"add one of {', '.join(_WHAT_TO_DO)}")
        if not isinstance(action.get("remove", False), bool):
            self._tell(overlay, (*path, "remove"), "must be true or false", "write `remove: true`")
        if "copy" in action and str(overlay.data.get("overlay", "")).startswith("1.0"):
            self._tell(overlay, (*path, "copy"), "overlay 1.0 has no `copy`", "write `overlay: 1.1.0`")
        elif not isinstance(action.get("copy", "$"), str):
            self._tell(overlay, (*path, "copy"), "must be a JSONPath", _SUCH_AS)
        if {"update", "copy"} <= {*said}:
            self._tell(overlay, (*path, "copy"), "stands beside `update`", "make it an action of its own")
        if action.get("remove") is True and len(said) > 1:
            what = "`remove: true` leaves out what stands beside it"
            self._warn(overlay, (*path, "remove"), what, "make it an action of its own")
        return len(self.issues) == known

    # -- actions ------------------------------------------------------------------------------------

    def _act(self, overlay: Document, path: Path_, action: dict[str, Any]) -> None:
        targets = self._found(overlay, (*path, "target"), action["target"])
        if targets is None:
            return
        source = None
        if "copy" in action and action.get("remove") is not True:
            source = self._source(overlay, (*path, "copy"), action["copy"])
            if source is None:
                return
        if not targets:
            targets = self._missed(overlay, path, action)
        if action.get("remove") is True:
            for target in sorted(targets, key=_last_first, reverse=True):
                self._remove(overlay, path, target)
        elif source is not None:
            value = at(self.data, source)
            copied = self.origins.copy_of(source)
            for target in targets:
                self._merge(overlay, (*path, "copy"), target, value, copied)
        elif "update" in action:
            written = Origins(overlay, (*path, "update"))
            for target in targets:
                self._merge(overlay, (*path, "update"), target, action["update"], written)

    def _found(self, overlay: Document, where: Path_, text: str) -> list[Path_] | None:
        """Return the places that a query leads to; None where it is no query."""
        from jsonpath import JSONPathEnvironment, JSONPathError  # noqa: PLC0415 - only overlays need it

        try:
            query = JSONPathEnvironment(strict=True).compile(text)
            return list(dict.fromkeys(tuple(each.parts) for each in query.finditer(self.data)))
        except (JSONPathError, RecursionError) as error:
            why = str(error.args[0]) if error.args else "it is nested too deep"
            fix = "put names with other signs than letters into ['…']"
            self._tell(overlay, where, f"{text!r} is not a JSONPath: {why}", fix)
            return None

    def _source(self, overlay: Document, where: Path_, text: str) -> Path_ | None:
        found = self._found(overlay, where, text)
        if found is None:
            return None
        if len(found) != 1:
            what = "matches nothing" if not found else f"matches {len(found)} values"
            meant = self._meant(text) if not found else None
            fix = f"did you mean {meant[0]}?" if meant else "one is copied"
            self._tell(overlay, where, f"{text} {what}", fix)
            return None
        return found[0]

    def _missed(self, overlay: Document, path: Path_, action: dict[str, Any]) -> list[Path_]:
        """Tell that a target matches nothing; return where it was probably meant to lead."""
        text, where = action["target"], (*path, "target")
        meant = self._meant(text)
        fix = f"did you mean {meant[0]}?" if meant else self._hint(text)
        message = f"{text} matches nothing"
        if "x-mock" in text or _says_x_mock(action.get("update")):
            self._tell(overlay, where, message, fix)
            self.guessed = True
            return [] if meant is None else [meant[1]]
        self._warn(overlay, where, message, fix)
        return []

    def _hint(self, text: str) -> str:
        keys = _keys_of(text)
        for length in range(len(keys or ())):
            value = at(self.data, (keys or ())[:length], _MISSING)
            if isinstance(value, dict) and isinstance(value.get("$ref"), str):
                return f"it is {value['$ref']}: add to {query_of(keys[:length])} itself" if keys else ""
        return "an action changes what is there; add to the value around it"

    def _meant(self, text: str) -> tuple[str, Path_] | None:
        """Return the query that was probably meant, one key of which is misspelt, and the place that it leads to."""
        keys = _keys_of(text)
        if not keys:
            return None
        for length in range(len(keys)):
            holder = at(self.data, keys[:length], _MISSING)
            if at(self.data, keys[: length + 1], _MISSING) is not _MISSING:
                continue
            right = near(keys[length], holder) if isinstance(holder, dict) else None
            whole = (*keys[:length], right, *keys[length + 1 :])
            found = right is not None and at(self.data, whole, _MISSING) is not _MISSING  # type: ignore[arg-type]
            return (query_of(whole), whole) if found else None  # type: ignore[return-value, arg-type]
        return None

    # -- changes ------------------------------------------------------------------------------------

    def _owned(self, path: Path_) -> Any:
        """Return the value at a place, copied so that it can be changed, with all around it."""
        here = self.data = self._copied(self.data)
        for key in path:
            here[key] = self._copied(here[key])
            here = here[key]
        return here

    def _copied(self, value: Any) -> Any:
        if not isinstance(value, dict | list) or id(value) in self._own:
            return value
        made = dict(value) if isinstance(value, dict) else list(value)
        self._own[id(made)] = made
        return made

    def _remove(self, overlay: Document, path: Path_, target: Path_) -> None:
        if not target:
            self._tell(overlay, (*path, "target"), "the whole document cannot be removed", "name a part of it")
            return
        if at(self.data, target, _MISSING) is _MISSING:
            return  # it was in what is removed already
        holder = self._owned(target[:-1])
        del holder[target[-1]]
        if isinstance(holder, list):
            self.origins.close_gap(target[:-1], int(target[-1]), len(holder))
        else:
            self.origins.drop(target)

    def _merge(self, overlay: Document, path: Path_, target: Path_, value: Any, written: Origins) -> None:
        """Merge a value into the one at a place: objects key by key, arrays at the end of arrays."""
        old = at(self.data, target)
        if isinstance(old, dict) and not isinstance(value, dict):
            self._tell(overlay, path, f"{query_of(target)} is a mapping", "write a mapping to merge into it")
        elif isinstance(old, dict):
            self._merge_objects(target, value, written, ())
        elif isinstance(old, list):
            self._append(target, value, written, ())
        elif isinstance(value, dict | list):
            self._tell(
                overlay, path, f"{query_of(target)} is a single value", "write one, or add to the value around it"
            )
        elif target:
            self._put(target, value, written, ())

    def _merge_objects(self, target: Path_, new: dict[str, Any], written: Origins, inner: Path_) -> None:
        for key, each in new.items():
            here, place = (*target, key), (*inner, key)
            old = at(self.data, here, _MISSING)
            if isinstance(old, dict) and isinstance(each, dict):
                self._merge_objects(here, each, written, place)
            elif isinstance(old, list) and isinstance(each, list):
                self._append(here, each, written, place)
            else:
                self._put(here, each, written, place)

    def _put(self, target: Path_, value: Any, written: Origins, inner: Path_) -> None:
        self._owned(target[:-1])[target[-1]] = value
        self.origins.graft(target, written, inner)

    def _append(self, target: Path_, value: Any, written: Origins, inner: Path_) -> None:
        items = self._owned(target)
        for index, each in enumerate(value if isinstance(value, list) else [value]):
            items.append(each)
            place = (*inner, index) if isinstance(value, list) else inner
            self.origins.graft((*target, len(items) - 1), written, place)


def _last_first(path: Path_) -> tuple[tuple[int, int | str], ...]:
    """Return what places are sorted by, so that the last entry of an array is removed first."""
    return tuple((0, each) if isinstance(each, int) else (1, each) for each in path)


def _says_x_mock(value: Any) -> bool:
    """Tell whether an update says something about the mock."""
    if isinstance(value, dict):
        return "x-mock" in value or any(_says_x_mock(each) for each in value.values())
    return isinstance(value, list) and any(_says_x_mock(each) for each in value)


def _keys_of(query: str) -> Path_ | None:
    """Return the keys of a query that leads to one value; None where it may lead to several."""
    keys: list[str | int] = []
    rest = query.removeprefix("$")
    while rest:
        found = _STEP.match(rest)
        if found is None:
            return None
        name = next(each for each in found.groups() if each is not None)
        keys.append(int(name) if found[4] is not None else _ESCAPE.sub(r"\1", name))
        rest = rest[found.end() :]
    return tuple(keys)


def query_of(path: Path_) -> str:
    """Return the query that leads to a place."""
    return "$" + "".join(_steps(path))


def _steps(path: Path_) -> Iterator[str]:
    for key in path:
        if isinstance(key, int):
            yield f"[{key}]"
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            yield f".{key}"
        else:
            quoted = key.replace("\\", "\\\\").replace("'", "\\'")
            yield f"['{quoted}']"
