"""Lists an account's tasks: a page at a time, in either order, and only those that are asked for."""

from __future__ import annotations

from typing import Any

from mockserver.engine.context import RequestContext
from mockserver.engine.kinds import is_of_kind
from mockserver.engine.messages import Response
from mockserver.engine.render import Refused, operation_response
from mockserver.provider import Operation, Problem

_DIGITS_READ = 9


def list_tasks(context: RequestContext, operation: Operation, _booked: object) -> Response | Refused:
    """List this account's tasks, newest first, a page at a time."""
    assert context.account is not None
    assert operation.item is not None
    state = context.state
    ids = list(context.account.tasks)
    if operation.kind is not None:
        ids = [each for each in ids if is_of_kind(operation, state.tasks[each].model)]
    order = operation.default_order
    if operation.order is not None and (named := operation.order(context)) is not None:
        if named not in ("asc", "desc"):
            return "invalid_parameter", Problem("the order is asc or desc")
        order = named
    if order == "desc":
        ids.reverse()
    if operation.filters:
        ids = _filtered(context, operation, ids)
    limit = operation.default_limit
    if operation.limit is not None and (asked := operation.limit(context)) is not None:
        text = str(asked)
        if not text.isdecimal() or len(text) > _DIGITS_READ or not 1 <= int(text) <= operation.max_limit:
            return "invalid_parameter", Problem(f"the limit is a whole number from 1 to {operation.max_limit}")
        limit = int(text)
    start = 0
    if operation.after is not None and (after := operation.after(context)) is not None:
        if after not in ids:
            return "invalid_parameter", Problem("there is no such task to go on after")
        start = ids.index(after) + 1
    for value, first in ((operation.offset, 0), (operation.page, 1)):
        if value is not None and (asked := value(context)) is not None:
            text = str(asked)
            if not text.isdecimal() or len(text) > _DIGITS_READ or int(text) < first:
                return "invalid_parameter", Problem(
                    f"the {'page' if first else 'offset'} is a whole number from {first}"
                )
            start += (int(text) - 1) * limit if first else int(text)
    context.list_limit, context.list_offset = limit, start
    page = ids[start : start + limit]
    context.list_total = len(ids)
    context.list_page, context.list_pages = start // limit + 1, -(-len(ids) // limit)
    context.list_has_more = start + limit < len(ids)
    context.list_next = page[-1] if page and context.list_has_more else None
    context.list_first_id, context.list_last_id = (page[0], page[-1]) if page else (None, None)
    items: list[Any] = []
    for task_id in page:
        context.set_task(state.tasks[task_id])
        context.inputs = None
        items.append(operation.item(context))
    context.task, context.list_items = None, items
    return operation_response(context, operation)


def _filtered(context: RequestContext, operation: Operation, ids: list[str]) -> list[str]:
    """Return the tasks that are as the request wants them; several values are parted by commas."""
    wanted = [
        (fact, str(asked).split(","))
        for fact, value, _ in operation.filters
        if (asked := value(context)) not in (None, "")
    ]
    kept = []
    for task_id in ids if wanted else ():
        context.set_task(context.state.tasks[task_id])
        context.inputs = None
        if all(str(fact(context)) in values for fact, values in wanted):
            kept.append(task_id)
    context.task = None
    return kept if wanted else ids
