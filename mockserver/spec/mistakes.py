"""Mistakes in the form of a spec, and what was probably meant.

One mistake has often several consequences: a misspelt key is unknown, and the right one is missing. Only the mistake
itself is told. The checks that need a spec of the right form then go on with what was probably meant, so that all
mistakes are told at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from mockserver.spec.document import Document, Path_, SpecIssue
from mockserver.spec.words import near, suggestion

#: As `meant`: nothing may stand there.
NOTHING: Any = object()
#: As `meant`: it is not known.
UNKNOWN: Any = object()


class Mistake(NamedTuple):
    """Something of the wrong form."""

    kind: Literal["unknown key", "missing key", "value"]
    path: Path_
    message: str
    fix: str
    #: The key or the value that was probably meant, or `NOTHING`.
    meant: Any = UNKNOWN
    #: The key that is missing.
    missing: str = ""

    def issue(self, document: Document) -> SpecIssue:
        """Say where it is in a file."""
        return document.issue(self.path, self.message, self.fix)


def unknown_key(path: Path_, known: Iterable[str], fix: str = "") -> Mistake:
    """Report a key that is not among the known ones; `path` includes it."""
    names, wrong = list(known), str(path[-1])
    right = near(wrong, names)
    told = suggestion(wrong, names) if right or not fix else fix
    return Mistake("unknown key", path, f"unknown key: {wrong}", told, right or NOTHING)


def wrong_value(path: Path_, value: Any, allowed: Iterable[Any], message: str = "") -> Mistake:
    """Report a value that is not among those allowed."""
    words = [each for each in allowed if isinstance(each, str)]
    right = near(value, words) if isinstance(value, str) else None
    told = message or f"{value!r} is not allowed here"
    return Mistake("value", path, told, suggestion(value, map(str, allowed)), right or NOTHING)


def tidied(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """Return the mistakes without what is only a consequence of another one."""
    found = list(dict.fromkeys(each._replace(meant=_comparable(each.meant)) for each in mistakes))
    found.sort(key=lambda each: tuple(map(str, each.path)))
    unknown: dict[Path_, list[Mistake]] = {}
    for each in found:
        if each.kind == "unknown key":
            unknown.setdefault(each.path[:-1], []).append(each)
    out: list[Mistake] = []
    for each in found:
        beside = unknown.get(each.path, []) if each.kind == "missing key" else []
        if any(_stands_for(other, each.missing) for other in beside):
            continue
        if any((other.kind, other.path, other.missing) == (each.kind, each.path, each.missing) for other in out):
            continue
        if each.kind == "unknown key" and each.meant is NOTHING and _has_wrong_value(found, each.path[:-1]):
            continue
        out.append(each)
    return out


def _stands_for(unknown: Mistake, missing: str) -> bool:
    """Tell whether an unknown key was meant to be the one that is missing."""
    return missing in (unknown.meant, near(unknown.path[-1], [missing])) or unknown.fix == f"known: {missing}"


def _comparable(value: Any) -> Any:
    return value if isinstance(value, str | int) or value in (NOTHING, UNKNOWN) else UNKNOWN


def _has_wrong_value(mistakes: list[Mistake], path: Path_) -> bool:
    """Tell whether a value directly below a path is wrong: the keys beside it may then belong to another one."""
    return any(each.kind == "value" and each.path[:-1] == path for each in mistakes)


def repaired(document: Document, mistakes: Iterable[Mistake]) -> Document:
    """Return the document with what was probably meant; its text, and so its lines, stay as they are."""
    data = deepcopy(document.data)
    for each in sorted(mistakes, key=lambda each: -len(each.path)):
        if each.meant is not UNKNOWN and each.path:
            _repair(data, each)
    return replace(document, data=data, guessed=True)


def _repair(data: Any, mistake: Mistake) -> None:
    *above, last = mistake.path
    holder = data
    for key in above:
        try:
            holder = holder[key]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(holder, list) and isinstance(last, int) and last < len(holder):
        if mistake.meant is not NOTHING:
            holder[last] = mistake.meant
    elif isinstance(holder, dict) and mistake.missing and isinstance(holder.get(last), dict):
        holder[last].setdefault(mistake.missing, mistake.meant)
    elif isinstance(holder, dict) and last in holder:
        if mistake.meant is NOTHING:
            del holder[last]
        elif mistake.kind == "value":
            holder[last] = mistake.meant
        else:  # the keys keep their order: that of the states matters
            renamed = {mistake.meant if key == last else key: value for key, value in holder.items()}
            holder.clear()
            holder.update(renamed)
