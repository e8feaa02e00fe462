"""Serves the files of tasks: to everyone who has the link, like a file host, or to their owner alone."""

from __future__ import annotations

import re

from mockserver.engine.context import RequestContext
from mockserver.engine.messages import Response
from mockserver.engine.render import Refused, file_refusal_response
from mockserver.engine.task import link_ends_s
from mockserver.provider import Operation, Problem, ResultKind

_INDEX = re.compile(r"0|[1-9][0-9]{0,3}")


def serve_result(context: RequestContext, operation: Operation, _booked: object) -> Response | Refused:
    """Serve a result file: to every request with the link, like a file host, or to the task's owner alone."""
    values, state = context.path_values, context.state
    task_id = values.get("task_id", "") if operation.task is None else operation.task(context)
    task = state.tasks.get(task_id) if isinstance(task_id, str) else None
    if operation.secured and (task is None or task.account is not context.account):
        return "unknown_task", Problem("there is no such task")
    kind = None if task is None else task.result
    if kind is None or not _serves(operation, kind):
        kind = next(each for each in state.provider.results.values() if _serves(operation, each))
    asked = values.get("index", "0") if operation.index is None else operation.index(context)
    index = "0" if asked is None else str(asked)
    if task is None or task.result is not kind or not _INDEX.fullmatch(index):
        return _no_file(context, operation, kind)
    context.set_task(task)
    context.body = task.body
    if (
        values.get("account_id", task.account.id) != task.account.id
        or task.end.kind != "success"
        or not context.status.ended
        or int(index) >= context.result_count(kind)
    ):
        return _no_file(context, operation, kind)
    chosen = kind
    if kind.variant is not None and (name := kind.variant(context)) is not None:
        if name not in kind.variants:
            return _no_file(context, operation, kind)
        chosen = kind.variants[name]
    if not operation.secured and not state.links.signed(task, kind, int(index), context.request.query):
        return file_refusal_response(context, kind.unsigned, "result_unsigned")
    if context.now_ms >= link_ends_s(task, kind) * 1000:
        return file_refusal_response(context, kind.expired, "result_expired")
    wanted = context.wanted_file(chosen)
    return Response(200, b"", wanted.media, file=wanted, task_id=task.id, account_id=task.account.id)


def _serves(operation: Operation, kind: ResultKind) -> bool:
    """Tell whether an operation is that of a kind of result."""
    return kind.name == operation.result_kind if operation.result_kind else kind.path == operation.path


def _no_file(context: RequestContext, operation: Operation, kind: ResultKind) -> Response | Refused:
    """Refuse a file that is not there: like a file host, or with the provider's error where the owner asks for it."""
    if not operation.secured:
        return file_refusal_response(context, kind.missing, "result_missing")
    task = context.task
    if task is not None and not context.status.ended:
        return "not_ready", Problem("the task has not ended")
    return "unknown_task", Problem("there is no such file")
