"""HTML built from tags, so that every text in it is escaped."""

from __future__ import annotations

import html
from typing import Final

from contracts.report.plain import plain


class Markup(str):
    """Text that is already HTML."""

    __slots__ = ()


NOTHING: Final = Markup()
_VOID = frozenset(("br", "meta"))


def escaped(text: str) -> Markup:
    """Escape a text as HTML."""
    return text if isinstance(text, Markup) else Markup(html.escape(plain(text)))


def tag(name: str, /, *children: str | None, **attributes: str | float | bool | None) -> Markup:
    """Make an element: `tag("td", "<b>", class_="mono")`. None and False are left out."""
    words = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escaped(_written(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{words}>")
    return Markup(f"<{name}{words}>{joined(*children)}</{name}>")


def joined(*children: str | None) -> Markup:
    """Concatenate parts."""
    return Markup("".join(escaped(child) for child in children if child is not None))


def _written(value: str | float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
