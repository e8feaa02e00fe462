"""Which state an answer shows by what it looks like, where no field of it is the status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def state_shown(shapes: Mapping[str, Any], answer: Any) -> str | None:
    """Return the state whose answers say the most of what an answer says; None where several do, or none."""
    found = {state: likeness for state, shape in shapes.items() if (likeness := _likeness(shape, answer)) is not None}
    best = max(found.values(), default=0)
    likely = [state for state, likeness in found.items() if likeness == best]
    return likely[0] if len(likely) == 1 else None


def _likeness(template: Any, value: Any) -> int | None:
    """Return how much of a value a template says; None if it is not made from it. More fields do no harm."""
    if isinstance(template, str) and "$" in template:
        return 1
    if isinstance(template, dict) and {"by", "values"} <= set(template):
        ways = [_likeness(each, value) for each in (*template["values"].values(), template.get("otherwise"))]
        return max((each for each in ways if each is not None), default=None)
    if isinstance(template, list):
        return _of_list(template, value)
    if not isinstance(template, dict):
        return 1 if template == value and type(template) is type(value) else None
    if not isinstance(value, dict):
        return None
    total = 1
    for key, each in template.items():
        name = key.removesuffix("?")
        if key.endswith("?") and value.get(name) is None:
            continue
        inner = _likeness(each, value[name]) if name in value else None
        if inner is None:
            return None
        total += inner
    return total


def _of_list(template: list[Any], value: Any) -> int | None:
    if not isinstance(value, list) or len(value) != len(template):
        return None
    parts = [_likeness(*pair) for pair in zip(template, value, strict=True)]
    return None if None in parts else 1 + sum(each for each in parts if each is not None)
