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


def texts_of(state: ProviderState, context: RequestContext) -> list[str]:
    """Return the prompts of the submit body in scope."""
    policy = state.provider.content_policy
    if policy is None:
        return []
    return [text for value in policy.texts if isinstance(text := value(context), str)]


def facts_of_request(context: RequestContext) -> MatchContext:
    """Find out what a request is about, as far as that can be told before the gates have judged it.

    The account and the task that are found are put in scope, so that an answer in the engine's place knows them.
    A key that is used for the first time opens its account here as it would at its gate: ids and draws are then
    the same with faults and without.
    """
    state, operation, request = context.state, context.operation, context.request
    if operation is None:
        return MatchContext(state, context.now_ms, ())
    match_context = MatchContext(state, context.now_ms, (operation.id, operation.role), request.path)
    if operation.secured:
        match_context.key = presented_key(state.provider.key, request)
        if size(context) is None:
            key(context)
        account = None if match_context.key is None else state.accounts.get(match_context.key)
        if account is not None:
            match_context.account_id = account.id
    if operation.role in _BODY_ROLES:
        context.body = _json_of(request.body)
        model = None if operation.model is None else operation.model(context)
        match_context.model = model if isinstance(model, str) else None
        match_context.texts = texts_of(state, context)
        return match_context
    task_id = context.path_values.get("task_id") if operation.task is None else operation.task(context)
    task = state.tasks.get(task_id) if isinstance(task_id, str) else None
    if task is not None and (not operation.secured or task.account is context.account):
        context.task = task
        _add_task(match_context, state, context, task)
    return match_context


def _json_of(content: bytes) -> Any:
    try:
        return orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        return None


def _add_task(match_context: MatchContext, state: ProviderState, context: RequestContext, task: Task) -> None:
    match_context.task, match_context.task_id, match_context.model = task, task.id, task.model.name
    match_context.key, match_context.account_id = task.account.key, task.account.id
    before, context.body = context.body, task.body
    match_context.texts = texts_of(state, context)
    context.body = before


def show(injections: Iterable[Injection], context: RequestContext) -> None:
    """Let faults set up what the answer will say."""
    for injection in injections:
        injection.fault.alter_view(injection, context)


def instead(injections: Iterable[Injection], context: RequestContext) -> Response | None:
    """Return the first answer that a fault gives in the engine's place."""
    for injection in injections:
        response = injection.fault.replace_response(injection, context)
        if response is not None:
            injection.mark_applied()
            return response
    return None


def change(injections: Iterable[Injection], context: RequestContext, response: Response) -> Response:
    """Let faults change a reply."""
    for injection in injections:
        changed = injection.fault.alter_response(injection, context, response)
        if changed is not None:
            injection.mark_applied()
            response = changed
    return response


def inject_into_task(context: RequestContext, task: Task) -> Task:
    """Let faults change the course of a task that has just been made: of the table, then asked for with it."""
    state, operation = context.state, context.operation
    match_context = MatchContext(state, context.now_ms, () if operation is None else (operation.id, operation.role))
    _add_task(match_context, state, context, task)
    table = state.faults
    names: list[str] = []
    rules = [*table.find("task", match_context, "submit"), *context.requested_rules]
    for injection in table.injections(rules, match_context):
        changed = injection.fault.alter_task(injection, context, task)
        if changed is not None:
            injection.mark_applied()
            names.append(injection.fault.name)
            task = changed
    if names:
        state.task_faults[task.id] = tuple(dict.fromkeys(names))
    for fault_request in context.requested_rules:
        if task.callback_url is not None and "callback" in fault_request.fault.moments():
            table.add(fault_request.fault, Match(task=task.id), Schedule(times=1), context.now_ms).passing = True
    if task.held_ms is not None and task.held_ms >= task.ends_ms:
        return task._replace(held_ms=None)  # it ends before it comes to where it would be held
    return task


def inject_into_callback(table: FaultTable, context: RequestContext, task: Task, delivery: Delivery) -> list[Delivery]:
    """Let faults make of a callback what they will."""
    state = context.state
    match_context = MatchContext(state, context.now_ms, ("callback",))
    _add_task(match_context, state, context, task)
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


def rules_for(table: FaultTable, context: RequestContext) -> list[Rule]:
    """Return the rules that apply to a request.

    For requests about a task, all that rules go by stands in the key and the target, so it is worked out once.
    """
    operation, request = context.operation, context.request
    name = None
    if operation is not None and operation.role not in _BODY_ROLES:
        provider = context.state.provider
        name = (
            provider.name,
            operation.id,
            request.path,
            request.query_string,
            request.headers.get(provider.key.header),
        )
        known = table.remembered(name, context.now_ms)
        if known is not None:
            return known
    match_context = facts_of_request(context)
    role = None if operation is None else operation.role
    return table.find("request", match_context, role, None if match_context.task is None else name)
