"""Texts of clients and servers, so that they can be read and do no harm."""

from __future__ import annotations

import re

#: Control characters, halves of surrogate pairs, what XML cannot hold, and what turns the direction of writing.
_UNSEEN = re.compile(
    "[^\t\n\\x20-\\x7e\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]"
    "|[\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufdd0-\\ufdef\\ufeff]"
)


def plain(text: str) -> str:
    r"""Write every character that is not seen as its escape: \x1b, \ud800. Tabs and ends of lines stay."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def line(text: str, longest: int = 400) -> str:
    """Write a text in one line, its end cut off where it is long."""
    short = text if len(text) <= longest else text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return plain(short).replace("\n", "\\n").replace("\t", "\\t")
