"""Accounts: list, show, open and change them; read a ledger."""

from __future__ import annotations

from typing import Any

from mockserver.clock import iso_of
from mockserver.edge.account_changes import account_issues, change_account
from mockserver.edge.admin.api import AdminRequest, not_found
from mockserver.edge.admin.auth import RefusedError
from mockserver.edge.records import account_record
from mockserver.engine.accounts import Account
from mockserver.engine.context import credits_of
from mockserver.engine.state import ProviderState


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
    state = request.runtime.world.providers.get(request.body["provider"])
    if state is None:
        raise not_found("provider", request.body["provider"])
    _check(state, request.body)
    return _change(request, state, state.account(request.body["key"], request.now_ms))


async def change(request: AdminRequest) -> Any:
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
    for field, problem in account_issues(state.provider, changes):
        raise RefusedError(400, "invalid_body", f"{field}: {problem}")


def _change(request: AdminRequest, state: ProviderState, found: Account) -> dict[str, Any]:
    change_account(state, found, request.body, request.now_ms)
    return account_record(state, found, request.now_ms)


HANDLERS = {
    "accounts": accounts,
    "account": account,
    "openAccount": open_account,
    "changeAccount": change,
    "ledger": ledger,
}
