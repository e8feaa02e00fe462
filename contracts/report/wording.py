"""What all reports share: the order of verdicts, their names, and the words for times and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from contracts.analysis import seconds_text
from contracts.clause import Judgement, Severity, Verdict, Violation
from contracts.journal import Record
from mockserver.faults import all_faults

#: What people read for each judgement.
NAMES: dict[Judgement, str] = {"violated": "violated", "not exercised": "not tested", "kept": "kept"}
JUDGEMENTS = tuple(NAMES)
SEVERITIES: tuple[Severity, ...] = ("must", "should", "advice")
#: How many violations of a clause are shown; they are alike.
SHOWN = 3
GENERAL = "general best practice"


def counted(verdicts: Iterable[Verdict]) -> dict[Judgement, int]:
    """Count verdicts by judgement."""
    counts = Counter(each.judgement for each in verdicts)
    return {judgement: counts[judgement] for judgement in JUDGEMENTS}


def fixes(violations: Iterable[Violation]) -> list[str]:
    """Return the fixes, each once."""
    return list(dict.fromkeys(each.fix for each in violations))


def in_time(records: Iterable[Record]) -> list[Record]:
    """Return records in the order in which they happened."""
    return sorted(records, key=lambda record: (record.at_ms, record.seq))


def gap(earlier: Record, later: Record) -> str:
    """Write the seconds between two records."""
    return seconds_text((later.at_ms - earlier.at_ms) / 1000)


def how_often(verdict: Verdict) -> str:
    """Say in how many situations a clause was violated; empty if a single journal was judged."""
    if not verdict.exercised_in:
        return ""
    return f"in {verdict.violated_in} of {number_of(verdict.exercised_in, verdict.counts)} that tested it"


def printed_by(job: int) -> str:
    """Say who printed something: a job, or the client as a whole."""
    return f"output of job {job}" if job else "output of the client"


def number_of(count: int, noun: str) -> str:
    """Write a number of things."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def rests_on(verdict: Verdict) -> str:
    """Say what a verdict rests on."""
    return {"document": "the document", "public page": "a public page of the provider", "best practice": GENERAL}[
        verdict.basis
    ]


def cause_text(verdict: Verdict) -> str:
    """Say which undocumented behaviour led to a verdict; empty if none did."""
    if not verdict.cause:
        return ""
    kind = all_faults().get(verdict.cause)
    name = verdict.cause.replace("_", " ")
    return f"{name} (no document describes it)" + (f": {kind.effect}" if kind is not None else "")
