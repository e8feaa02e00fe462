"""Providers, tasks, accounts and deliveries as JSON records, for the control plane and the live page."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

from mockserver.clock import iso_of
from mockserver.engine.accounts import Account
from mockserver.engine.callbacks import Delivery
from mockserver.engine.context import credits_of
from mockserver.engine.state import ProviderState
from mockserver.engine.task import Task, ended, status_at
from mockserver.provider import Provider


def newest_tasks(providers: Iterable[ProviderState]) -> Iterator[tuple[ProviderState, Task]]:
    """Give the tasks of some providers, newest first; tasks of one instant take turns by provider."""
    merged = heapq.merge(*map(_newest_first, providers), key=lambda each: each[:2])
    return ((state, task) for _, _, state, task in merged)


def _newest_first(state: ProviderState) -> Iterator[tuple[int, int, ProviderState, Task]]:
    for place, task in enumerate(reversed(state.tasks.values())):
        yield -task.submitted_ms, place, state, task


def provider_record(provider: Provider, base_url: str) -> dict[str, Any]:
    """Describe a provider: its operations, states and ends."""
    lifecycle = provider.whole_lifecycle
    return {
        "name": provider.name,
        "title": provider.title,
        "base_url": base_url,
        "hosts": provider.hosts,
        "models": list(provider.models),
        "plans": list(provider.plans),
        "states": [state.name for state in lifecycle.states],
        "ends": [
            {
                "name": end.name,
                "kind": end.kind,
                "reasons": [{"code": each.code, "message": each.message} for each in end.reasons.values()],
            }
            for end in lifecycle.ends.values()
        ],
        "operations": [
            {"id": each.id, "role": each.role, "method": each.method, "path": each.path}
            for each in provider.operations.values()
        ],
        "dialects": [{"name": each.name, "summary": each.summary, "active": each.active} for each in provider.dialects],
    }


def task_record(state: ProviderState, task: Task, now_ms: int) -> dict[str, Any]:
    """Describe a task at an instant."""
    status, progress, is_over = status_at(task, now_ms)
    return {
        "id": task.id,
        "provider": state.provider.name,
        "model": task.model.name,
        "account": task.account.id,
        "status": status,
        "progress": progress,
        "ended": ended(task, now_ms),
        "held": task.held_ms is not None,
        "submitted_at": iso_of(task.submitted_ms),
        "ends_at": None if task.held_ms is not None else iso_of(task.ends_ms),
        "reserved_credits": credits_of(task.reserved_ucr),
        "charged_credits": credits_of(task.spends_ucr if is_over else 0),
        "reason": task.reason.code if is_over and task.reason is not None else None,
        "callback_url": task.callback_url,
        "request": task.body,
    }


def account_record(state: ProviderState, account: Account, now_ms: int) -> dict[str, Any]:
    """Describe an account at an instant: credits, limits and what is left of them."""
    running = account.running_tasks(now_ms)
    left = account.rate.left(account.plan, now_ms) | account.accepted.left(account.plan, now_ms)
    if account.plan.concurrent_tasks is not None:
        left["concurrent_tasks"] = max(0, account.plan.concurrent_tasks - running)
    return {
        "id": account.id,
        "provider": state.provider.name,
        "plan": account.plan.name,
        "revoked": account.revoked,
        "granted_credits": credits_of(account.granted_ucr),
        "available_credits": credits_of(account.available_ucr),
        "reserved_credits": credits_of(account.reserved_ucr),
        "spent_credits": credits_of(account.spent_ucr),
        "running_tasks": running,
        "limits": {name: getattr(account.plan, name) for name in left},
        "limits_left": left,
        **({} if account.webhook_url is None else {"webhook_url": account.webhook_url}),
    }


def delivery_record(delivery: Delivery) -> dict[str, Any]:
    """Describe a callback delivery and its attempts so far."""
    return {
        "id": delivery.id,
        "provider": delivery.provider,
        "task": delivery.task_id,
        "event": delivery.event,
        "url": delivery.url,
        "state": delivery.state,
        "due": iso_of(delivery.due_ms),
        "attempts": [
            {
                "number": attempt.number,
                "at": iso_of(attempt.at_ms),
                "outcome": attempt.outcome,
                "status": attempt.status,
                "detail": attempt.detail,
            }
            for attempt in delivery.attempts
        ],
    }
