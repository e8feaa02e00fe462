"""The situations that a client met, and those that were left out, as JSON and as a section of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.client.met import Met
from contracts.report.markup import Markup, tag
from contracts.report.plain import line
from contracts.report.wording import number_of


def situations_json(met: Met) -> dict[str, Any]:
    """Return them in the shape of specs/verdicts.schema.json."""
    left_out = [{"situation": name, "reason": reason} for name, reason in met.left_out]
    return {"met": list(met.situations), "left_out": left_out}


def situations_section(met: Met) -> Markup:
    """Return them as a section of a page."""
    left_out = [f"{name}: {reason}" for name, reason in met.left_out]
    return tag(
        "section",
        tag("h2", "Situations"),
        tag("details", tag("summary", f"{number_of(len(met.situations), 'situation')} met"), _list(met.situations)),
        tag("p", f"Left out: {len(left_out)}") if left_out else None,
        _list(left_out) if left_out else None,
        id="situations",
    )


def _list(texts: Sequence[str]) -> Markup:
    return tag("ul", *(tag("li", line(each)) for each in texts))
