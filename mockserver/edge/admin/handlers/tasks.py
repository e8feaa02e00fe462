"""Tasks: list, show and command them. Accounts: list, open and change them. Callbacks: list and repeat them."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any, get_args

from mockserver.clock import iso_of
from mockserver.edge.access import RefusedError
from mockserver.edge.account_changes import account_issues, apply_changes
from mockserver.edge.admin.api import AdminRequest, not_found, or_not_found
from mockserver.edge.records import account_record, delivery_record, newest_tasks, task_record
from mockserver.engine.accounts import Account
from mockserver.engine.commands import Command
from mockserver.engine.context import credits_of
from mockserver.engine.state import ProviderState
from mockserver.engine.task import status_at


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
    with or_not_found("task", request.parameters["task_id"]):
        state, found = request.runtime.world.find_task(request.parameters["task_id"])
    return task_record(state, found, request.now_ms)


async def _command(request: AdminRequest, name: Command) -> Any:
    """Hold, release, complete, fail or cancel a task."""
    reason = None if request.body is None else request.body.get("reason")
    with or_not_found("task", request.parameters["task_id"]):
        await request.runtime.command(request.parameters["task_id"], name, reason)
    return await task(request)


COMMANDS = {name: partial(_command, name=name) for name in get_args(Command)}


async def accounts(request: AdminRequest) -> Any:
    """List the accounts."""
    return {
        "accounts": [
            account_record(state, each, request.now_ms)
            for state in request.provider_states(request.parameters["provider"])
            for each in state.accounts.values()
        ]
    }


async def account(request: AdminRequest) -> Any:
    """Show one account."""
    return account_record(*_find(request), request.now_ms)


async def open_account(request: AdminRequest) -> Any:
    """Open the account of a key, or find it, and change it."""
    with or_not_found("provider", request.body["provider"]):
        state = request.runtime.world.providers[request.body["provider"]]
    _check(state, request.body)
    return _change(request, state, state.account(request.body["key"], request.now_ms))


async def create_key(request: AdminRequest) -> Any:
    """Open an account with a new key; only this answer shows the key."""
    with or_not_found("provider", request.body["provider"]):
        state = request.runtime.world.providers[request.body["provider"]]
    _check(state, request.body)
    created = state.create_key(request.now_ms)
    return {**_change(request, state, created), "key": created.key}


async def rotate_key(request: AdminRequest) -> Any:
    """Replace the key of an account; only this answer shows the new key."""
    state, found = _find(request)
    key = state.rotate_key(found)
    return {**account_record(state, found, request.now_ms), "key": key}


async def change_account(request: AdminRequest) -> Any:
    """Change an account."""
    state, found = _find(request)
    _check(state, request.body)
    return _change(request, state, found)


async def ledger(request: AdminRequest) -> Any:
    """Read the ledger of an account, oldest first."""
    _, found = _find(request)
    found.settle(request.now_ms)
    return {
        "entries": [
            {"at": iso_of(each.at_ms), "kind": each.kind, "credits": credits_of(each.amount_ucr), "task": each.task_id}
            | ({} if each.tokens is None else {"tokens": dict(zip(("input", "output"), each.tokens, strict=True))})
            for each in found.ledger
        ]
    }


def _find(request: AdminRequest) -> tuple[ProviderState, Account]:
    for state in request.provider_states():
        found = state.account_by_id(request.parameters["account_id"])
        if found is not None:
            return state, found
    raise not_found("account", request.parameters["account_id"])


def _check(state: ProviderState, changes: dict[str, Any]) -> None:
    for field, problem in account_issues(state.provider, changes, state.targets):
        raise RefusedError(400, "invalid_body", f"{field}: {problem}")


def _change(request: AdminRequest, state: ProviderState, found: Account) -> dict[str, Any]:
    apply_changes(state, found, request.body, request.now_ms)
    return account_record(state, found, request.now_ms)


async def callbacks(request: AdminRequest) -> Any:
    """List deliveries: finished ones, then the others."""
    wanted, deliveries = request.parameters["task"], request.runtime.world.deliveries()
    return {"callbacks": [delivery_record(each) for each in deliveries if wanted in (None, each.task_id)]}


async def redeliver(request: AdminRequest) -> Any:
    """Send a finished delivery again."""
    delivery_id = request.parameters["delivery_id"]
    with or_not_found("finished callback", delivery_id):
        return delivery_record(await request.runtime.redeliver(delivery_id))
