"""Letting faults strike: what is known of a request before the gates, a task, a callback, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from mockserver.engine.admission import key, presented_key, size
from mockserver.engine.faults import Facts, When, Where

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.faults import FaultTable, Rule, Strike
    from mockserver.engine.operations import Reply
    from mockserver.engine.scope import Scope
    from mockserver.engine.space import Space
    from mockserver.engine.task import Task

_BODY_ROLES = frozenset(("submit", "estimate", "decoy"))


def texts_of(space: Space, scope: Scope) -> list[str]:
    """Return the prompts of the submit body in scope."""
    policy = space.provider.content_policy
    if policy is None:
        return []
    return [text for value in policy.texts if isinstance(text := value(scope), str)]


def facts_of_request(scope: Scope) -> Facts:
    """Find out what a request is about, as far as that can be told before the gates have judged it.

    The account and the task that are found are put in scope, so that an answer in the engine's place knows them.
    A key that is used for the first time opens its account here as it would at its gate: ids and draws are then
    the same with faults and without.
    """
    space, operation, call = scope.space, scope.operation, scope.call
    if operation is None:
        return Facts(space, scope.now_ms, ())
    facts = Facts(space, scope.now_ms, (operation.id, operation.role), call.path)
    if operation.secured:
        facts.key = presented_key(space.provider.key, call)
        if size(scope) is None:
            key(scope)
        account = None if facts.key is None else space.accounts.get(facts.key)
        if account is not None:
            facts.account_id = account.id
    if operation.role in _BODY_ROLES:
        scope.body = _json_of(call.body)
        model = None if operation.model is None else operation.model(scope)
        facts.model = model if isinstance(model, str) else None
        facts.texts = texts_of(space, scope)
        return facts
    task_id = scope.path_values.get("task_id") if operation.task is None else operation.task(scope)
    task = space.tasks.get(task_id) if isinstance(task_id, str) else None
    if task is not None and (not operation.secured or task.account is scope.account):
        scope.task = task
        _add_task(facts, space, scope, task)
    return facts


def _json_of(content: bytes) -> Any:
    try:
        return orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        return None


def _add_task(facts: Facts, space: Space, scope: Scope, task: Task) -> None:
    facts.task, facts.task_id, facts.model = task, task.id, task.model.name
    facts.key, facts.account_id = task.account.key, task.account.id
    before, scope.body = scope.body, task.body
    facts.texts = texts_of(space, scope)
    scope.body = before


def show(strikes: Iterable[Strike], scope: Scope) -> None:
    """Let faults set up what the answer will say."""
    for strike in strikes:
        strike.fault.shown(strike, scope)


def instead(strikes: Iterable[Strike], scope: Scope) -> Reply | None:
    """Return the first answer that a fault gives in the engine's place."""
    for strike in strikes:
        reply = strike.fault.instead(strike, scope)
        if reply is not None:
            strike.land()
            return reply
    return None


def change(strikes: Iterable[Strike], scope: Scope, reply: Reply) -> Reply:
    """Let faults change a reply."""
    for strike in strikes:
        changed = strike.fault.answered(strike, scope, reply)
        if changed is not None:
            strike.land()
            reply = changed
    return reply


def strike_task(scope: Scope, task: Task) -> Task:
    """Let faults change the course of a task that has just been made: of the table, then asked for with it."""
    space, operation = scope.space, scope.operation
    facts = Facts(space, scope.now_ms, () if operation is None else (operation.id, operation.role))
    _add_task(facts, space, scope, task)
    table = space.faults
    names: list[str] = []
    rules = [*table.find("task", facts, "submit"), *scope.wishes]
    for strike in table.strikes(rules, facts):
        changed = strike.fault.made(strike, scope, task)
        if changed is not None:
            strike.land()
            names.append(strike.fault.name)
            task = changed
    if names:
        space.marked[task.id] = tuple(dict.fromkeys(names))
    for wish in scope.wishes:
        if task.callback_url is not None and "callback" in wish.fault.moments():
            table.add(wish.fault, Where(task=task.id), When(times=1), scope.now_ms).passing = True
    if task.held_ms is not None and task.held_ms >= task.ends_ms:
        return task._replace(held_ms=None)  # it ends before it comes to where it would be held
    return task


def strike_callback(table: FaultTable, scope: Scope, task: Task, delivery: Delivery) -> list[Delivery]:
    """Let faults make of a callback what they will."""
    space = scope.space
    facts = Facts(space, scope.now_ms, ("callback",))
    _add_task(facts, space, scope, task)
    deliveries = [delivery]
    for strike in table.strikes(table.find("callback", facts, None), facts):
        changed = strike.fault.called(strike, deliveries) if deliveries else None
        if changed is not None:
            strike.land()
            for each in changed:
                if not any(each is before for before in deliveries):
                    each.faults = tuple(dict.fromkeys((*each.faults, strike.fault.name)))
            deliveries = changed
        if strike.rule.passing:
            table.remove(strike.rule.id)
    return deliveries


def rules_for(table: FaultTable, scope: Scope) -> list[Rule]:
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
    facts = facts_of_request(scope)
    role = None if operation is None else operation.role
    return table.find("request", facts, role, None if facts.task is None else name)
