"""Letting faults strike: what is known of a request before the gates, a task, a callback, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from mockserver.engine.admission import presented_key
from mockserver.engine.faults import Facts

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
    """
    space, operation, call = scope.space, scope.operation, scope.call
    if operation is None:
        return Facts(space, scope.now_ms, ())
    facts = Facts(space, scope.now_ms, (operation.id, operation.role))
    if operation.secured:
        facts.key = presented_key(space.provider.key, call)
        account = None if facts.key is None else space.accounts.get(facts.key)
        if account is not None:
            scope.account = account
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
    """Let faults change the course of a task that has just been made."""
    space, operation = scope.space, scope.operation
    facts = Facts(space, scope.now_ms, () if operation is None else (operation.id, operation.role))
    _add_task(facts, space, scope, task)
    table = space.faults
    names: list[str] = []
    for strike in table.strikes(table.find("task", facts, "submit"), facts):
        changed = strike.fault.made(strike, scope, task)
        if changed is not None:
            strike.land()
            names.append(strike.fault.name)
            task = changed
    if names:
        space.marked[task.id] = tuple(names)
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
                each.faults = (*each.faults, strike.fault.name)
            deliveries = changed
    return deliveries


def rules_for(table: FaultTable, scope: Scope) -> tuple[list[Rule], Facts]:
    """Return the rules that apply to a request, and what they go by."""
    facts = facts_of_request(scope)
    operation = scope.operation
    return table.find("request", facts, None if operation is None else operation.role), facts
