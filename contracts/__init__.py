"""Contracts: a verdict on a client of an asynchronous generative API, with evidence.

    journal     what went over the wire, read from NDJSON or HAR
    clause      one rule each, judged over a journal: kept, violated, or not exercised
    clauses/    the clauses, by what they are about
    judging     all clauses over a journal
    rules       the documents' rules that clauses stand for, and what no journal can show
    report      verdicts for people and for machines
    serving/    the other direction: a verdict on a server

`contracts` needs `mockserver` for its specs and its journals; `mockserver` knows nothing of `contracts`.
"""

from __future__ import annotations

from contracts.clause import Clause, Exercised, Verdict, Violation, all_clauses, clause
from contracts.journal import Journal, JournalError, of_records, read
from contracts.judging import judged

__all__ = [
    "Clause",
    "Exercised",
    "Journal",
    "JournalError",
    "Verdict",
    "Violation",
    "all_clauses",
    "clause",
    "judged",
    "of_records",
    "read",
]
