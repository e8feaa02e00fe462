"""The page of the faults is what the code says."""

from __future__ import annotations

from mockserver.faults.page import PAGE, written


def test_the_page_is_up_to_date() -> None:
    """mockserver/faults/README.md is what `python -m mockserver.faults.page` writes."""
    assert PAGE.read_text(encoding="utf-8") == written(), "run `python -m mockserver.faults.page`"
