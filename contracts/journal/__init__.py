"""Journals, the input of every clause: the recorded traffic between one client and one provider.

model    the values: jobs, task traces, journals (exchanges and deliveries are in mockserver.recording)
read     files and records into journals
"""

from __future__ import annotations

from contracts.journal.model import Job, Journal, RunnerFacts, TaskTrace
from contracts.journal.read import of_records, read
from mockserver.recording.values import Delivery, Exchange, JournalError, Record, parse_json

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
