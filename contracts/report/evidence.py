"""Verdicts as JSON, in the shape of specs/verdicts.schema.json."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from contracts.clause import Verdict, Violation
from contracts.journal import Exchange, Record
from contracts.judge import ranked
from contracts.report.plain import plain
from contracts.report.wording import counted, in_time
from mockserver.clock import iso_of


def as_json(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Write verdicts as JSON."""
    ordered = ranked(verdicts)
    return {
        "counts": {judgement.replace(" ", "_"): number for judgement, number in counted(ordered).items()},
        "verdicts": [_verdict(each) for each in ordered],
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "clause": verdict.clause.id,
        "provider": verdict.provider,
        "rule": verdict.clause.rule,
        "severity": verdict.severity,
        "basis": verdict.basis,
        "judgement": verdict.judgement,
        "sources": list(verdict.sources),
        "situation": verdict.situation or None,
        "replay": verdict.replay or None,
        "exercised_in": verdict.exercised_in,
        "violated_in": verdict.violated_in,
        "reason": verdict.reason or None,
        "cause": verdict.cause or None,
        "grouped": [
            {"clause": each.clause.id, "rule": each.clause.rule, **_violation(each.violation)}
            for each in verdict.grouped
        ],
        "output": [{"job": job, "text": plain(text)} for job, text in verdict.output],
        "violations": [_violation(each) for each in verdict.violations],
    }


def _violation(violation: Violation) -> dict[str, Any]:
    return {
        "seen": violation.seen,
        "asks": violation.asks,
        "fix": violation.fix,
        "records": [_record(record) for record in in_time(violation.records)],
    }


def _record(record: Record) -> dict[str, Any]:
    return {
        "seq": record.seq,
        "at": iso_of(record.at_ms),
        "kind": "exchange" if isinstance(record, Exchange) else "delivery",
        "task": record.task,
        "status": record.status,
        "faults": list(record.faults),
        "what": str(record),
    }
