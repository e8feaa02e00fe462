"""Words of a fix: the known name that a wrong one may stand for, or all that are known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_MOST_LISTED = 30


def operation_name(method: str, path: str) -> str:
    """Return an id for an operation that has none, such as `getPetsId`."""
    words = re.findall(r"[A-Za-z0-9]+", path)
    return method + "".join(each[:1].upper() + each[1:] for each in words)


def near(wrong: object, known: Iterable[str]) -> str | None:
    """Return the known name that is nearest to a wrong one, if any is near."""
    lowered = {name.lower(): name for name in reversed(list(known))}
    found = get_close_matches(str(wrong).lower(), lowered, 1)
    return lowered[found[0]] if found else None


def suggestion(wrong: object, known: Iterable[str]) -> str:
    """Return which name was probably meant, or which there are."""
    names = list(dict.fromkeys(known))
    right = near(wrong, names)
    if right is not None:
        return f"did you mean {right}?"
    listed = ", ".join(names[:_MOST_LISTED]) + (", …" if len(names) > _MOST_LISTED else "")
    return f"known: {listed or 'none'}"
