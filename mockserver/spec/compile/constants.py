"""The constants that templates can come to, and the values that a file or a price can have."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from mockserver.spec.compile.context import Context
from mockserver.spec.document import Document, Path_
from mockserver.spec.words import suggestion

_RATIO = re.compile(r"([1-9][0-9]{0,3}):([1-9][0-9]{0,3})")
_FLATTEST = 10
#: The least and the most of each property of a result.
_BOUNDS = {"count": (1, 1000), "duration_s": (0.1, 600), "short_side_px": (16, 8192)}
_MOST_CREDITS = 1_000_000_000


def constants_of(template: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Yield the constants that a value can come to, and the expressions whose values are known by none."""
    if isinstance(template, dict) and "values" in template:
        for key, each in template["values"].items():
            yield from constants_of(each, (*path, "values", key))
        if "otherwise" in template:
            yield from constants_of(template["otherwise"], (*path, "otherwise"))
    else:
        yield path, template


def is_expression(value: Any) -> bool:
    """Tell whether a value is worked out for each request."""
    return isinstance(value, str) and "$" in value


def check_result_values(context: Context, name: str, entry: dict[str, Any]) -> None:
    """Report numbers and ratios that no file can have."""
    where = ("x-mock", "results", name)
    for key, (least, most) in _BOUNDS.items():
        for path, value in _values_of(context, (*where, key), entry.get(key, least)):
            if not _is_number(value) or not least <= value <= most or (key == "count" and value % 1):
                context.report(path, f"must be a number from {least} to {most}; got {value!r}")
    for path, value in _values_of(context, (*where, "ratio"), entry.get("ratio", "1:1")):
        found = _RATIO.fullmatch(value) if isinstance(value, str) else None
        sides = sorted(map(int, found.groups())) if found else [0, 1]
        if sides[1] > _FLATTEST * sides[0]:
            fix = f"write it like '16:9', no flatter than {_FLATTEST}:1"
            context.report(path, f"is no ratio: {value!r}", fix)


def _values_of(context: Context, where: Path_, template: Any) -> Iterator[tuple[Path_, Any]]:
    """Yield the values that a template can come to, those drawn included, as far as they are known."""
    draws = context.mock.get("draws", {})
    for path, value in constants_of(template):
        name = value.removeprefix("$draw.") if isinstance(value, str) and value.startswith("$draw.") else ""
        if name not in draws:
            if value is not None and not is_expression(value):
                yield (*where, *path), value
        elif "of" in draws[name]:
            for index, each in enumerate(draws[name]["of"]):
                yield ("x-mock", "draws", name, "of", index), each
        else:
            yield from ((("x-mock", "draws", name, key), draws[name][key]) for key in ("from", "to"))


def check_result_names(context: Context, document: Document, where: Path_, template: Any, results: list[str]) -> None:
    """Report the results of a model that `results` does not have."""
    for path, value in constants_of(template):
        if value is None or value in results:
            continue
        if is_expression(value):
            fix = "use {by: …, values: {…}} with names of `results`"
            context.report((*where, *path), f"{value} may come to anything", fix, document=document)
        else:
            context.report((*where, *path), f"unknown result {value!r}", suggestion(value, results), document=document)


def check_amount(context: Context, document: Document, where: Path_, entry: dict[str, Any]) -> None:
    """Report amounts that cannot be a price."""
    for key in ("base_credits", "each", "credits_per_unit", "factors"):
        for path, value in constants_of(entry.get(key, 0)):
            values = value if isinstance(value, list) else [value]
            for each in (found for item in values for _, found in constants_of(item)):
                if not is_expression(each) and not (_is_number(each) and 0 <= each <= _MOST_CREDITS):
                    what = f"must be a number from 0 to {_MOST_CREDITS}, or an expression; got {each!r}"
                    context.report((*where, key, *path), what, document=document)
    if "each" in entry and "credits_per_unit" not in entry:
        fix = "add credits_per_unit, or write base_credits"
        context.report((*where, "each"), "counts units that cost nothing", fix, document=document)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
