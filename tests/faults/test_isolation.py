"""Isolation: a fault changes nothing for requests that it does not apply to, byte by byte.

And for those it is meant for, the journal names the fault where something was changed, and nowhere else.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import pytest
from support.edge import nothing_logged
from support.engine import providers
from support.faults import STRUCK, Day, live

from mockserver.faults import all_faults

#: Parameters that keep wall time short, or let a fault strike within the day.
GENTLY: dict[str, dict[str, Any]] = {
    "error": {"status": 429},
    "held_open": {"seconds": 0.02},
    "late_url": {"for_s": 100},
    "latency": {"seconds": 0.01},
    "slow_body": {"bytes_per_s": 20_000},
    "slow_file": {"bytes_per_s": 5_000_000},
    "stale_query": {"for_s": 100},
}
#: These add a callback, and put off the others, which are not named: they say what they would say otherwise.
PUTS_OFF = frozenset(("early_unknown_event",))
#: These change when bytes come, and nothing in them.
ONLY_LATER = frozenset(("latency", "slow_body", "slow_file"))
#: What a provider's document gives a fault no hold for: fields that it does not have.
NOT_THERE: dict[str, frozenset[str]] = {
    "kiln": frozenset(("model_echo",)),
    "evolink": frozenset(),
    "googlegeminiomni": frozenset(("progress_back",)),
    "toapis": frozenset(),
    "crun": frozenset(("progress_back",)),
}
#: Of which families each provider is tried: the sixth one with all, the others where they are unlike it.
FAMILIES: dict[str, tuple[str, ...]] = {
    "kiln": ("answers", "transport", "meaning", "results", "callbacks"),
    "evolink": ("meaning", "callbacks"),
    "googlegeminiomni": ("results", "callbacks"),
    "toapis": ("meaning",),
    "crun": ("answers", "meaning"),
}


@cache
def calm(provider: str) -> Day:
    """Return the day without faults."""
    return asyncio.run(live(provider))


def own_account(provider: str) -> str:
    """Return the name of the account that the affected task belongs to: the first that was opened."""
    return next(name for name in calm(provider).ledgers if name.startswith(f"{provider} "))


def fault_request(provider: str, fault: str, operation: str | None, **when: Any) -> dict[str, Any]:
    """Return what puts a fault in force for one client's task, and for no request but those about it."""
    where = {"provider": provider, "text": STRUCK, "key": own_account(provider).split()[1]}
    if operation is not None:
        where["operation"] = operation
    return {"fault": fault, "with": GENTLY.get(fault, {}), "where": where, "when": when}


def operation_of(fault: str) -> str | None:
    """Return the role that a fault is activated for: queries, where it could affect other requests, too."""
    kind = all_faults()[fault]
    narrow = kind.moments() != {"request"} or kind.family == "results" or fault == "lost_answer"
    return None if narrow else "query"


def is_bystander(label: str) -> bool:
    """Tell whether an exchange has nothing to do with the task that is affected, nor with its account."""
    return not label.endswith((" struck", " account"))


CASES = [
    *(
        (provider, fault, operation_of(fault))
        for provider, families in FAMILIES.items()
        for fault, kind in all_faults().items()
        if kind.family in families and kind.never_at(providers()[provider]) is None
    ),
    *(
        ("kiln", fault, "result")
        for fault, kind in all_faults().items()
        if kind.family in ("answers", "transport") and kind.roles is None
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("provider", "fault", "operation"), CASES)
def test_nothing_else_is_touched(provider: str, fault: str, operation: str | None) -> None:
    """Other providers, keys, tasks and operations see the day without the fault; the journal names it exactly."""
    before = calm(provider)
    with nothing_logged():
        day = asyncio.run(live(provider, before, [fault_request(provider, fault, operation)]))
    check_bystanders(provider, before, day)
    named = check_names(before, day, fault)
    (rule,) = day.rules
    moments = all_faults()[fault].moments()
    if fault in NOT_THERE[provider]:
        assert rule["hits"] == 0
        assert not named
    elif moments == {"request"}:
        assert rule["hits"] == named > 0
    elif "request" in moments:  # requests, and the callback once
        assert rule["hits"] == sum(bool(each["faults"]) for each in day.exchanges) + 1
        assert named > 0
    else:
        assert rule["hits"] == 1
        assert named > 0


ONCE = {fault: kind.family for fault, kind in all_faults().items() if kind.moments() == {"request"}}
#: The first of each family is tried in the quick tests too.
DAILY = {family: fault for fault, family in reversed(ONCE.items())}.values()


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=[] if fault in DAILY else pytest.mark.slow) for fault in ONCE]
)
def test_once_is_once(fault: str) -> None:
    """With `times: 1` one exchange is touched, and every later one is what it is without the fault."""
    before = calm("toapis")
    day = asyncio.run(live("toapis", before, [fault_request("toapis", fault, operation_of(fault), times=1)]))
    check_bystanders("toapis", before, day)
    assert check_names(before, day, fault) == 1
    assert [rule["spent"] for rule in day.rules] == [True]


def check_bystanders(provider: str, before: Day, day: Day) -> None:
    """See that what the fault is not meant for is the same."""
    assert day.labels == before.labels
    for label, seen, was in zip(day.labels, day.seen, before.seen, strict=True):
        if is_bystander(label):
            assert seen == was, label
    struck = before.tasks["struck"]
    assert [each for each in day.deliveries if each["task"] != struck] == [
        {**each, "delivery": new["delivery"]}
        for each, new in zip(
            (each for each in before.deliveries if each["task"] != struck),
            (each for each in day.deliveries if each["task"] != struck),
            strict=True,
        )
    ]
    assert list(day.ledgers) == list(before.ledgers)
    for name, ledger in day.ledgers.items():
        if name != own_account(provider):
            assert ledger == before.ledgers[name]
        entries = [each for each in ledger["ledger"] if each["task"] != struck]
        assert entries == [each for each in before.ledgers[name]["ledger"] if each["task"] != struck]


def check_names(before: Day, day: Day, fault: str) -> int:
    """See that the journal names the fault where something was changed; return how often it does in exchanges."""
    of_task = "request" not in all_faults()[fault].moments() and "task" in all_faults()[fault].moments()
    struck = before.tasks["struck"]
    named = 0
    for label, seen, was, record in zip(day.labels, day.seen, before.seen, day.exchanges, strict=True):
        faults = record["faults"]
        assert set(faults) <= {fault}, label
        assert len(faults) <= 1, label
        named += len(faults)
        if of_task:
            assert not faults or record["task"] == struck, label
        elif fault in ONLY_LATER:
            assert seen == was, label
        else:
            assert bool(faults) == (seen != was), label
    if of_task and named:
        assert all(each["faults"] == [fault] for each in day.exchanges if each["task"] == struck)
    told = [_told(each) for each in before.deliveries]
    undated = [{**each, "at": None} for each in told]
    for each in day.deliveries:
        if each["task"] != struck:
            assert each["faults"] == []
        elif of_task:
            assert each["faults"] == [fault]
        elif fault != "repeated_callback":
            same = {**_told(each), "at": None} in undated if fault in PUTS_OFF else _told(each) in told
            assert each["faults"] == ([] if same else [fault])
    return named or sum(each["faults"] == [fault] for each in day.deliveries)


def _told(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a receiver sees of a delivery."""
    return {name: record[name] for name in ("at", "task", "event", "outcome", "request")}
