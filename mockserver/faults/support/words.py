"""Status words that pass through several faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def after(first: Callable[[str], str] | None, second: Callable[[str], str]) -> Callable[[str], str]:
    """Do one, then the other."""
    return second if first is None else lambda status: second(first(status))
