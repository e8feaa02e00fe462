"""Idempotency keys: a submit with a key that was used before gets the answer of then, and makes no second task.

A key belongs to an account, and counts from the accepted submit that had it first until the provider's time is over; a
refused submit does not use it up. The same key with another body, or at another operation, is refused.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import orjson

from mockserver.engine.context import RequestContext
from mockserver.engine.messages import Response
from mockserver.engine.render import Refused, rendered_headers
from mockserver.provider import Problem

#: The newest keys of a provider that are kept.
KEYS_KEPT = 50_000
_KEYS_DROPPED = KEYS_KEPT // 10


class KeptAnswer(NamedTuple):
    """The answer to an accepted submit that had a key."""

    fingerprint: bytes
    expires_ms: int
    task_id: str
    status: int
    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...]


def idempotency(context: RequestContext) -> Refused | None:
    """Was the key used before? With the same body, `context.kept_answer` is set: then nothing else is checked."""
    rule = context.state.provider.idempotency
    assert rule is not None
    key = rule.key(context)
    if not isinstance(key, str) or not key:
        return None
    state = context.state
    owner = "" if context.account is None else context.account.id
    context.idempotency_key = name = hashlib.blake2b(f"{owner}/{key}".encode("utf-8", "replace")).digest()
    kept: KeptAnswer | None = state.kept_answers.get(name)
    if kept is None or kept.expires_ms <= context.now_ms or kept.task_id not in state.tasks:
        return None
    if kept.fingerprint != _fingerprint(context):
        return "idempotency_conflict", Problem("the idempotency key was used with another request", rule.field)
    context.kept_answer = kept
    return "kept_answer", Problem("")


def _fingerprint(context: RequestContext) -> bytes:
    """Return what is the same for equal requests: the operation, and the body's JSON whatever its spaces and order."""
    assert context.operation is not None
    try:
        body = orjson.dumps(context.body, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        body = context.request.body
    return hashlib.blake2b(context.operation.id.encode() + b"\0" + body).digest()


def keep_answer(context: RequestContext, response: Response | Refused) -> None:
    """Keep the answer to an accepted submit under its key, if it has one."""
    name, task, rule = context.idempotency_key, context.task, context.state.provider.idempotency
    if name is None or task is None or rule is None or not isinstance(response, Response):
        return
    answers: dict[bytes, Any] = context.state.kept_answers
    answers.pop(name, None)  # one that has expired: the new one goes to the end
    if len(answers) >= KEYS_KEPT:
        for old in list(answers)[:_KEYS_DROPPED]:
            del answers[old]
    answers[name] = KeptAnswer(
        _fingerprint(context),
        context.now_ms + rule.lifetime_ms,
        task.id,
        response.status,
        response.body,
        response.content_type,
        response.headers,
    )


def kept_response(context: RequestContext) -> Response:
    """Return the answer of then, with the headers that say so."""
    kept, rule = context.kept_answer, context.state.provider.idempotency
    assert isinstance(kept, KeptAnswer)
    assert rule is not None
    context.set_task(context.state.tasks[kept.task_id])
    context.remark(repeated=True)
    headers = (*kept.headers, *rendered_headers(context, rule.replay_headers))
    return Response(kept.status, kept.body, kept.content_type, headers)
