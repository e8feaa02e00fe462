"""Parameters of faults: dataclass fields with a unit, a summary and a range."""

from dataclasses import field
from typing import Any

#: One year: the longest delay in mock time.
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
    """Define a parameter; its type is that of the field, its range (inclusive) applies to numbers."""
    return field(
        default=default, metadata={"summary": summary, "unit": unit, "choices": choices, "least": least, "most": most}
    )
