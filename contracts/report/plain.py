"""Texts of clients and servers, made safe to print."""

from __future__ import annotations

import re

#: Control characters, lone surrogates, characters that XML forbids, and characters that change the text direction.
_UNSEEN = re.compile(
    "[^\t\n\\x20-\\x7e\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]"
    "|[\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufdd0-\\ufdef\\ufeff]"
)


def plain(text: str) -> str:
    r"""Write invisible characters as escapes: \x1b, \ud800. Tabs and line breaks stay."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def line(text: str, longest: int = 400) -> str:
    """Write a text in one line, cut off if it is too long."""
    short = text if len(text) <= longest else text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return plain(short).replace("\n", "\\n").replace("\t", "\\t")
