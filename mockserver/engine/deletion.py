"""Deletes tasks: what is deleted is gone, with the links to its files; what had not ended is cancelled first."""

from __future__ import annotations

from mockserver.engine.context import RequestContext
from mockserver.engine.messages import Response
from mockserver.engine.operations import Booked, find_task
from mockserver.engine.render import Refused, operation_response
from mockserver.engine.task import end_now, ended
from mockserver.engine.watching import look_again
from mockserver.provider import End, Operation, Problem

#: How a task ends, for its account alone, that is deleted before its end.
_DELETED = End("", "cancellation", None, {})


def delete(context: RequestContext, operation: Operation, booked: Booked) -> Response | Refused:
    """Delete a task of this account; its credits are released where it had not ended."""
    refused = find_task(context, operation)
    if refused is not None:
        return refused
    task, status = context.task, context.status.status
    assert task is not None
    if operation.states is not None and status not in operation.states:
        return "not_deletable", Problem(f"the task is {status}")
    response = operation_response(context, operation)
    if not ended(task, context.now_ms):
        task.account.revise(end_now(task, context.now_ms, _DELETED, None))
        task.account.settle(context.now_ms)
    context.state.delete_task(task)
    look_again(context.state, task.id, context.now_ms, booked)
    return response
