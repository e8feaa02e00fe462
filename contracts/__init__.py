"""Contracts: judge a client of an asynchronous generative API by its provider's documents, with evidence.

Each line imports only what stands before it:

    journal          recorded traffic, from NDJSON or HAR; what a runner knows besides
    asked            what a recorded request says, for the expressions of a spec
    analysis         what clauses read from a journal: retries, statuses, effects of faults
    clause           one rule each, judged over a journal: kept, violated, or not tested
    blame            what led to a violation: the client, or an answer that no document describes
    rules            the documented rules that clauses cover; waivers.yaml: those that no journal can show
    judge            all applicable clauses over a journal
    clauses/         the clauses, by subject

    client/          run a client in many situations: in process in virtual time, or as a command
    server/          the other direction: judge a server
    drift/           recorded answers against the spec
    clients/         good clients to copy, and broken ones
    mutation         test the clauses on the broken clients

    report/          verdicts as text, HTML, JSON, JUnit XML
    pytest_plugin    the fixture `contract`
    cli/             `contracts run|check|drift|provider|list|coverage|kills`

`contracts` needs `mockserver` for its specs and journals; `mockserver` does not import `contracts`.
"""

from __future__ import annotations

import warnings
from typing import Any

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


def __getattr__(name: str) -> Any:
    if name == "judged":
        warnings.warn("contracts.judged is now contracts.judge_journal", DeprecationWarning, stacklevel=2)
        return judge_journal
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
