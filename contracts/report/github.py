"""Violations as annotations of GitHub Actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from contracts.clause import Verdict
from contracts.judge import ranked
from contracts.report.plain import line

_KINDS = {"must": "error", "should": "warning", "advice": "notice"}


def github(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Yield a workflow command for each violated clause."""
    for each in ranked(verdicts):
        if each.judgement == "violated":
            first = each.violations[0]
            text = f"{each.clause.rule} Seen: {line(first.seen)} Fix: {line(first.fix)}"
            title = _escaped(f"{each.provider} {each.clause.id}").replace(":", "%3A").replace(",", "%2C")
            yield f"::{_KINDS[each.severity]} title={title}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
