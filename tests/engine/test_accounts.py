"""Credits: reserved at submit, settled or refunded at the end; the ledger always balances."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.engine import (
    ALL,
    RUDE,
    START_MS,
    Client,
    loads,
    new_world,
    providers,
)
from support.tables import for_each

from mockserver.engine.accounts import Account, Entry
from mockserver.engine.commands import run_command
from mockserver.engine.task import NotHeldError, TaskEndedError
from mockserver.provider import UCR, Plan, ProviderRules

HOUR_MS = 3_600_000


def balances(client: Client, now_ms: int) -> tuple[int, int, int]:
    """Return available, reserved and spent micro-credits at an instant, after checking their sum."""
    account = client.account
    account.settle(now_ms)
    found = (account.available_ucr, account.reserved_ucr, account.spent_ucr)
    assert account.granted_ucr == sum(found)
    assert min(found) >= 0
    return found


@for_each("name", ALL)
def test_a_success_reserves_then_settles(name: str) -> None:
    """The price is reserved until the millisecond of the end, then what was used is spent and the rest is free."""
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS).task_id)
    granted, price, cost = client.account.granted_ucr, task.reserved_ucr, task.settles_ucr
    assert 0 < cost <= price
    for now_ms in (START_MS, task.ends_ms - 1):
        assert balances(client, now_ms) == (granted - price, price, 0)
    for now_ms in (task.ends_ms, task.ends_ms + HOUR_MS):
        assert balances(client, now_ms) == (granted - cost, 0, cost)
    expected = [Entry(START_MS, "grant", granted, None), Entry(START_MS, "reserve", price, task.id)]
    expected.append(Entry(task.ends_ms, "settle", cost, task.id))
    if cost < price:
        expected.append(Entry(task.ends_ms, "refund", price - cost, task.id))
    assert client.account.ledger == expected


@for_each("name", ALL)
def test_a_failed_task_costs_nothing(name: str) -> None:
    """A failure refunds the whole reservation; nothing is spent."""
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS).task_id)
    run_command(client.world, task.id, "fail", START_MS + 1_000)
    assert balances(client, START_MS + 1_000) == (client.account.granted_ucr, 0, 0)
    assert client.account.ledger[-1] == Entry(START_MS + 1_000, "refund", task.reserved_ucr, task.id)
    assert balances(client, START_MS + HOUR_MS) == (client.account.granted_ucr, 0, 0)


@pytest.mark.parametrize("name", ["evolink", "kiln"])
def test_a_cancelled_task_costs_nothing(name: str) -> None:
    """A cancellation refunds the whole reservation."""
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS).task_id)
    run_command(client.world, task.id, "cancel", START_MS + 1_000)
    assert balances(client, START_MS + HOUR_MS) == (client.account.granted_ucr, 0, 0)


@pytest.mark.parametrize(
    "name", [name for name in ALL if (policy := providers()[name].content_policy) and policy.reason]
)
def test_a_task_that_the_policy_stops_costs_nothing(name: str) -> None:
    """If the content policy applies during the generation, the task is accepted, fails, and is free."""
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS, text=RUDE).task_id)
    assert task.end.kind == "failure"
    assert balances(client, task.ends_ms - 1)[1] == task.reserved_ucr
    assert balances(client, task.ends_ms) == (client.account.granted_ucr, 0, 0)


def test_an_early_completion_settles_at_its_instant() -> None:
    """A task that is completed by command is charged then, and once."""
    client = Client(new_world(), "kiln")
    task = client.task(client.submit(START_MS).task_id)
    run_command(client.world, task.id, "complete", START_MS + 5)
    assert balances(client, START_MS + 5) == (493 * UCR, 0, 7 * UCR)
    assert balances(client, task.ends_ms) == (493 * UCR, 0, 7 * UCR)


def test_a_held_task_stays_reserved() -> None:
    """While a task is held its credits stay reserved, past the instant at which it was to end."""
    client = Client(new_world(), "kiln")
    task = client.task(client.submit(START_MS).task_id)
    run_command(client.world, task.id, "hold", START_MS + 1)
    assert balances(client, task.ends_ms + HOUR_MS) == (490 * UCR, 10 * UCR, 0)
    run_command(client.world, task.id, "release", task.ends_ms + HOUR_MS)
    ends_ms = client.task(task.id).ends_ms
    assert balances(client, ends_ms - 1) == (490 * UCR, 10 * UCR, 0)
    assert balances(client, ends_ms) == (493 * UCR, 0, 7 * UCR)


def test_the_ledger_is_in_the_order_in_which_things_happened() -> None:
    """However late the ledger is read, its entries are in the order of their instants."""
    client = Client(new_world(), "crun")
    ids = [client.submit(START_MS + 100 * number).task_id for number in range(8)]
    client.account.settle(START_MS + HOUR_MS)
    ledger = client.account.ledger
    assert [entry.at_ms for entry in ledger] == sorted(entry.at_ms for entry in ledger)
    settled = {entry.task_id: entry.at_ms for entry in ledger if entry.kind == "settle"}
    assert settled == {task_id: client.task(task_id).ends_ms for task_id in ids}


def test_when_one_looks_changes_nothing() -> None:
    """An account that is read all the time ends with the same ledger as one that is read once."""
    seldom, often = (Client(new_world(), "crun") for _ in range(2))
    for client in (seldom, often):
        for number in range(5):
            client.submit(START_MS + number)
    for after_ms in range(0, HOUR_MS // 10, 1_000):
        balances(often, START_MS + after_ms)
    assert balances(seldom, START_MS + HOUR_MS) == balances(often, START_MS + HOUR_MS)
    assert seldom.account.ledger == often.account.ledger


def test_a_submit_needs_its_whole_price() -> None:
    """A task is accepted with exactly its price available, and refused if one micro-credit is missing."""
    client = Client(new_world(), "kiln")
    client.account.grant(10 * UCR - client.account.available_ucr, START_MS)
    assert client.submit(START_MS).status == 201
    assert client.account.available_ucr == 0
    refused = client.submit(START_MS)
    assert (refused.status, refused.gate) == (402, "credits")
    client.account.grant(10 * UCR - 1, START_MS)
    assert client.submit(START_MS).status == 402
    client.account.grant(1, START_MS)
    assert client.submit(START_MS).status == 201


def test_a_refused_submit_reserves_nothing() -> None:
    """No gate leaves a reservation behind, the last one included."""
    client = Client(new_world(), "kiln")
    client.set_plan(concurrent_tasks=1)
    client.submit(START_MS)
    before = balances(client, START_MS)
    assert client.submit(START_MS).gate == "concurrency"
    assert balances(client, START_MS) == before


def test_credits_that_come_back_can_be_spent_at_once() -> None:
    """At the very millisecond at which a task fails, what it had reserved pays for the next one."""
    client = Client(new_world(), "kiln")
    client.account.grant(10 * UCR - client.account.available_ucr, START_MS)
    task = client.task(client.submit(START_MS).task_id)
    run_command(client.world, task.id, "fail", START_MS + 50_000)
    assert client.submit(START_MS + 50_000).status == 201


def test_documented_credits() -> None:
    """With documented credits a ToAPIs account holds 10, which run out; undocumented accounts have ample credits."""
    world = new_world(rules={name: ProviderRules(credits="documented") for name in ALL})
    toapis = Client(world, "toapis")
    submitted = 0
    while toapis.submit(START_MS).status == 200:
        submitted += 1
    assert toapis.account.granted_ucr == 10 * UCR
    assert submitted == 10 * UCR // toapis.task(toapis.account.tasks[0]).reserved_ucr
    for name in ("crun", "evolink", "googlegeminiomni"):
        assert Client(world, name).account.granted_ucr == providers()[name].ample_ucr >= 10_000 * UCR


def test_evolink_reserves_and_settles_by_its_published_rates() -> None:
    """10 s reserve 102.34 credits; 5 792 tokens a second at 1.0115 credits per 1 000 come to 58.59."""
    client = Client(new_world(), "evolink")
    body = client.body()
    del body["duration"]
    reply = client.submit(START_MS, body)
    assert loads(reply)["usage"]["credits_reserved"] == 102.34
    task = client.task(reply.task_id)
    assert round(10 * 5_792 * 1.0115 / 1_000, 2) == 58.59
    assert loads(client.query(task.id, task.ends_ms))["usage"]["credits_used"] == 58.59


def test_googlegeminiomni_has_the_documents_price() -> None:
    """8 s at 1080p cost 150 credits, and none once the job has failed."""
    client = Client(new_world(), "googlegeminiomni")
    reply = client.submit(START_MS)
    assert loads(reply)["creditCost"] == 150
    assert reply.task_id is not None
    run_command(client.world, reply.task_id, "fail", START_MS)
    assert loads(client.query(reply.task_id, START_MS))["creditCost"] == 0


def test_longer_videos_cost_more_at_toapis() -> None:
    """A 10 s task reserves more than one of 6 s."""
    client = Client(new_world(), "toapis")
    prices = [
        client.task(client.submit(START_MS, {**client.body(), "duration": duration}).task_id).reserved_ucr
        for duration in (6, 10)
    ]
    assert prices[0] < prices[1]


def make_account() -> Account:
    """Open an account without credits."""
    return Account("acct", "key", Plan("p", ""), None)


def test_a_grant_can_take_away_what_is_available_and_no_more() -> None:
    """Credits can be taken from an account down to none; one micro-credit further is refused and changes nothing."""
    account = make_account()
    account.grant(5, 0)
    with pytest.raises(ValueError, match="cannot hold less than nothing"):
        account.grant(-6, 1)
    account.grant(-5, 2)
    assert (account.granted_ucr, account.available_ucr) == (0, 0)
    assert account.ledger == [Entry(0, "grant", 5, None), Entry(2, "grant", -5, None)]


def test_reserved_credits_cannot_be_taken_away() -> None:
    """A grant cannot change what is reserved for a running task."""
    client = Client(new_world(), "kiln")
    client.submit(START_MS)
    with pytest.raises(ValueError, match="reserved or spent"):
        client.account.grant(-491 * UCR, START_MS)
    client.account.grant(-490 * UCR, START_MS)
    assert balances(client, START_MS) == (0, 10 * UCR, 0)


def test_a_charge_goes_as_far_as_the_credits() -> None:
    """A charge without a task takes at most the available credits; the balance is never negative."""
    account = make_account()
    account.grant(5, 0)
    account.charge(3, 1)
    account.charge(3, 2)
    account.charge(3, 3)
    assert (account.available_ucr, account.spent_ucr) == (0, 5)
    assert [entry.amount_ucr for entry in account.ledger] == [5, 3, 2, 0]


STEPS = st.lists(
    st.tuples(
        st.integers(0, 60_000),
        st.sampled_from(["submit", "submit", "complete", "fail", "cancel", "hold", "release", "look", "charge"]),
        st.integers(0, 5),
    ),
    max_size=25,
)


@given(STEPS)
def test_the_books_balance_whatever_happens(steps: list[tuple[int, str, int]]) -> None:
    """Granted is available, reserved and spent at every instant; reserved is what the running tasks reserved."""
    client = Client(new_world(), "kiln")
    client.account.grant(60 * UCR - client.account.available_ucr, START_MS)
    now_ms, ids = START_MS, list[str]()
    for wait_ms, step, pick in steps:
        now_ms += wait_ms
        if step == "submit":
            reply = client.submit(now_ms)
            if reply.task_id is not None:
                ids.append(reply.task_id)
            else:
                assert reply.gate == "credits"
        elif step == "charge":
            client.ask("decoy", now_ms, client.body())
        elif step != "look" and ids:
            with suppress(TaskEndedError, NotHeldError):
                run_command(client.world, ids[pick % len(ids)], step, now_ms)  # type: ignore[arg-type]
        _, reserved, spent = balances(client, now_ms)
        tasks = [client.task(task_id) for task_id in ids]
        running = [task for task in tasks if task.held_ms is not None or task.ends_ms > now_ms]
        done = [task for task in tasks if task not in running]
        charges = sum(entry.amount_ucr for entry in client.account.ledger if entry.kind == "charge")
        assert reserved == sum(task.reserved_ucr for task in running)
        assert spent == charges + sum(task.settles_ucr for task in done if task.end.kind == "success")
        assert client.account.running_tasks(now_ms) == len(running)
        ends = [task.ends_ms for task in running if task.held_ms is None]
        assert client.account.next_end_ms() == min(ends, default=None)
        by_kind = {
            kind: sum(entry.amount_ucr for entry in client.account.ledger if entry.kind == kind)
            for kind in ("grant", "reserve", "settle", "refund")
        }
        assert by_kind["grant"] == client.account.granted_ucr
        assert by_kind["reserve"] - by_kind["settle"] - by_kind["refund"] == reserved
