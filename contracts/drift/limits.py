"""Holds refusals for too many requests against the plans: was each request let through or refused as a plan says?

No journal says which plan an account has. So the requests of each account are counted as each plan would count them;
there is a difference only if no plan explains what was let through and what was refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from contracts.drift.differences import Differences
from contracts.drift.places import Edit, Place
from contracts.drift.spec import DocumentedSpec
from contracts.journal import Exchange, Journal
from mockserver.engine.limits import RateLog
from mockserver.provider import Plan, Provider
from mockserver.spec.pointer import MISSING, pointed

_Fate = Literal["passed", "refused", "not counted", "unknown"]
#: Gates before that of the limits: what they refuse is not counted.
_BEFORE = frozenset(("fault", "route", "method", "size", "key", "plan"))
_BEFORE_CONDITIONS = frozenset(
    (
        "unknown_path",
        "unsupported_method",
        "body_too_large",
        "request_timeout",
        "missing_key",
        "invalid_key",
        "plan_forbidden",
    )
)
_OTHER_LIMITS = frozenset(("concurrency_exceeded", "quota_exceeded"))
#: A clock that starts anew goes back by more than this.
_NEW_RUN_MS = 120_000
#: What the network may add to the edge of a window of a recorded API.
_EDGE_MS = 2000
_MINUTE_MS = 60_000


class _Counted(NamedTuple):
    exchange: Exchange
    role: str
    refused: bool


def judge_limits(documented: DocumentedSpec, journal: Journal, found: Differences) -> None:
    """Report requests that no plan lets through, or that every plan lets through and were refused."""
    provider = documented.provider
    for requests in _by_account(documented, journal):
        limited = any(plan.limits_rate for plan in provider.plans.values())
        if not limited and not any(each.refused for each in requests):
            continue
        found.tested["limits"] += len(requests)
        plans = sorted(provider.plans.values(), key=lambda plan: plan.name != provider.default_plan)
        wrong = {plan.name: _misjudged(provider, plan, requests) for plan in plans if plan.api}
        if not wrong or not all(wrong.values()):
            continue
        name = min(wrong, key=lambda each: len(wrong[each]))
        _report(documented, provider.plans[name], requests, wrong[name], found)


def _by_account(documented: DocumentedSpec, journal: Journal) -> Iterator[list[_Counted]]:
    provider = documented.provider
    accounts: dict[tuple[int, str], list[_Counted]] = defaultdict(list)
    spoiled: set[tuple[int, str]] = set()
    run, seq, at_ms = 0, 0, 0
    for exchange in journal.exchanges:
        run += exchange.seq <= seq or exchange.at_ms < at_ms - _NEW_RUN_MS
        seq, at_ms = exchange.seq, exchange.at_ms
        operation = provider.operations.get(exchange.operation or "")
        key = exchange.account or exchange.header(provider.key.header)
        if operation is None or not operation.secured or key is None:
            continue
        fate = _fate(documented, exchange)
        if fate == "unknown" or exchange.own_plan:
            spoiled.add((run, key))
        elif fate != "not counted":
            accounts[run, key].append(_Counted(exchange, operation.role, fate == "refused"))
    yield from (each for name, each in accounts.items() if name not in spoiled)


def _fate(documented: DocumentedSpec, exchange: Exchange) -> _Fate:
    """Tell what the limits did with a request, as far as its record says."""
    if exchange.status is None or exchange.faults:
        return "unknown"
    if exchange.gate in _BEFORE:
        return "not counted"
    conditions = _conditions(documented, exchange)
    if exchange.gate == "rate":
        return "refused" if "rate_exceeded" in conditions else "not counted"
    if exchange.account is not None or exchange.gate is not None or exchange.status < 400:
        return "passed"
    if conditions & _BEFORE_CONDITIONS:
        return "not counted"
    if "rate_exceeded" in conditions:
        return "unknown" if conditions & _OTHER_LIMITS else "refused"
    return "passed"


def _conditions(documented: DocumentedSpec, exchange: Exchange) -> set[str]:
    """Return the refusals that an answer may be."""
    found = set()
    for condition, error in documented.provider.refusals.items():
        facts = documented.error_facts[error.name]
        shown = [(pointer, getattr(error, fact)) for fact in ("code", "type") for pointer in facts.of(f"$error.{fact}")]
        if error.status == exchange.status and all(
            pointed(exchange.answer, pointer, MISSING) == value for pointer, value in shown
        ):
            found.add(condition)
    return found


def _misjudged(
    provider: Provider, plan: Plan, requests: list[_Counted], *, all_count: bool | None = None
) -> list[_Counted]:
    """Return the requests with which a plan would have dealt otherwise."""
    counts_all = provider.counts_all_requests if all_count is None else all_count
    rate, tasks, wrong = RateLog(), RateLog(tasks=True), []
    first_ms = requests[0].exchange.at_ms
    for each in requests:
        at_ms, is_submit = each.exchange.at_ms, each.role == "submit"
        own = each.exchange.account is not None
        wait_ms = tasks.wait_ms(plan, at_ms) if is_submit else 0
        if counts_all or is_submit:
            wait_ms = max(wait_ms, rate.wait_ms(plan, at_ms))
        if each.refused:
            if wait_ms <= 0 and (own or at_ms - first_ms > _longest_window_ms(plan)):
                wrong.append(each)
            continue
        if wait_ms > (0 if own else _EDGE_MS):
            wrong.append(each)
        if counts_all or is_submit:
            rate.count(plan, at_ms)
        if is_submit and each.exchange.task is not None and (each.exchange.status or 0) < 300:
            tasks.count(plan, at_ms)
    return wrong


def _longest_window_ms(plan: Plan) -> int:
    """Return how far back a plan looks: what was sent before the journal begins is not known."""
    return max((window_ms for _, _, window_ms in (*plan.request_limits, *plan.task_limits)), default=0)


def _report(
    documented: DocumentedSpec, plan: Plan, requests: list[_Counted], wrong: list[_Counted], found: Differences
) -> None:
    provider, accounts = documented.provider, documented.mock.at("accounts")
    flipped = replace(plan, fixed_windows=not plan.fixed_windows)
    place: Place
    value: Any
    if not _misjudged(provider, flipped, requests):
        place, value = accounts.at("rate_window"), "fixed" if flipped.fixed_windows else "sliding"
    elif not _misjudged(provider, plan, requests, all_count=not provider.counts_all_requests):
        place, value = accounts.at("counted_requests"), "submits" if provider.counts_all_requests else "all"
    else:
        place, value = accounts.at("plans", plan.name, "requests_per_minute"), _per_minute(provider, requests)
    for each in wrong:
        verb = "refused" if each.refused else "let through"
        found.add(
            *("limits", (each.refused,), [each.exchange]),
            seen=f"{each.exchange.operation} was {verb} for its number of requests",
            asks=f"no plan {'refuses' if each.refused else 'lets through'} so many; the nearest is {plan.name}",
            place=place,
            edit=lambda _, place=place, value=value: Edit(place, value),  # type: ignore[misc]
        )


def _per_minute(provider: Provider, requests: list[_Counted]) -> int:
    """Return the limit for a minute that explains most: what was let through in the minute before each refusal."""
    passed = [
        each.exchange.at_ms
        for each in requests
        if not each.refused and (provider.counts_all_requests or each.role == "submit")
    ]
    refused = [each.exchange.at_ms for each in requests if each.refused]
    most = max((sum(at_ms - _MINUTE_MS < each <= at_ms for each in passed) for at_ms in refused or passed), default=1)
    return max(1, most)
