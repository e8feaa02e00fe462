"""Changes to an account: one way in for the control plane, scenarios and tests.

A change is a mapping with any of `plan`, the limits of a plan, `available_credits`, `secret`, `revoked`, and
`webhook_url` and `webhook_events`, of which null is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mockserver.engine.accounts import Account
from mockserver.engine.signing import secret_problem
from mockserver.engine.state import ProviderState
from mockserver.engine.targets import url_problem
from mockserver.provider import UCR, Provider, TargetMode
from mockserver.scenarios.read import LIMITS


def account_issues(
    provider: Provider, changes: Mapping[str, Any], targets: TargetMode = "loopback"
) -> Iterator[tuple[str, str]]:
    """Give the field and the problem of each invalid value: a malformed `key`, an unknown `plan`."""
    callbacks = provider.callbacks
    if "key" in changes and not provider.key.well_formed(changes["key"]):
        yield "key", f"not a well-formed key for {provider.title}; for example {provider.key.example}"
    if "plan" in changes and changes["plan"] not in provider.plans:
        yield "plan", f"must be one of {', '.join(provider.plans)}; got {changes['plan'][:80]!r}"

    if "secret" in changes and callbacks is not None and callbacks.signature is not None:
        problem = secret_problem(callbacks.signature, changes["secret"])
        if problem is not None:
            yield "secret", problem
    url = changes.get("webhook_url")
    if url is not None and callbacks is None:
        yield "webhook_url", f"{provider.title} sends no callbacks"
    elif url is not None and callbacks is not None:
        problem = url_problem(url, callbacks.target, targets)
        if problem is not None:
            yield "webhook_url", problem


def apply_changes(state: ProviderState, account: Account, changes: Mapping[str, Any], now_ms: int) -> None:
    """Apply changes to an account.

    Raises:
        KeyError: the provider does not have this plan.
        ValueError: `available_credits` is negative, or `secret` has another form than the provider's.
    """
    for field, problem in account_issues(state.provider, changes, state.targets):
        if field in ("secret", "webhook_url"):
            raise ValueError(f"{field}: {problem}")
    plan = state.provider.plans[changes["plan"]] if "plan" in changes else account.plan
    new = replace(plan, **{name: changes[name] for name in LIMITS if name in changes})
    account.own_plan, account.plan = account.own_plan or new != account.plan, new
    if "available_credits" in changes:
        account.settle(now_ms)
        account.grant(round(changes["available_credits"] * UCR) - account.available_ucr, now_ms)
    if "secret" in changes:
        account.change_secret(changes["secret"], now_ms)
    if "webhook_url" in changes:
        account.webhook_url = changes["webhook_url"]
    if "webhook_events" in changes:
        events = changes["webhook_events"]
        account.webhook_events = None if events is None else tuple(events)
    account.revoked = changes.get("revoked", account.revoked)
