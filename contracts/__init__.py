"""Contracts: a verdict on a client of an asynchronous generative API, with evidence.

    journal      what went over the wire, read from NDJSON or HAR; what a runner knows beside
    clause       one rule each, judged over a journal: kept, violated, or not exercised
    clauses/     the clauses, by what they are about; `reading` is what they read out of a journal
    judging      all clauses that concern a provider, over a journal
    rules        the documents' rules that clauses stand for, and what no journal can show

    subject      the client under test
    situations   what it is made to meet
    runner       a Python client in one situation, in virtual time (virtual/)
    commands/    a client in any language, in real time
    searching    many situations, and the smallest one that shows a violation
    trying       all of this for `contracts run`

    clients/     good clients to be copied, and broken ones; `kills` tries the clauses on them
    serving/     the other direction: laws that servers are held against
    report/      verdicts for people and for machines

`contracts` needs `mockserver` for its specs and its journals; `mockserver` knows nothing of `contracts`.
"""

from __future__ import annotations

from contracts.clause import Clause, Exercised, Verdict, Violation, all_clauses, clause
from contracts.journal import Journal, JournalError, of_records, read
from contracts.judge import judge_journal

__all__ = [
    "Clause",
    "Exercised",
    "Journal",
    "JournalError",
    "Verdict",
    "Violation",
    "all_clauses",
    "clause",
    "judge_journal",
    "of_records",
    "read",
]
