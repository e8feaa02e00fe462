"""Parameters of faults: dataclass fields that carry their unit, what they mean, and their range."""

from dataclasses import field
from typing import Any

#: A year: nothing in mock time is put off for longer.
LONGEST_S = 31_536_000.0


def parameter(
    default: float | str,
    summary: str,
    unit: str = "",
    *,
    choices: tuple[str, ...] = (),
    least: float = 0,
    most: float = LONGEST_S,
) -> Any:
    """Make a parameter; its type is that of the field, its range (inclusive) is for numbers."""
    return field(
        default=default, metadata={"summary": summary, "unit": unit, "choices": choices, "least": least, "most": most}
    )
