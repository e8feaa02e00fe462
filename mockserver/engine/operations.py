"""What each role of an operation does once the gates have let a request in.

Every function takes the world's state by way of the scope and returns a `Reply` or a refusal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from mockserver.chance import fraction
from mockserver.engine.admission import Refused, policy_offended
from mockserver.engine.callbacks import EventQueue, TaskEnds
from mockserver.engine.injection import inject_into_task
from mockserver.engine.state import StoredFile, body_of
from mockserver.engine.task import Task, end_now, ended, link_ends_s, status_at
from mockserver.provider import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mockserver.engine.context import RequestContext
    from mockserver.engine.faults import Injection
    from mockserver.provider import End, Operation, Reason, Refusal

JSON = "application/json"
#: A free id is found in fewer, unless there are hardly any.
_MOST_TRIES = 1000
_INDEX = re.compile(r"0|[1-9][0-9]{0,3}")
_DIGITS_READ = 9


@dataclass(frozen=True, slots=True)
class FileWanted:
    """A result file that the edge is to serve: what it is like, not what is in it."""

    media: str
    duration_s: float
    short_side_px: int
    ratio: str


@dataclass(slots=True)
class Response:
    """An answer, and the facts about it that the journal keeps."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    file: FileWanted | StoredFile | None = None
    gate: str | None = None
    error: str | None = None
    operation: str | None = None
    task_id: str | None = None
    account_id: str | None = None
    #: The faults that touched it, and those that are still to touch its bytes.
    faults: tuple[str, ...] = ()
    sends: tuple[Injection, ...] = ()
    #: What falls due now is delivered before this is answered.
    callbacks_first: bool = False


def _rendered(operation: Operation, scope: RequestContext) -> Response:
    return Response(operation.status, orjson.dumps(body_of(operation, scope)), headers=operation.headers)


def submit(scope: RequestContext, operation: Operation, event_queue: EventQueue) -> Response | Refused:
    """Create a task: draw its course, reserve its credits, book its callback."""
    space = scope.space
    task = _new_task(scope)
    if space.faults or scope.requested_rules:
        task = inject_into_task(scope, task)
    space.tasks[task.id] = task
    task.account.open(task)
    scope.task = task
    callbacks = space.provider.callbacks
    if (
        task.callback_url is not None
        and callbacks is not None
        and task.end.name in callbacks.events
        and task.held_ms is None
    ):
        event_queue.put(task.ends_ms, TaskEnds(space, task))
    return _rendered(operation, scope)


