"""Requests that must be refused with the documented error: without a key, with a wrong id, with a wrong body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from contracts.server.clauses import Exercised, Finding, broken, check, server_clause
from contracts.server.evidence import Evidence
from contracts.server.refusals import difference


def _refuses(condition: str, id_: str, rule: str, **more: Any) -> None:
    """Register a clause: each request that meets a condition of the spec gets that condition's error."""

    @server_clause(id_, rule, **more)
    def refused(evidence: Evidence) -> Iterator[Finding]:
        error = evidence.spec.provider.refusals[condition]
        for probe in evidence.probes:
            if probe.condition != condition or probe.call.transport_error is not None:
                continue
            found = difference(evidence.spec, error, probe.call)
            asks = f"{error.status}, the documented error {error.name}"
            yield check(found is None, [probe.call], found or "", asks)


_refuses(
    "missing_key",
    "keys.asked-for",
    "Requests without a key are refused.",
    fix="check the key first",
    covers=["*.error.401*", "*.auth.required"],
)
_refuses(
    "invalid_key",
    "keys.checked",
    "Requests with an invalid key are refused.",
    fix="look the key up, and refuse an unknown one",
    covers=["*.error.401*", "*.auth.key-format"],
)
_refuses(
    "unknown_task",
    "tasks.unknown-refused",
    "An unknown task is answered with the documented error.",
    fix="answer an unknown id with the documented error",
    covers=["*.error.404"],
)
_refuses(
    "malformed_task_id",
    "tasks.malformed-refused",
    "A malformed task id is answered with the documented error.",
    fix="check the format of an id before looking it up",
    applies=lambda provider: provider.task_id_matches is not None,
)
_refuses(
    "unknown_path",
    "paths.unknown-refused",
    "An unknown path is answered with the documented error.",
    fix="answer unknown paths with the provider's own error, too",
    severity="should",
)
_refuses(
    "malformed_body",
    "bodies.malformed-refused",
    "A body that is not JSON is answered with the documented error.",
    fix="refuse unreadable bodies with the provider's own error",
)
_refuses(
    "invalid_body",
    "bodies.values-refused",
    "A field with an undocumented value is refused, and not changed to another value.",
    fix="refuse a value that is not documented: the client pays for what it did not ask for",
    covers=["*.error.400", "*.error.400-trigger", "*.error.422"],
    elsewhere="should",
)


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
