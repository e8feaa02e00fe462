"""Letting faults strike: what is known of a request before the gates, a task, a callback, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from mockserver.engine.admission import key, presented_key, size
from mockserver.engine.faults import Match, MatchContext, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.context import RequestContext
    from mockserver.engine.faults import FaultTable, Injection, Rule
    from mockserver.engine.operations import Response
    from mockserver.engine.state import ProviderState
    from mockserver.engine.task import Task

_BODY_ROLES = frozenset(("submit", "estimate", "decoy"))


def texts_of(space: ProviderState, scope: RequestContext) -> list[str]:
    """Return the prompts of the submit body in scope."""
    policy = space.provider.content_policy
    if policy is None:
        return []
    return [text for value in policy.texts if isinstance(text := value(scope), str)]


def facts_of_request(scope: RequestContext) -> MatchContext:
    """Find out what a request is about, as far as that can be told before the gates have judged it.

    The account and the task that are found are put in scope, so that an answer in the engine's place knows them.
    A key that is used for the first time opens its account here as it would at its gate: ids and draws are then
    the same with faults and without.
    """
    space, operation, call = scope.space, scope.operation, scope.call
    if operation is None:
        return MatchContext(space, scope.now_ms, ())
    match_context = MatchContext(space, scope.now_ms, (operation.id, operation.role), call.path)
    if operation.secured:
        match_context.key = presented_key(space.provider.key, call)
        if size(scope) is None:
            key(scope)
        account = None if match_context.key is None else space.accounts.get(match_context.key)
        if account is not None:
            match_context.account_id = account.id
    if operation.role in _BODY_ROLES:
        scope.body = _json_of(call.body)
        model = None if operation.model is None else operation.model(scope)
        match_context.model = model if isinstance(model, str) else None
        match_context.texts = texts_of(space, scope)
        return match_context
    task_id = scope.path_values.get("task_id") if operation.task is None else operation.task(scope)
    task = space.tasks.get(task_id) if isinstance(task_id, str) else None
    if task is not None and (not operation.secured or task.account is scope.account):
        scope.task = task
        _add_task(match_context, space, scope, task)
    return match_context


def _json_of(content: bytes) -> Any:
    try:
        return orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        return None


def _add_task(match_context: MatchContext, space: ProviderState, scope: RequestContext, task: Task) -> None:
    match_context.task, match_context.task_id, match_context.model = task, task.id, task.model.name
    match_context.key, match_context.account_id = task.account.key, task.account.id
    before, scope.body = scope.body, task.body
    match_context.texts = texts_of(space, scope)
    scope.body = before


def show(injections: Iterable[Injection], scope: RequestContext) -> None:
    """Let faults set up what the answer will say."""
    for injection in injections:
        injection.fault.alter_view(injection, scope)


def instead(injections: Iterable[Injection], scope: RequestContext) -> Response | None:
    """Return the first answer that a fault gives in the engine's place."""
    for injection in injections:
        reply = injection.fault.replace_response(injection, scope)
        if reply is not None:
            injection.mark_applied()
            return reply
    return None


def change(injections: Iterable[Injection], scope: RequestContext, reply: Response) -> Response:
    """Let faults change a reply."""
    for injection in injections:
        changed = injection.fault.alter_response(injection, scope, reply)
        if changed is not None:
            injection.mark_applied()
            reply = changed
    return reply


def inject_into_task(scope: RequestContext, task: Task) -> Task:
    """Let faults change the course of a task that has just been made: of the table, then asked for with it."""
    space, operation = scope.space, scope.operation
    match_context = MatchContext(space, scope.now_ms, () if operation is None else (operation.id, operation.role))
    _add_task(match_context, space, scope, task)
    table = space.faults
    names: list[str] = []
    rules = [*table.find("task", match_context, "submit"), *scope.requested_rules]
    for injection in table.injections(rules, match_context):
        changed = injection.fault.alter_task(injection, scope, task)
        if changed is not None:
            injection.mark_applied()
            names.append(injection.fault.name)
            task = changed
    if names:
        space.task_faults[task.id] = tuple(dict.fromkeys(names))
    for fault_request in scope.requested_rules:
        if task.callback_url is not None and "callback" in fault_request.fault.moments():
            table.add(fault_request.fault, Match(task=task.id), Schedule(times=1), scope.now_ms).passing = True
    if task.held_ms is not None and task.held_ms >= task.ends_ms:
        return task._replace(held_ms=None)  # it ends before it comes to where it would be held
    return task


def inject_into_callback(table: FaultTable, scope: RequestContext, task: Task, delivery: Delivery) -> list[Delivery]:
    """Let faults make of a callback what they will."""
    space = scope.space
    match_context = MatchContext(space, scope.now_ms, ("callback",))
    _add_task(match_context, space, scope, task)
    deliveries = [delivery]
    for injection in table.injections(table.find("callback", match_context, None), match_context):
        changed = injection.fault.alter_deliveries(injection, deliveries) if deliveries else None
        if changed is not None:
            injection.mark_applied()
            for each in changed:
                if not any(each is before for before in deliveries):
                    each.faults = tuple(dict.fromkeys((*each.faults, injection.fault.name)))
            deliveries = changed
        if injection.rule.passing:
            table.remove(injection.rule.id)
    return deliveries


def rules_for(table: FaultTable, scope: RequestContext) -> list[Rule]:
    """Return the rules that apply to a request.

    For requests about a task, all that rules go by stands in the key and the target, so it is worked out once.
    """
    operation, call = scope.operation, scope.call
    name = None
    if operation is not None and operation.role not in _BODY_ROLES:
        provider = scope.space.provider
        name = (provider.name, operation.id, call.path, call.query_string, call.headers.get(provider.key.header))
        known = table.remembered(name, scope.now_ms)
        if known is not None:
            return known
    match_context = facts_of_request(scope)
    role = None if operation is None else operation.role
    return table.find("request", match_context, role, None if match_context.task is None else name)
