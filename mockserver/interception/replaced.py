"""Functions of other modules and classes, replaced for a while and put back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Object, name, value.
Replacement = tuple[Any, str, Any]
_ABSENT = object()


class Replaced:
    """What is replaced, and how to put it back."""

    def __init__(self) -> None:
        self._before: list[Replacement] = []

    def put(self, replacements: Iterable[Replacement]) -> None:
        """Replace."""
        for owner, name, value in replacements:
            self._before.append((owner, name, vars(owner).get(name, _ABSENT)))
            setattr(owner, name, value)

    def undo(self) -> None:
        """Put everything back, the last one first."""
        while self._before:
            owner, name, value = self._before.pop()
            if value is _ABSENT:  # it came from a base class
                delattr(owner, name)
            else:
                setattr(owner, name, value)
