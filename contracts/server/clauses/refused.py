"""Requests that must be refused with the documented error: without a key, with a wrong id, with a wrong body."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.server.clauses import Exercised, Finding, broken, server_clause
from contracts.server.evidence import Evidence
from contracts.server.refusals import difference


def _refused(evidence: Evidence, condition: str) -> Iterator[Finding]:
    error = evidence.spec.provider.refusals[condition]
    for probe in evidence.probes:
        if probe.condition != condition or probe.call.transport_error is not None:
            continue
        found = difference(evidence.spec, error, probe.call)
        if found is None:
            yield Exercised()
        else:
            yield broken([probe.call], found, f"{error.status}, the documented error {error.name}")


@server_clause(
    "keys.asked-for",
    "Requests without a key are refused.",
    fix="check the key first",
    covers=["*.error.401*", "*.auth.required"],
)
def key_asked_for(evidence: Evidence) -> Iterator[Finding]:
    """Check the answer to a request without a key."""
    return _refused(evidence, "missing_key")


@server_clause(
    "keys.checked",
    "Requests with an invalid key are refused.",
    fix="look the key up, and refuse an unknown one",
    covers=["*.error.401*", "*.auth.key-format"],
)
def key_checked(evidence: Evidence) -> Iterator[Finding]:
    """Check the answer to a request with a malformed key."""
    return _refused(evidence, "invalid_key")


@server_clause(
    "keys.tasks-apart",
    "A task is visible only to the account that created it.",
    fix="look tasks up within the account of the key, and answer others as if the task did not exist",
)
def tasks_apart(evidence: Evidence) -> Iterator[Finding]:
    """Check the answers to queries with the key of another account."""
    refusals = evidence.spec.provider.refusals
    for trace, call in evidence.other_account:
        if call.fine:
            yield broken([trace.submit, call], f"{trace.id} shown to another key", "an unknown task")
        elif call.refusal is refusals["unknown_task"]:
            yield Exercised()


@server_clause(
    "tasks.unknown-refused",
    "An unknown task is answered with the documented error.",
    fix="answer an unknown id with the documented error",
    covers=["*.error.404"],
)
def unknown_task(evidence: Evidence) -> Iterator[Finding]:
    """Check the answer to a well-formed id that does not exist."""
    return _refused(evidence, "unknown_task")


@server_clause(
    "tasks.malformed-refused",
    "A malformed task id is answered with the documented error.",
    fix="check the form of an id before looking it up",
    applies=lambda provider: provider.task_id_matches is not None,
)
def malformed_task(evidence: Evidence) -> Iterator[Finding]:
    """Check the answer to a malformed id, if the document defines a form."""
    return _refused(evidence, "malformed_task_id")


@server_clause(
    "paths.unknown-refused",
    "An unknown path is answered with the documented error.",
    fix="answer unknown paths with the provider's own error, too",
    severity="should",
)
def unknown_path(evidence: Evidence) -> Iterator[Finding]:
    """Check the answer to a path that is not documented."""
    return _refused(evidence, "unknown_path")


@server_clause(
    "bodies.malformed-refused",
    "A body that is not JSON is answered with the documented error.",
    fix="refuse unreadable bodies with the provider's own error",
)
def malformed_body(evidence: Evidence) -> Iterator[Finding]:
    """Check the answer to an incomplete JSON object."""
    return _refused(evidence, "malformed_body")
