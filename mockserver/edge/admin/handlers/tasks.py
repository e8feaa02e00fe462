"""Tasks: list, show, and hold, release, complete, fail or cancel them."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any, get_args

from mockserver.edge.admin.api import AdminRequest, not_found
from mockserver.edge.admin.auth import RefusedError
from mockserver.edge.records import newest_tasks, task_record
from mockserver.engine.commands import Command, NoSuchEndError, UnknownReasonError
from mockserver.engine.task import NotHeldError, TaskEndedError, status_at


async def tasks(request: AdminRequest) -> Any:
    """List tasks, newest first."""
    now_ms, wanted = request.now_ms, request.parameters
    chosen = (
        task_record(state, task, now_ms)
        for state, task in newest_tasks(request.provider_states(wanted["provider"]))
        if wanted["account"] in (None, task.account.id) and wanted["status"] in (None, status_at(task, now_ms).status)
    )
    found = list(itertools.islice(chosen, int(wanted["limit"] or 100)))
    return {"tasks": found, "total": sum(len(state.tasks) for state in request.provider_states())}


async def task(request: AdminRequest) -> Any:
    """Show one task."""
    try:
        state, found = request.runtime.world.find_task(request.parameters["task_id"])
    except KeyError:
        raise not_found("task", request.parameters["task_id"]) from None
    return task_record(state, found, request.now_ms)


async def command(request: AdminRequest, name: Command) -> Any:
    """Hold, release, complete, fail or cancel a task."""
    reason = None if request.body is None else request.body.get("reason")
    try:
        await request.runtime.command(request.parameters["task_id"], name, reason)
    except KeyError:
        raise not_found("task", request.parameters["task_id"]) from None
    except (TaskEndedError, NotHeldError) as error:
        raise RefusedError(409, "conflict", str(error)) from None
    except (UnknownReasonError, NoSuchEndError) as error:
        raise RefusedError(400, "invalid_body", str(error)) from None
    return await task(request)


HANDLERS = {"tasks": tasks, "task": task, **{name: partial(command, name=name) for name in get_args(Command)}}
