"""Responses of the file host."""

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Injection
from mockserver.engine.messages import Response
from mockserver.engine.render import file_refusal_response


def expired(injection: Injection, context: RequestContext) -> Response | None:
    """Answer as for an expired link; None if the link does not belong to a task."""
    task = injection.match_context.task
    if task is None or task.result is None:
        return None
    context.set_task(task)
    context.body = task.body
    return file_refusal_response(context, task.result.expired, "result_expired")
