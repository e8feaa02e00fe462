"""Journals, the input of every clause: the recorded traffic between one client and one provider.

model    the values: exchanges, deliveries, jobs, task traces
har      HAR files into records
read     records and files into journals
"""

from __future__ import annotations

from contracts.journal.model import (
    Delivery,
    Exchange,
    Job,
    Journal,
    JournalError,
    Record,
    RunnerFacts,
    TaskTrace,
    parse_json,
)
from contracts.journal.read import of_records, read

__all__ = [
    "Delivery",
    "Exchange",
    "Job",
    "Journal",
    "JournalError",
    "Record",
    "RunnerFacts",
    "TaskTrace",
    "of_records",
    "parse_json",
    "read",
]
