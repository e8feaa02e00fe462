"""Words of a fix: the known name that a wrong one may stand for, or all that are known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_LISTED = 30


def suggestion(wrong: object, known: Iterable[str]) -> str:
    """Return which name was probably meant, or which there are."""
    names = list(dict.fromkeys(known))
    lowered = {name.lower(): name for name in reversed(names)}
    near = get_close_matches(str(wrong).lower(), lowered, 1)
    if near:
        return f"did you mean {lowered[near[0]]}?"
    listed = ", ".join(names[:_MOST_LISTED]) + (", …" if len(names) > _MOST_LISTED else "")
    return f"known: {listed or 'none'}"
