"""Changes to an account: one way in for the control plane, scenarios and tests.

A change is a mapping with any of `plan`, the limits of a plan, `available_credits`, `secret` and `revoked`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mockserver.engine.accounts import Account
from mockserver.engine.state import ProviderState
from mockserver.provider import UCR, Provider
from mockserver.scenarios.read import LIMITS


def account_issues(provider: Provider, changes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the field and the problem of each invalid value: a malformed `key`, an unknown `plan`."""
    if "key" in changes and not provider.key.well_formed(changes["key"]):
        yield "key", f"not a well-formed key for {provider.title}; for example {provider.key.example}"
    if "plan" in changes and changes["plan"] not in provider.plans:
        yield "plan", f"must be one of {', '.join(provider.plans)}; got {changes['plan'][:80]!r}"


def apply_changes(state: ProviderState, account: Account, changes: Mapping[str, Any], now_ms: int) -> None:
    """Apply changes to an account.

    Raises:
        KeyError: the provider does not have this plan.
        ValueError: `available_credits` is negative.
    """
    plan = state.provider.plans[changes["plan"]] if "plan" in changes else account.plan
    new = replace(plan, **{name: changes[name] for name in LIMITS if name in changes})
    account.own_plan, account.plan = account.own_plan or new != account.plan, new
    if "available_credits" in changes:
        account.settle(now_ms)
        account.grant(round(changes["available_credits"] * UCR) - account.available_ucr, now_ms)
    if "secret" in changes:
        account.change_secret(changes["secret"])
    account.revoked = changes.get("revoked", account.revoked)