def _new_task(scope: RequestContext) -> Task:
    space, account, model = scope.space, scope.account, scope.model
    assert account is not None
    assert model is not None
    provider, now_ms = space.provider, scope.now_ms
    ordinal = len(account.tasks)
    name = f"{provider.name}/{account.id}/task/{ordinal}"
    drawn = space.chance.draw(name)
    task_id = provider.task_id(drawn, now_ms // 1000)
    tries = 0
    while task_id in space.tasks:
        tries += 1
        if tries > _MOST_TRIES:
            raise RuntimeError(f"the ids of {provider.name} have run out: {len(space.tasks)} tasks are there")
        task_id = provider.task_id(space.chance.draw(f"{name}/{tries}"), now_ms // 1000)
    entered_ms = []
    at_ms = now_ms
    for slot, state in enumerate(model.states):
        at_ms += state.shortest_ms
        if state.longest_ms > state.shortest_ms:
            at_ms += int(fraction(drawn, slot % 6) * (state.longest_ms - state.shortest_ms + 1))
        entered_ms.append(at_ms)
    due_ms = ends_ms = entered_ms.pop()
    end, reason = _drawn_end(scope, drawn)
    if reason is not None:
        ends_ms = now_ms + int((due_ms - now_ms) * reason.at_fraction)
    callbacks = provider.callbacks
    result_name = model.result(scope)
    return Task(
        task_id,
        ordinal,
        account,
        model,
        scope.body,
        now_ms,
        tuple(entered_ms),
        due_ms,
        ends_ms,
        end,
        reason,
        scope.quote_ucr,
        model.settle_ucr(scope),
        None if result_name is None else provider.results[result_name],
        None if callbacks is None else callbacks.url(scope),
    )


def _drawn_end(scope: RequestContext, drawn: bytes) -> tuple[End, Reason | None]:
    """Return how the task will end unless somebody interferes."""
    space = scope.space
    lifecycle, policy = space.provider.lifecycle, space.provider.content_policy
    failure = lifecycle.failure
    if policy is not None and policy.reason is not None and policy_offended(scope):
        return failure, failure.reasons[policy.reason]
    if space.rules.failure_rate and fraction(drawn, 7) < space.rules.failure_rate:
        reasons = list(failure.reasons.values())
        return failure, reasons[int(fraction(drawn, 6) * len(reasons))] if reasons else None
    return lifecycle.success, None


def query(scope: RequestContext, operation: Operation, _event_queue: EventQueue) -> Response | Refused:
    """Answer how a task of this account stands."""
    refused = _find_task(scope, operation)
    return refused or _rendered(operation, scope)


def _find_task(scope: RequestContext, operation: Operation) -> Refused | None:
    assert operation.task is not None
    space = scope.space
    task_id = operation.task(scope)
    if not isinstance(task_id, str) or not task_id:
        return "invalid_parameter", Problem("the task id is missing", operation.task_field)
    matches = space.provider.task_id_matches
    if matches is not None and not matches(task_id):
        return "malformed_task_id", Problem("the task id is not well-formed", operation.task_field)
    task = space.tasks.get(task_id)
    if task is None or task.account is not scope.account:
        return "unknown_task", Problem("there is no such task")
    scope.task = task
    return None


def cancel(scope: RequestContext, operation: Operation, event_queue: EventQueue) -> Response | Refused:
    """Cancel a task that has not ended."""
    refused = _find_task(scope, operation)
    if refused is not None:
        return refused
    task, end = scope.task, scope.space.provider.lifecycle.cancellation
    assert task is not None
    if end is None or ended(task, scope.now_ms):
        return "not_cancellable", Problem("the task has ended")
    reason = next(iter(end.reasons.values()), None)
    scope.task = replace_task(scope, task, end_now(task, scope.now_ms, end, reason), event_queue)
    return _rendered(operation, scope)


def replace_task(scope: RequestContext, old: Task, new: Task, event_queue: EventQueue) -> Task:
    """Put a changed task in the place of what it was, and book what is now to happen."""
    if new is old:
        return old
    space = scope.space
    space.tasks[new.id] = new
    new.account.replaced(new)
    callbacks = space.provider.callbacks
    if (
        new.callback_url is not None
        and new.held_ms is None
        and callbacks is not None
        and new.end.name in callbacks.events
    ):
        event_queue.put(new.ends_ms, TaskEnds(space, new))
    return new


def list_(scope: RequestContext, operation: Operation, _event_queue: EventQueue) -> Response | Refused:
    """List this account's tasks, newest first, a page at a time."""
    assert scope.account is not None
    assert operation.item is not None
    space = scope.space
    ids = scope.account.tasks[::-1]
    limit = operation.default_limit
    if operation.limit is not None and (asked := operation.limit(scope)) is not None:
        text = str(asked)
        if not text.isdecimal() or len(text) > _DIGITS_READ or not 1 <= int(text) <= operation.max_limit:
            return "invalid_parameter", Problem(f"the limit is a whole number from 1 to {operation.max_limit}")
        limit = int(text)
    start = 0
    if operation.after is not None and (after := operation.after(scope)) is not None:
        if after not in ids:
            return "invalid_parameter", Problem("there is no such task to go on after")
        start = ids.index(after) + 1
    page = ids[start : start + limit]
    scope.total = len(ids)
    scope.next_id = page[-1] if page and start + limit < len(ids) else None
    items: list[Any] = []
    for task_id in page:
        scope.task, scope.inputs = space.tasks[task_id], None
        items.append(operation.item(scope))
    scope.task, scope.items = None, items
    return _rendered(operation, scope)


def estimate(scope: RequestContext, operation: Operation, _event_queue: EventQueue) -> Response | Refused:
    """Quote the price of a submit body."""
    assert scope.model is not None
    scope.quote_ucr = scope.model.reserve_ucr(scope)
    return _rendered(operation, scope)


def balance(scope: RequestContext, operation: Operation, _event_queue: EventQueue) -> Response | Refused:
    """Answer what the account holds."""
    return _rendered(operation, scope)


def upload(scope: RequestContext, operation: Operation, _event_queue: EventQueue) -> Response | Refused:
    """Keep a file and answer where it is served back."""
    assert scope.account is not None
    form, space = scope.call.form, scope.space
    uploads = space.provider.uploads
    assert form is not None
    assert uploads is not None
    if not any(_matches(form.media_type, pattern) for pattern in uploads.media_types):
        return "unsupported_media_type", Problem(
            f"{form.media_type} is not taken; send one of {', '.join(uploads.media_types)}", uploads.field
        )
    drawn = space.chance.draw(f"{space.provider.name}/{scope.account.id}/file/{scope.account.requests}")
    stored = StoredFile(space.provider.file_id(drawn, scope.now_ms // 1000), form.name, form.media_type, form.content)
    space.keep(stored, scope.account)
    scope.file = stored
    return _rendered(operation, scope)


def _matches(media_type: str, pattern: str) -> bool:
    return media_type == pattern or (pattern.endswith("/*") and media_type.startswith(pattern[:-1]))


def file(scope: RequestContext, _operation: Operation, _event_queue: EventQueue) -> Response | Refused:
    """Serve an upload back."""
    stored = scope.space.files.get(scope.path_values.get("file_id", ""))
    if stored is None or scope.path_values.get("file_name", stored.name) != stored.name:
        return "unknown_path", Problem("there is no such file")
    return Response(200, b"", stored.media_type, file=stored)


def result(scope: RequestContext, operation: Operation, _event_queue: EventQueue) -> Response | Refused:
    """Serve a result file, as the store behind the link would: only to who has the link, while it lasts."""
    values, space = scope.path_values, scope.space
    task = space.tasks.get(values.get("task_id", ""))
    kinds = [kind for kind in space.provider.results.values() if kind.path == operation.path]
    kind = kinds[0] if task is None or task.result not in kinds else task.result
    index = values.get("index", "0")
    if task is None or task.result is not kind or not _INDEX.fullmatch(index):
        return refusal_reply(scope, kind.missing, "result_missing")
    scope.task, scope.body = task, task.body
    if (
        values.get("account_id", task.account.id) != task.account.id
        or task.end.kind != "success"
        or not status_at(task, scope.now_ms).ended
        or int(index) >= int(kind.count(scope) or 1)
    ):
        return refusal_reply(scope, kind.missing, "result_missing")
    if not space.links.signed(task, kind, int(index), scope.call.query):
        return refusal_reply(scope, kind.unsigned, "result_unsigned")
    if scope.now_ms >= link_ends_s(task, kind) * 1000:
        return refusal_reply(scope, kind.expired, "result_expired")
    wanted = FileWanted(
        kind.media,
        float(kind.duration_s(scope) or 1),
        int(kind.short_side_px(scope) or 720),
        str(kind.ratio(scope) or "16:9"),
    )
    return Response(200, b"", kind.media, file=wanted, task_id=task.id, account_id=task.account.id)


def refusal_reply(scope: RequestContext, refusal: Refusal, error: str) -> Response:
    """Answer as the store behind a link does."""
    body = refusal.body(scope)
    content = body.encode() if isinstance(body, str) else orjson.dumps(body)
    reply = Response(refusal.status, content, refusal.content_type, error=error)
    if error == "result_expired" and scope.task is not None:  # the link was right: whoever has it may know
        reply.task_id, reply.account_id = scope.task.id, scope.task.account.id
    return reply


def decoy(scope: RequestContext, operation: Operation, _event_queue: EventQueue) -> Response | Refused:
    """Answer at an endpoint that is the wrong one for this model; it may cost all the same."""
    assert scope.account is not None
    if operation.charges_ucr:
        scope.account.settle(scope.now_ms)
        scope.account.charge(operation.charges_ucr, scope.now_ms)
    return "wrong_endpoint", Problem("this model is not served here", operation.model_field)


ROLES: Mapping[str, Callable[[RequestContext, Operation, EventQueue], Response | Refused]] = {
    "submit": submit,
    "query": query,
    "cancel": cancel,
    "list": list_,
    "estimate": estimate,
    "balance": balance,
    "upload": upload,
    "file": file,
    "result": result,
    "decoy": decoy,
}
