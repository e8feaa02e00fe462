"""Redaction takes a time that grows with a text, not with its square."""

from __future__ import annotations

import pytest

from mockserver.journal.redaction import Redaction


@pytest.mark.parametrize("part", ['name="token"\r\n', 'name="token";', '"token', '"', "?aaaa", '"token": "\\', "://"])
def test_a_text_made_to_be_slow(part: str) -> None:
    """Many beginnings of secrets that are none; by the square it would take minutes."""
    text = (part * 200_000)[:200_000] + "@"
    assert len(Redaction({}, frozenset()).text(text)) > 20
