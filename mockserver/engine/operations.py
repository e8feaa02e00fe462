"""What each operation does with a request that the gates have accepted, by the operation's role.

Every function reads the request context and returns a response or a refusal. What it books to fall due it adds to
`booked`; the world puts that on its event queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import orjson

from mockserver.chance import fraction
from mockserver.engine.admission import violates_policy
from mockserver.engine.callbacks import Due, TaskEnds
from mockserver.engine.context import RequestContext
from mockserver.engine.injection import TaskInjector
from mockserver.engine.kinds import is_of_kind
from mockserver.engine.listing import list_tasks
from mockserver.engine.messages import Response, StoredFile
from mockserver.engine.render import Refused, operation_response
from mockserver.engine.renewal import recorded_response, response_of
from mockserver.engine.replay import Replay, with_course
from mockserver.engine.results import serve_result
from mockserver.engine.stages import stages_to_tell
from mockserver.engine.state import ProviderState
from mockserver.engine.subscriptions import wants
from mockserver.engine.task import Task, cancelled, ended, status_at
from mockserver.engine.watching import look_again, stream_response
from mockserver.provider import End, Operation, Problem, Reason, State

#: What falls due: the instant, and what it is about.
Booked = list[tuple[int, Due]]

#: A free id is found in fewer attempts, unless hardly any are left.
_MOST_TRIES = 1000
_BYTES_PER_TOKEN = 4


def submit(
    context: RequestContext,
    operation: Operation,
    booked: Booked,
    injector: TaskInjector | None = None,
    replay: Replay | None = None,
) -> Response | Refused:
    """Create a task: draw its schedule and end, or take recorded ones; reserve its credits, book its callback."""
    course = None if replay is None else replay.find(context, operation)
    if course is not None:
        context.remark(replayed=course.seq)
        if course.is_refusal:
            return response_of(context, course.recorded, course.submit)
    task = _new_task(context)
    if course is not None:
        task = with_course(task, course, list(context.state.provider.results.values()))
    if injector is not None:
        injected = injector.inject(context, task)
        task = injected if injected is task else injected._replace(course=None)
    task.account.open(task)
    context.evicted = context.state.keep_task(task, len(context.request.body))
    context.set_task(task)
    if task.callback_url is not None:
        _book(context.state, task, booked)
    return operation_response(context, operation)


def _book(state: ProviderState, task: Task, booked: Booked) -> None:
    """Book the callback of a task's end, if any."""
    callbacks = state.provider.callbacks
    course = task.course
    if course is not None and task.revision == course.revision and course.callbacks is not None:
        first_ms = min((each.delay_ms for each in course.callbacks), default=None)
        if first_ms is not None:
            booked.append((task.submitted_ms + first_ms, TaskEnds(state.provider.name, task.id, task.revision)))
        return
    if callbacks is not None and callbacks.stages and task.callback_url is not None:
        booked += ((each.at_ms, each) for each in stages_to_tell(callbacks, state.provider.name, task))
    if (
        task.callback_url is not None
        and callbacks is not None
        and task.end.name in callbacks.events
        and wants(task, task.end.name)
        and task.held_ms is None
    ):
        booked.append((task.ends_ms, TaskEnds(state.provider.name, task.id, task.revision)))


