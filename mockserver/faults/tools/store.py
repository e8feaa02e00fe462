"""What the store behind a result link answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mockserver.engine.operations import refusal_reply

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.operations import Reply
    from mockserver.engine.scope import Scope


def expired(strike: Strike, scope: Scope) -> Reply | None:
    """Answer as for a link whose time is over; None where the link leads to no task's file."""
    task = strike.facts.task
    if task is None or task.result is None:
        return None
    scope.task, scope.body = task, task.body
    return refusal_reply(scope, task.result.expired, "result_expired")
