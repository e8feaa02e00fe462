"""Rendering: responses, errors and callback bodies from the provider's templates."""

from __future__ import annotations

from typing import Any

import orjson

from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import CallbackFacts, RequestContext
from mockserver.engine.course import Pairs
from mockserver.engine.messages import JSON, Response
from mockserver.engine.renewal import recorded_callbacks, recorded_response
from mockserver.engine.routes import allowed_methods
from mockserver.engine.signing import Unsealed, signing_of
from mockserver.engine.signing import rendered_headers as headers_to_seal
from mockserver.engine.state import ProviderState
from mockserver.engine.subscriptions import secrets_of
from mockserver.engine.task import Task
from mockserver.provider import Callbacks, ErrorAnswer, FileRefusal, Headers, Operation, Problem, Signature

#: Why a request is refused: a condition that the spec's `errors` answer, and what is wrong.
Refused = tuple[str, Problem]


def operation_response(context: RequestContext, operation: Operation) -> Response:
    """Render an operation's response, or what was recorded for it."""
    if context.task is not None and context.task.course is not None:
        recorded = recorded_response(context, operation.id)
        if recorded is not None:
            return recorded
    headers = rendered_headers(context, operation.headers)
    if operation.body is None and not operation.body_in:
        return Response(operation.status, b"", "", headers)
    return Response(operation.status, orjson.dumps(context.body_of(operation)), headers=headers)


def rendered_headers(context: RequestContext, headers: Headers) -> tuple[tuple[str, str], ...]:
    """Render headers; one whose value is null is left out."""
    if not headers:
        return ()
    values = ((name, value(context)) for name, value in headers)
    return tuple((name, _one_line(value)) for name, value in values if value is not None)


def _one_line(value: Any) -> str:
    """Write a value as the text of a header, which has one line."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def refusal_response(context: RequestContext, gate: str, refused: Refused) -> Response:
    """Render the provider's error for a refusal."""
    condition, context.problem = refused
    response = error_response(context, context.state.provider.refusals[condition])
    response.gate = gate
    if context.problem is not None:
        response.wait_ms = context.problem.retry_after_ms
    if condition == "unsupported_method" and context.route is not None:
        response.headers = (*response.headers, ("Allow", allowed_methods(context.route)))
    return response


def error_response(context: RequestContext, error: ErrorAnswer) -> Response:
    """Render one of the provider's errors, for the problem in the context."""
    context.error = error
    headers = rendered_headers(context, error.headers)
    wait_s = error.wait_s(context.problem)
    if wait_s is not None:
        headers = (*headers, ("Retry-After", str(wait_s)))
    return Response(error.status, orjson.dumps(error.body(context)), error.content_type, headers, error=error.name)


def file_refusal_response(context: RequestContext, refusal: FileRefusal, error: str) -> Response:
    """Render what the file host returns instead of a file."""
    body = refusal.body(context)
    content = body.encode() if isinstance(body, str) else orjson.dumps(body)
    response = Response(refusal.status, content, refusal.content_type, error=error)
    if error == "result_expired" and context.task is not None:  # the link was valid: its holder may know the task
        response.task_id, response.account_id = context.task.id, context.task.account.id
    return response


def task_context(state: ProviderState, task: Task, at_ms: int | None = None) -> RequestContext:
    """Make the context in which a task's callback is rendered: at its end, or at an instant on its way."""
    context = RequestContext(state, task.ends_ms if at_ms is None else at_ms)
    context.set_task(task)
    context.body, context.callback_url = task.body, task.callback_url
    context.callback = CallbackFacts(callback_id_of(state, task, task.end.name), task.end.name)
    return context


def callback_id_of(state: ProviderState, task: Task, event: str) -> str:
    """Return the id of what a callback tells, the same in all attempts and copies; empty if nothing shows it."""
    callbacks = state.provider.callbacks
    if callbacks is None or not callbacks.shows_id:
        return ""
    name = f"{state.provider.name}/{task.account.id}/task/{task.ordinal}/callback/{event}"
    return state.provider.callback_id(state.chance.draw(name), task.ends_ms // 1000)


def callback_body(context: RequestContext) -> bytes:
    """Render the callback that reports the task's end."""
    callbacks, task = context.state.provider.callbacks, context.task
    assert callbacks is not None
    assert task is not None
    return orjson.dumps(callbacks.events[task.end.name](context))


def rendered_deliveries(context: RequestContext) -> list[Delivery]:
    """Render the callbacks of a task: the one that reports its end, or those of its recorded course."""
    rule, task = context.state.provider.callbacks, context.task
    assert rule is not None
    assert task is not None
    recorded = recorded_callbacks(context)
    if recorded is not None:
        return [_delivery(context, rule, *each, signs=_has(each[3], rule.signature)) for each in recorded]
    headers = (("Content-Type", JSON), *rendered_headers(context, rule.headers))
    return [_delivery(context, rule, task.ends_ms, task.end.name, callback_body(context), headers)]


def stage_delivery(context: RequestContext, state: str, at_ms: int) -> Delivery:
    """Render the callback that tells of a state on the way."""
    rule = context.state.provider.callbacks
    assert rule is not None
    headers = (("Content-Type", JSON), *rendered_headers(context, rule.headers))
    return _delivery(context, rule, at_ms, state, orjson.dumps(rule.events[state](context)), headers)


def _has(headers: Pairs, signature: Signature | None) -> bool:
    return signature is not None and any(name.lower() == signature.header.lower() for name, _ in headers)


def _delivery(
    context: RequestContext,
    rule: Callbacks,
    due_ms: int,
    event: str,
    body: bytes,
    headers: Pairs,
    *,
    signs: bool = True,
) -> Delivery:
    """Make a callback: its exact bytes, signed; its id is still to be set."""
    state, task, signature, facts = context.state, context.task, rule.signature, context.callback
    assert task is not None
    assert task.callback_url is not None
    assert facts is not None
    unsealed: Unsealed = headers
    signing = None
    if signs and signature is not None:
        secrets, header = secrets_of(signature, task, due_ms)
        signing = signing_of(signature, context, secrets, header, state.chance)
        name = header.lower()
        unsealed = tuple([each for each in headers if each[0].lower() != name])
    if signs and rule.sent_headers:
        own = {name.lower() for name, _ in rule.sent_headers}
        unsealed = tuple([each for each in unsealed if each[0].lower() not in own])
        unsealed = (*unsealed, *headers_to_seal(rule.sent_headers, context))
    delivery = Delivery(
        id="",
        provider=state.provider.name,
        rule=rule,
        task_id=task.id,
        event=event,
        url=task.callback_url,
        body=body,
        headers=(),
        due_ms=due_ms,
        account=task.account,
        faults=state.task_faults.get(task.id, ()),
        callback_id=facts.id,
        unsealed=unsealed,
        signing=signing,
    )
    delivery.seal(due_ms)
    return delivery


def contrary_callback_body(state: ProviderState, task: Task) -> bytes | None:
    """Render the callback of the opposite end; None where the provider has no callback for that."""
    lifecycle, callbacks = task.model.lifecycle, state.provider.callbacks
    end = lifecycle.failure if task.end.kind == "success" else lifecycle.success
    if callbacks is None or end.name not in callbacks.events:
        return None
    reason = next(iter(end.reasons.values()), None)
    context = task_context(state, task._replace(end=end, reason=reason))
    context.callback = CallbackFacts(callback_id_of(state, task, task.end.name), end.name)
    return callback_body(context)