def _new_task(context: RequestContext) -> Task:
    state, account, model = context.state, context.account, context.model
    assert account is not None
    assert model is not None
    provider, now_ms = state.provider, context.now_ms
    ordinal = account.opened
    name = f"{provider.name}/{account.id}/task/{ordinal}"
    drawn = state.chance.draw(name)
    task_id = provider.task_id(drawn, now_ms // 1000)
    tries = 0
    while task_id in state.tasks:
        tries += 1
        if tries > _MOST_TRIES:
            raise RuntimeError(f"the ids of {provider.name} have run out: it has {len(state.tasks)} tasks")
        task_id = provider.task_id(state.chance.draw(f"{name}/{tries}"), now_ms // 1000)
    entered_ms = []
    at_ms = now_ms
    for lasts_ms in _durations_ms(model.states, drawn):
        at_ms += lasts_ms
        entered_ms.append(at_ms)
    due_ms = ends_ms = entered_ms.pop()
    end, reason = _drawn_end(context, drawn)
    if reason is not None:
        ends_ms = now_ms + int((due_ms - now_ms) * reason.at_fraction)
    result_name = model.result(context)
    return Task(
        task_id,
        ordinal,
        account,
        model,
        context.body,
        now_ms,
        tuple(entered_ms),
        due_ms,
        ends_ms,
        end,
        reason,
        context.price_ucr,
        context.price_ucr if model.settle_ucr is None else model.settle_ucr(context),
        None if result_name is None else provider.results[result_name],
        context.callback_url,
        base=context.request.base or "",
        parent=context.parent,
        callback_terms=context.terms,
    )


def _durations_ms(states: Iterable[State], drawn: bytes) -> Iterator[int]:
    """Yield how long each state lasts."""
    for slot, state in enumerate(states):
        if state.longest_ms > state.shortest_ms:
            yield state.shortest_ms + int(fraction(drawn, slot % 6) * (state.longest_ms - state.shortest_ms + 1))
        else:
            yield state.shortest_ms


def _drawn_for(context: RequestContext, task: Task, purpose: str) -> bytes:
    """Draw something for a task, the same each time."""
    name = context.state.provider.name
    return context.state.chance.draw(f"{name}/{task.account.id}/task/{task.ordinal}/{purpose}")


def _drawn_end(context: RequestContext, drawn: bytes) -> tuple[End, Reason | None]:
    """Return how the task will end, unless a command or a fault changes that."""
    state = context.state
    assert context.model is not None
    lifecycle, policy = context.model.lifecycle, state.provider.content_policy
    failure = lifecycle.failure
    if policy is not None and policy.reason is not None and violates_policy(context):
        return failure, failure.reasons.get(policy.reason)
    uploads = state.provider.uploads
    if uploads is not None and uploads.missing_reason is not None:
        for url in uploads.referenced_by:
            if state.nothing_at(url(context), context.base):
                return failure, failure.reasons.get(uploads.missing_reason)
    if state.rules.failure_rate and fraction(drawn, 7) < state.rules.failure_rate:
        reasons = list(failure.reasons.values())
        return failure, reasons[int(fraction(drawn, 6) * len(reasons))] if reasons else None
    return lifecycle.success, None


def query(context: RequestContext, operation: Operation, _booked: Booked) -> Response | Refused:
    """Return the state of a task of this account."""
    refused = find_task(context, operation)
    return refused or operation_response(context, operation)


def find_task(context: RequestContext, operation: Operation) -> Refused | None:
    """Find the task that a request is about, of this account; it is then in the context."""
    assert operation.task is not None
    state = context.state
    task_id = operation.task(context)
    if not isinstance(task_id, str) or not task_id:
        return "invalid_parameter", Problem("the task id is missing", operation.task_field)
    if operation.names_task:
        task_id = task_id.rpartition("/")[2]
    matches = state.provider.task_id_matches
    if matches is not None and not matches(task_id):
        return "malformed_task_id", Problem("the task id is not well-formed", operation.task_field)
    task = state.tasks.get(task_id)
    if task is None or task.account is not context.account:
        return "unknown_task", Problem("there is no such task")
    if operation.kind is not None and not is_of_kind(operation, task.model):
        return "unknown_task", Problem("there is no such task")
    context.set_task(task)
    return None


def cancel(context: RequestContext, operation: Operation, booked: Booked) -> Response | Refused:
    """Cancel a task that has not ended."""
    refused = find_task(context, operation)
    if refused is not None:
        return refused
    task = context.task
    assert task is not None
    if task.course is not None and (recorded := recorded_response(context, operation.id)) is not None:
        return recorded
    status = status_at(task, context.now_ms).status
    end = task.model.lifecycle.cancelled_in(status)
    if ended(task, context.now_ms):
        return "not_cancellable", Problem("the task has ended")
    if end is None or (operation.states is not None and status not in operation.states):
        return "not_cancellable", Problem(f"the task is {status}")
    if task.detour:  # it is being cancelled
        return operation_response(context, operation)
    reason = next(iter(end.reasons.values()), None)
    drawn = _drawn_for(context, task, "cancel") if end.through else b""
    changed = cancelled(task, context.now_ms, end, reason, list(_durations_ms(end.through, drawn)))
    new = replace_task(context.state, task, changed, booked)
    look_again(context.state, task.id, context.now_ms, booked)
    followed = None if task.course is None else task.course.cancelled
    if followed is None:
        context.set_task(new)
        return operation_response(context, operation)
    course = followed.begun(context.now_ms - task.submitted_ms, new.revision)
    context.state.tasks[new.id] = new = new._replace(course=course)
    context.set_task(new)
    return response_of(context, course.recorded, course.submit)


def replace_task(state: ProviderState, old: Task, new: Task, booked: Booked) -> Task:
    """Replace a task by what a command or a cancellation has made of it, and book its new end."""
    if new is not old:
        state.tasks[new.id] = new
        new.account.revise(new)
        _book(state, new, booked)
    return new


def events(context: RequestContext, operation: Operation, _booked: Booked) -> Response | Refused:
    """Begin a stream of the events of a task of this account."""
    refused = find_task(context, operation)
    return refused or stream_response(context, operation)


def estimate(context: RequestContext, operation: Operation, _booked: Booked) -> Response | Refused:
    """Return the price of a submit body."""
    assert context.model is not None
    context.price_ucr = context.model.reserve_ucr(context)
    return operation_response(context, operation)


def balance(context: RequestContext, operation: Operation, _booked: Booked) -> Response | Refused:
    """Return the balance of the account."""
    return operation_response(context, operation)


def upload(context: RequestContext, operation: Operation, _booked: Booked) -> Response | Refused:
    """Store a file and return its link."""
    assert context.account is not None
    form, state = context.request.form, context.state
    uploads = state.provider.uploads
    assert form is not None
    assert uploads is not None
    if not any(_matches(form.media_type, pattern) for pattern in uploads.media_types):
        return "unsupported_media_type", Problem(
            f"{form.media_type} is not taken; send one of {', '.join(uploads.media_types)}", uploads.field
        )
    drawn = state.chance.draw(f"{state.provider.name}/{context.account.id}/file/{context.account.requests}")
    stored = StoredFile(state.provider.file_id(drawn, context.now_ms // 1000), form.name, form.media_type, form.content)
    context.evicted = state.keep(stored, context.account)
    context.file = stored
    return operation_response(context, operation)


def _matches(media_type: str, pattern: str) -> bool:
    return pattern in (media_type, "*/*") or (pattern.endswith("/*") and media_type.startswith(pattern[:-1]))


def file(context: RequestContext, _operation: Operation, _booked: Booked) -> Response | Refused:
    """Serve an upload."""
    stored = context.state.files.get(context.path_values.get("file_id", ""))
    if stored is None or context.path_values.get("file_name", stored.name) != stored.name:
        return "unknown_path", Problem("there is no such file")
    return Response(200, b"", stored.media_type, file=stored)


def decoy(context: RequestContext, operation: Operation, _booked: Booked) -> Response | Refused:
    """Refuse at the wrong endpoint for this model; some providers charge for that."""
    assert context.account is not None
    if operation.charges_ucr:
        context.account.settle(context.now_ms)
        tokens = (-(-len(context.request.body) // _BYTES_PER_TOKEN), 0) if operation.counts_tokens else None
        context.account.charge(operation.charges_ucr, context.now_ms, tokens)
    return "wrong_endpoint", Problem("this model is not served here", operation.model_field)


def keys(context: RequestContext, operation: Operation, _booked: Booked) -> Response | Refused:
    """Publish the key that verifies callbacks."""
    key = context.signing_key
    match operation.key_format:
        case None:
            return operation_response(context, operation)
        case "jwks":
            return Response(200, orjson.dumps({"keys": [key.jwk]}))
        case "pem":
            return Response(200, key.pem.encode(), "application/x-pem-file")
        case "raw":
            return Response(200, key.raw, "application/octet-stream")
        case _ as form:
            return Response(200, (key.hex if form == "hex" else key.base64).encode(), "text/plain")


def example(context: RequestContext, operation: Operation, _booked: Booked) -> Response | Refused:
    """Answer with an example, the same each time; or with the reply that the spec has for it."""
    state, sample = context.state, operation.sample
    if sample is None:
        return operation_response(context, operation)
    made = state.samples.get(operation.id)
    if made is None:
        drawn = state.chance.draw(f"{state.provider.name}/example/{operation.id}")
        headers = tuple((name, value(drawn)) for name, value in sample.headers)
        made = state.samples[operation.id] = sample.content(drawn), headers
    return Response(sample.status, made[0], sample.media_type, headers=made[1])


ROLES: Mapping[str, Callable[[RequestContext, Operation, Booked], Response | Refused]] = {
    "submit": submit,
    "query": query,
    "cancel": cancel,
    "events": events,
    "list": list_tasks,
    "estimate": estimate,
    "balance": balance,
    "upload": upload,
    "file": file,
    "result": serve_result,
    "decoy": decoy,
    "keys": keys,
    "example": example,
}
