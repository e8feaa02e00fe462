"""What the answer to a query looks like in each state, where no field of it is the status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mockserver.spec.document import merge_patch

_STATUS = "$task.status"


def shapes_of(body: Any, changes: Mapping[str, Any], states: Iterable[str]) -> dict[str, Any]:
    """Return the template of the answer in each state, without what only other states have; empty if all are alike."""
    bodies = {state: merge_patch(body, changes[state]) if state in changes else body for state in states}
    found = {state: _shown(each, state) for state, each in bodies.items()}
    return found if any(each != body for each in found.values()) else {}


def _shown(template: Any, state: str) -> Any:
    if isinstance(template, list):
        return [_shown(each, state) for each in template]
    if not isinstance(template, dict):
        return template
    if template.get("by") == _STATUS and isinstance(template.get("values"), dict):
        return _shown(template["values"].get(state, template.get("otherwise")), state)
    shown = {key: _shown(each, state) for key, each in template.items()}
    return {key: each for key, each in shown.items() if not (key.endswith("?") and each is None)}
