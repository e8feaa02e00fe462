"""Makes shapes of the templates that answers are made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from contracts.drift.places import Keys, Place
from contracts.drift.shapes import AT, Shape
from mockserver.spec.document import merge_patch
from mockserver.spec.expressions import INSIDE

_CHOICE = ({"by", "values"}, {"by", "values", "otherwise"})


def template_shape(place: Place, patches: Iterable[Place] = (), *, constants: bool = True) -> Shape:
    """Make a shape of the template at a place, with the patches of the states that have their own.

    Args:
        place: the template.
        patches: merge patches of it, each for a state.
        constants: whether texts of the template must be the same in the value.
    """
    base = place.value
    made = [_schema_of(base, place.keys, constants=constants)]
    for patch in patches:
        merged = merge_patch(base, patch.value)
        made.append(_schema_of(merged, place.keys, constants=constants, patch=(patch.value, patch.keys)))
    schema = made[0] if len(made) == 1 else {AT: place.keys, "anyOf": made}
    return Shape(place, schema)


def _schema_of(template: Any, keys: Keys, *, constants: bool, patch: tuple[Any, Keys] | None = None) -> dict[str, Any]:
    """Return the schema of what a template can come to; a part that a patch has brought stands in the patch."""
    if patch is not None and not (isinstance(patch[0], dict) and isinstance(template, dict)):
        keys, patch = patch[1], None
    if isinstance(template, dict) and set(template) not in _CHOICE:
        properties = {}
        for key, each in template.items():
            own = None
            if patch is not None and key in patch[0]:
                own = (patch[0][key], (*patch[1], key))
            properties[key.removesuffix("?")] = _schema_of(each, (*keys, key), constants=constants, patch=own)
        required = [key for key in template if not key.endswith("?")]
        return {AT: keys, "type": "object", "properties": properties, "required": required}
    if isinstance(template, list):
        return {AT: keys, "type": "array"}
    if isinstance(template, str) and INSIDE.search(template):
        return {AT: keys, "type": "string"}
    if isinstance(template, dict) or (isinstance(template, str) and template.startswith("$")):
        return {AT: keys}
    return {AT: keys, "const": template} if constants and template is not None else {AT: keys}
