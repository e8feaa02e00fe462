"""The situations that a client met, and those that were left out, with the reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Met:
    """What was met, and what was not: each with its reason."""

    situations: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()
