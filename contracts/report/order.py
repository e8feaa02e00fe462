"""In which order verdicts are told, and the words that all reports have for them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from contracts.analysis import seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contracts.clause import Judgement, Severity, Verdict, Violation
    from contracts.journal import Record

JUDGEMENTS: tuple[Judgement, ...] = ("violated", "not exercised", "kept")
SEVERITIES: tuple[Severity, ...] = ("must", "should", "advice")
#: So many violations of a clause are shown; they are alike.
SHOWN = 3
GENERAL = "what every asynchronous API asks"


def in_order(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return verdicts with what matters first."""
    return sorted(verdicts, key=lambda each: (JUDGEMENTS.index(each.judgement), SEVERITIES.index(each.clause.severity)))


def counted(verdicts: Iterable[Verdict]) -> dict[Judgement, int]:
    """Count verdicts by judgement."""
    counts = Counter(each.judgement for each in verdicts)
    return {judgement: counts[judgement] for judgement in JUDGEMENTS}


def fixes(violations: Iterable[Violation]) -> list[str]:
    """Return what to do, each thing once."""
    return list(dict.fromkeys(each.fix for each in violations))


def in_time(records: Iterable[Record]) -> list[Record]:
    """Return records in the order in which they happened."""
    return sorted(records, key=lambda record: (record.at_ms, record.seq))


def gap(earlier: Record, later: Record) -> str:
    """Write the seconds between two records."""
    return seconds_text((later.at_ms - earlier.at_ms) / 1000)


def how_often(verdict: Verdict) -> str:
    """Say in how many situations a clause was violated; empty where a single journal was judged."""
    if not verdict.exercised_in:
        return ""
    situations = "situation" if verdict.exercised_in == 1 else "situations"
    return f"in {verdict.violated_in} of {verdict.exercised_in} {situations} that exercised it"
