"""What the store behind a result link answers."""

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Injection
from mockserver.engine.messages import Response
from mockserver.engine.render import file_refusal_response


def expired(injection: Injection, context: RequestContext) -> Response | None:
    """Answer as for a link whose time is over; None where the link leads to no task's file."""
    task = injection.match_context.task
    if task is None or task.result is None:
        return None
    context.set_task(task)
    context.body = task.body
    return file_refusal_response(context, task.result.expired, "result_expired")
