"""What is to be refused: strangers, wrong ids, wrong bodies. Each with the error that the document names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.server.clauses import Exercised, Finding, broken, server_clause
from contracts.server.refusals import difference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.server.evidence import Evidence


def _refused(evidence: Evidence, condition: str) -> Iterator[Finding]:
    error = evidence.spec.provider.refusals[condition]
    for probe in evidence.probes:
        if probe.condition != condition or probe.call.transport_error is not None:
            continue
        found = difference(evidence.spec, error, probe.call)
        if found is None:
            yield Exercised()
        else:
            yield broken([probe.call], found, f"{error.status}, the document's error {error.name}")


@server_clause(
    "keys.asked-for",
    "Nothing is served without a key.",
    fix="check the key before anything else",
    covers=["*.error.401*", "*.auth.required"],
)
def key_asked_for(evidence: Evidence) -> Iterator[Finding]:
    """Look at what came of a request without a key."""
    return _refused(evidence, "missing_key")


@server_clause(
    "keys.checked",
    "A wrong key is refused.",
    fix="look the key up, and refuse one that nobody has",
    covers=["*.error.401*", "*.auth.key-format"],
)
def key_checked(evidence: Evidence) -> Iterator[Finding]:
    """Look at what came of a request with a key of a form that no key has."""
    return _refused(evidence, "invalid_key")


@server_clause(
    "keys.tasks-apart",
    "A task is shown to nobody but the account that had it made.",
    fix="look tasks up within the account of the key, and answer others as if there were no such task",
)
def tasks_apart(evidence: Evidence) -> Iterator[Finding]:
    """Look at what came of asking after a task with somebody else's key."""
    refusals = evidence.spec.provider.refusals
    for trace, call in evidence.other_account:
        if call.fine:
            yield broken([trace.submit, call], f"{trace.id} shown to another key", "no such task")
        elif call.refusal is refusals["unknown_task"]:
            yield Exercised()


@server_clause(
    "tasks.unknown-refused",
    "A task that does not exist is answered with the document's error for that.",
    fix="answer an unknown id with the document's error",
    covers=["*.error.404"],
)
def unknown_task(evidence: Evidence) -> Iterator[Finding]:
    """Look at what came of a well-formed id that nobody has."""
    return _refused(evidence, "unknown_task")


@server_clause(
    "tasks.malformed-refused",
    "An id that is none is answered with the document's error for that.",
    fix="check the form of ids before they are looked up",
    applies=lambda provider: provider.task_id_matches is not None,
)
def malformed_task(evidence: Evidence) -> Iterator[Finding]:
    """Look at what came of an id of the wrong form, where the document has ids of one form."""
    return _refused(evidence, "malformed_task_id")


@server_clause(
    "paths.unknown-refused",
    "A path that does not exist is answered with the document's error for that.",
    fix="answer unknown paths in the provider's own shape too",
    severity="should",
)
def unknown_path(evidence: Evidence) -> Iterator[Finding]:
    """Look at what came of a path that is not in the document."""
    return _refused(evidence, "unknown_path")


@server_clause(
    "bodies.malformed-refused",
    "A body that is no JSON is answered with the document's error for that.",
    fix="refuse what cannot be read with the provider's own error",
)
def malformed_body(evidence: Evidence) -> Iterator[Finding]:
    """Look at what came of half an object."""
    return _refused(evidence, "malformed_body")
