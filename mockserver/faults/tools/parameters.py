"""Parameters of faults: dataclass fields that carry their unit, what they mean, and their range."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def parameter(
    default: float | str,
    summary: str,
    unit: str = "",
    *,
    choices: tuple[str, ...] = (),
    least: float | None = 0,
    most: float | None = None,
) -> Any:
    """Make a parameter; its type is that of the field, its range (inclusive) is for numbers."""
    return field(
        default=default,
        metadata={"summary": summary, "unit": unit, "choices": choices, "least": least, "most": most},
    )
