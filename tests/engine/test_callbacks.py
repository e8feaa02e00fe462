"""Callbacks as values: when they are due, their bodies, signatures and retries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.engine import (
    ALL,
    OUTCOMES,
    RECEIVER,
    RUDE,
    START_MS,
    WITH_CALLBACKS,
    Client,
    due_deliveries,
    loads,
    new_world,
    providers,
)
from support.tables import for_each

from mockserver.engine.callbacks import Attempt, AttemptResult, Delivery, EventQueue, signature_of
from mockserver.engine.commands import run_command
from mockserver.engine.task import TaskEndedError
from mockserver.provider import Signature

YEAR_MS = 365 * 86_400_000
#: Waits before each retry, in s, and the statuses that acknowledge, from the documents (crun's waits are inferred).
SCHEDULES = {
    "crun": ([1, 2, 4], {200}),
    "evolink": ([1, 2, 4], set(range(200, 300))),
    "googlegeminiomni": ([30, 300, 1800], {200}),
    "kiln": ([2, 60], {200, 204}),
}


def refused(number: int, at_ms: int, outcome: AttemptResult = "refused") -> Attempt:
    """Make an attempt that failed."""
    return Attempt(number, at_ms, outcome, 500 if outcome == "refused" else None, "")


def ended_delivery(client: Client, command: str | None = None) -> Delivery:
    """Submit a task with a receiver, let it end, and return its one callback."""
    task_id = str(client.submit(START_MS, callback=RECEIVER).task_id)
    if command is not None:
        run_command(client.world, task_id, command, START_MS + 500)  # type: ignore[arg-type]
    ((_, delivery),) = due_deliveries(client.world, START_MS + YEAR_MS)
    return delivery


# -- the agenda -------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), max_size=20))
def test_the_agenda_gives_in_due_order_and_of_one_instant_in_the_order_of_putting(instants: list[int]) -> None:
    """Items come out by their instants, and those of one instant as they were put in."""
    client = Client(new_world(), "kiln")
    template = ended_delivery(client)
    event_queue = EventQueue()
    for number, due_ms in enumerate(instants):
        event_queue.put(due_ms, _like(template, id=str(number), due_ms=due_ms))
    expected = [
        (due_ms, str(number)) for due_ms, number in sorted((due, number) for number, due in enumerate(instants))
    ]
    assert len(event_queue) == len(instants)
    found = []
    while (head := event_queue.head()) is not None:
        due_ms, item = event_queue.pop()
        assert isinstance(item, Delivery)
        assert head == (due_ms, item)
        found.append((due_ms, item.id))
    assert found == expected


def _like(delivery: Delivery, **changes: Any) -> Delivery:
    values = {name: getattr(delivery, name) for name in Delivery.__slots__} | changes
    return Delivery(**values)


# -- when -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_CALLBACKS)
def test_a_callback_falls_due_at_the_very_end(name: str) -> None:
    """Not a millisecond before the task ends, and then exactly once."""
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS, callback=RECEIVER).task_id)
    assert client.world.next_due_ms() == task.ends_ms
    assert client.world.pop_due(task.ends_ms - 1) is None
    ((due_ms, delivery),) = due_deliveries(client.world, task.ends_ms)
    assert (due_ms, delivery.due_ms, delivery.task_id, delivery.url) == (task.ends_ms, task.ends_ms, task.id, RECEIVER)
    assert (delivery.state, delivery.attempts) == ("waiting", [])
    assert client.world.pop_due(task.ends_ms + YEAR_MS) is None
    assert client.world.next_due_ms() is None


@for_each("name", ALL)
def test_without_an_address_there_is_no_callback(name: str) -> None:
    """A task without a callback URL books no callback."""
    client = Client(new_world(), name)
    client.submit(START_MS)
    assert len(client.world.event_queue) == 0


def test_a_provider_without_callbacks_ignores_an_address() -> None:
    """ToAPIs' documents know no callback: the field is unknown, and nothing is sent."""
    client = Client(new_world(), "toapis")
    assert client.submit(START_MS, {**client.body(), "callback_url": RECEIVER}).status == 200
    assert len(client.world.event_queue) == 0


def test_callbacks_come_in_the_order_in_which_tasks_end() -> None:
    """Callbacks are sent in the order in which tasks end, across providers, whatever the order of the submits."""
    world = new_world()
    ends = {}
    for number in range(12):
        client = Client(world, WITH_CALLBACKS[number % len(WITH_CALLBACKS)])
        task = client.task(client.submit(START_MS + 777 * number, callback=RECEIVER).task_id)
        ends[task.id] = task.ends_ms
    found = due_deliveries(world, START_MS + YEAR_MS)
    assert [due_ms for due_ms, _ in found] == sorted(ends.values())
    assert {delivery.task_id: due_ms for due_ms, delivery in found} == ends


@pytest.mark.parametrize("name", WITH_CALLBACKS)
def test_each_documented_end_sends_its_event(name: str) -> None:
    """Success and failure send a callback; a cancellation does at EvoLink, but not at kiln."""
    told = {}
    for command in ("complete", "fail", "cancel"):
        client = Client(new_world(), name)
        if command == "cancel" and client.provider.lifecycle.cancellation is None:
            continue
        task_id = str(client.submit(START_MS, callback=RECEIVER).task_id)
        run_command(client.world, task_id, command, START_MS + 500)
        told[command] = [delivery.event for _, delivery in due_deliveries(client.world, START_MS + YEAR_MS)]
    lifecycle = providers()[name].lifecycle
    expected = {"complete": [lifecycle.success.name], "fail": [lifecycle.failure.name]}
    if lifecycle.cancellation is not None:
        expected["cancel"] = ["cancelled"] if name == "evolink" else []
    assert told == expected


@pytest.mark.parametrize("name", WITH_CALLBACKS)
def test_a_command_sends_its_callback_at_once(name: str) -> None:
    """A task that is ended by command is told of at that instant, and not again when it was to end."""
    client = Client(new_world(), name)
    task_id = str(client.submit(START_MS, callback=RECEIVER).task_id)
    run_command(client.world, task_id, "complete", START_MS + 500)
    assert client.world.next_due_ms() == START_MS + 500
    ((due_ms, _),) = due_deliveries(client.world, START_MS + 500)
    assert due_ms == START_MS + 500
    assert due_deliveries(client.world, START_MS + YEAR_MS) == []


@pytest.mark.parametrize("name", WITH_CALLBACKS)
def test_a_held_task_sends_nothing_until_it_is_released(name: str) -> None:
    """What was booked before a hold is stale; after the release the callback comes once, at the new end."""
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS, callback=RECEIVER).task_id)
    run_command(client.world, task.id, "hold", START_MS + 1_000)
    run_command(client.world, task.id, "hold", START_MS + 2_000)
    assert due_deliveries(client.world, task.ends_ms + 5_000) == []
    run_command(client.world, task.id, "release", task.ends_ms + 5_000)
    ends_ms = client.task(task.id).ends_ms
    assert ends_ms == task.ends_ms + (task.ends_ms + 5_000 - START_MS - 1_000)
    assert due_deliveries(client.world, ends_ms - 1) == []
    assert [due_ms for due_ms, _ in due_deliveries(client.world, START_MS + YEAR_MS)] == [ends_ms]


@pytest.mark.parametrize("ending", ["complete", "fail"])
def test_hold_and_end_send_one_callback(ending: str) -> None:
    """Held, released, held again and then ended by command: one callback, of that end."""
    client = Client(new_world(), "evolink")
    task_id = str(client.submit(START_MS, callback=RECEIVER).task_id)
    for after_s, command in enumerate(("hold", "release", "hold", ending)):
        run_command(client.world, task_id, command, START_MS + after_s * 1000)  # type: ignore[arg-type]
    ((due_ms, delivery),) = due_deliveries(client.world, START_MS + YEAR_MS)
    assert (due_ms, delivery.event) == (START_MS + 3_000, client.task(task_id).end.name)
    with pytest.raises(TaskEndedError):
        run_command(client.world, task_id, "fail", START_MS + 3_000)


@pytest.mark.parametrize("name", WITH_CALLBACKS)
def test_the_account_has_settled_when_the_callback_goes_out(name: str) -> None:
    """When a callback is taken from the queue, the credits of its task are settled."""
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS, callback=RECEIVER).task_id)
    assert client.world.pop_due(task.ends_ms) is not None
    assert client.account.reserved_ucr == 0
    assert client.account.spent_ucr == task.settles_ucr
    assert "settle" in [entry.kind for entry in client.account.ledger]


def test_an_event_can_have_a_body_of_its_own() -> None:
    """What a spec writes as an event's body is sent as it is written, with its expressions filled in."""
    delivery = ended_delivery(Client(new_world(), "kiln"), "fail")
    assert orjson.loads(delivery.body) == {"bad": "news", "ticket": delivery.task_id}


# -- what -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["complete", "fail", "cancel"])
def test_evolinks_body_is_the_query_answer(command: str) -> None:
    """EvoLink's callback is byte for byte what a query answers from then on."""
    client = Client(new_world(), "evolink")
    delivery = ended_delivery(client, command)
    assert delivery.body == client.query(delivery.task_id, START_MS + 500).body


@pytest.mark.parametrize("command", ["complete", "fail"])
def test_cruns_body_is_the_data_of_the_query(command: str) -> None:
    """Crun's callback is the query's `data` without the envelope."""
    client = Client(new_world(), "crun")
    delivery = ended_delivery(client, command)
    assert orjson.loads(delivery.body) == loads(client.query(delivery.task_id, START_MS + 500))["data"]


def test_googlegeminiomni_tells_of_a_completion() -> None:
    """job.completed has the documented fields, the link and price of the query, and a timestamp in UTC."""
    client = Client(new_world(), "googlegeminiomni")
    delivery = ended_delivery(client, "complete")
    job = loads(client.query(delivery.task_id, START_MS + 500))
    assert orjson.loads(delivery.body) == {
        "event": "job.completed",
        "jobId": delivery.task_id,
        "status": "done",
        "outputUrl": job["outputUrl"],
        "creditCost": 150,
        "model": "gemini-omni-video",
        "timestamp": "2026-06-05T00:00:00Z",
    }


def test_googlegeminiomni_tells_of_a_failure() -> None:
    """job.failed has an error in words and a cost of 0."""
    client = Client(new_world(), "googlegeminiomni")
    task = client.task(client.submit(START_MS, text=RUDE, callback=RECEIVER).task_id)
    ((_, delivery),) = due_deliveries(client.world, START_MS + YEAR_MS)
    found = orjson.loads(delivery.body)
    assert re.fullmatch(r"2026-06-05T00:00:\d\dZ", found.pop("timestamp"))
    assert found == {
        "event": "job.failed",
        "jobId": task.id,
        "status": "failed",
        "error": client.provider.lifecycle.failure.reasons["content_policy"].message,
        "creditCost": 0,
    }


def test_a_body_is_written_at_the_end_and_not_when_it_is_sent() -> None:
    """However late a callback is taken off the agenda, its body is of the instant of the end."""
    bodies = []
    for late_ms in (0, YEAR_MS):
        client = Client(new_world(), "googlegeminiomni")
        task = client.task(client.submit(START_MS, callback=RECEIVER).task_id)
        ((_, delivery),) = due_deliveries(client.world, task.ends_ms + late_ms)
        bodies.append(delivery.body)
    assert bodies[0] == bodies[1]


# -- the signature ----------------------------------------------------------------------------------


def test_the_signature_is_of_the_exact_bytes() -> None:
    """X-Gemini-Signature is the hex HMAC-SHA256 of the bytes that are sent, with mock-webhook-secret."""
    delivery = ended_delivery(Client(new_world(), "googlegeminiomni"))
    expected = hmac.new(b"mock-webhook-secret", delivery.body, hashlib.sha256).hexdigest()
    headers = dict(delivery.headers)
    assert headers["X-Gemini-Signature"] == expected
    assert headers["Content-Type"] == "application/json"


def test_an_account_can_have_a_secret_of_its_own() -> None:
    """With a secret set for the account, its callbacks are signed with that, and another account's are not."""
    world = new_world()
    example = providers()["googlegeminiomni"].key.example
    clients = [Client(world, "googlegeminiomni", example[:-1] + digit) for digit in "ab"]
    clients[0].account.secret = "s3crét"
    tasks = {str(client.submit(START_MS, callback=RECEIVER).task_id): client for client in clients}
    for _, delivery in due_deliveries(world, START_MS + YEAR_MS):
        secret = tasks[delivery.task_id].account.secret or "mock-webhook-secret"
        expected = hmac.new(secret.encode(), delivery.body, hashlib.sha256).hexdigest()
        assert dict(delivery.headers)["X-Gemini-Signature"] == expected


def test_a_secret_counts_that_is_set_when_the_task_ends() -> None:
    """A secret that is changed while the task runs signs its callback."""
    client = Client(new_world(), "googlegeminiomni")
    client.submit(START_MS, callback=RECEIVER)
    client.account.secret = "new"
    ((_, delivery),) = due_deliveries(client.world, START_MS + YEAR_MS)
    expected = hmac.new(b"new", delivery.body, hashlib.sha256).hexdigest()
    assert dict(delivery.headers)["X-Gemini-Signature"] == expected


def test_other_ways_to_sign() -> None:
    """Another algorithm, encoding and prefix, and headers of the provider's own, stand as the spec has them."""
    delivery = ended_delivery(Client(new_world(), "kiln"))
    digest = hmac.new(b"wax", delivery.body, hashlib.sha512).digest()
    assert dict(delivery.headers) == {
        "Content-Type": "application/json",
        "X-Kiln-Event": "stage",
        "X-Kiln-Seal": "v1=" + base64.b64encode(digest).decode(),
    }


@pytest.mark.parametrize("name", ["crun", "evolink"])
def test_where_no_document_signs_nothing_is_signed(name: str) -> None:
    """Callbacks of a provider without signatures carry no header but their type."""
    assert ended_delivery(Client(new_world(), name)).headers == (("Content-Type", "application/json"),)


@given(
    st.text(min_size=1),
    st.binary(),
    st.sampled_from(["hmac-sha256", "hmac-sha512"]),
    st.sampled_from(["hex", "base64"]),
)
def test_a_signature_is_what_hmac_says(secret: str, body: bytes, algorithm: Any, encoding: Any) -> None:
    """For any secret and any bytes the signature is the standard library's HMAC, in its encoding, after the prefix."""
    rule = Signature("X", algorithm, encoding, "p=", "unused")
    digest = hmac.digest(secret.encode(), body, algorithm.removeprefix("hmac-"))
    text = signature_of(rule, secret, body)
    assert text[:2] == "p="
    assert digest == (bytes.fromhex(text[2:]) if encoding == "hex" else base64.b64decode(text[2:], validate=True))


# -- retries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_CALLBACKS)
@pytest.mark.parametrize("outcome", ["refused", "timeout", "unreachable"])
@pytest.mark.parametrize("slow_ms", [0, 10_000])
def test_each_failure_is_followed_by_its_retry(name: str, outcome: AttemptResult, slow_ms: int) -> None:
    """The attempts after failures come when the schedule says, counted from the failure; after the last, none."""
    waits_s, _ = SCHEDULES[name]
    client = Client(new_world(), name)
    task = client.task(client.submit(START_MS, callback=RECEIVER).task_id)
    now_ms, made = task.ends_ms, 0
    for number in range(1, len(waits_s) + 2):
        assert client.world.next_due_ms() == now_ms
        assert client.world.pop_due(now_ms - 1) is None
        found = client.world.pop_due(now_ms)
        assert found is not None
        delivery = found[1]
        made += 1
        client.world.attempted(delivery, refused(number, now_ms + slow_ms, outcome))
        assert delivery.state == ("waiting" if number <= len(waits_s) else "given_up")
        if delivery.state == "waiting":
            assert client.world.deliveries() == [delivery]
            now_ms += slow_ms + 1000 * waits_s[number - 1]
    assert client.world.next_due_ms() is None
    assert (made, [attempt.number for attempt in delivery.attempts]) == (1 + len(waits_s), list(range(1, made + 1)))
    assert client.world.deliveries() == [delivery]


@for_each("name", WITH_CALLBACKS)
@for_each("failures", [0, 1, 2])
def test_an_acknowledged_callback_is_over(name: str, failures: int) -> None:
    """After the first acknowledgement nothing is tried again, however many attempts had failed before."""
    client = Client(new_world(), name)
    client.submit(START_MS, callback=RECEIVER)
    tried = []
    for number in range(1, failures + 2):
        ((due_ms, delivery),) = due_deliveries(client.world, client.world.next_due_ms() or 0)
        good = number > failures
        attempt = Attempt(number, due_ms, "acknowledged", 200, "") if good else refused(number, due_ms)
        client.world.attempted(delivery, attempt)
        tried.append(delivery)
    assert tried == [tried[0]] * (failures + 1)
    assert tried[0].state == "acknowledged"
    assert client.world.next_due_ms() is None
    assert list(client.world.finished.values()) == [tried[0]]


def test_a_blocked_address_is_not_tried_again() -> None:
    """A delivery to a blocked address is not retried."""
    client = Client(new_world(), "evolink")
    delivery = ended_delivery(client)
    client.world.attempted(delivery, refused(1, delivery.due_ms, "blocked"))
    assert (delivery.state, client.world.next_due_ms()) == ("given_up", None)


@pytest.mark.parametrize("name", WITH_CALLBACKS)
def test_the_rules_are_the_documents(name: str) -> None:
    """What acknowledges a callback, how long a receiver may take, and where it may be, is as documented."""
    rule = providers()[name].callbacks
    assert rule is not None
    waits_s, acknowledging = SCHEDULES[name]
    assert rule.retry_after_ms == tuple(wait_s * 1000 for wait_s in waits_s)
    assert rule.acknowledged == acknowledging
    if name != "kiln":
        assert rule.timeout_s == 10
        assert (rule.target.max_length, rule.target.internal_addresses_refused) == (2048, True)
        assert rule.target.schemes == (("https",) if name == "evolink" else ("http", "https"))


# -- afterwards -------------------------------------------------------------------------------------


def test_a_finished_delivery_can_be_sent_again() -> None:
    """A redelivery is a new delivery of the same bytes to the same place, due now, with its own retries."""
    client = Client(new_world(), "googlegeminiomni")
    old = ended_delivery(client)
    client.world.attempted(old, Attempt(1, old.due_ms, "acknowledged", 200, ""))
    now_ms = START_MS + YEAR_MS
    new = client.world.redeliver(old.id, now_ms)
    assert client.world.pop_due(now_ms) == (now_ms, new)
    assert new.id != old.id
    assert [(each.task_id, each.event, each.url, each.body, each.headers) for each in (new,)] == [
        (old.task_id, old.event, old.url, old.body, old.headers)
    ]
    assert (new.state, new.attempts, old.state, len(old.attempts)) == ("waiting", [], "acknowledged", 1)
    client.world.attempted(new, refused(1, now_ms))
    assert client.world.next_due_ms() == now_ms + 30_000


def test_only_a_finished_delivery_can_be_sent_again() -> None:
    """One that is unknown, or that still waits for its retry, is a KeyError."""
    client = Client(new_world(), "evolink")
    delivery = ended_delivery(client)
    client.world.attempted(delivery, refused(1, delivery.due_ms))
    for unknown in (delivery.id, "dlv_999999"):
        with pytest.raises(KeyError):
            client.world.redeliver(unknown, START_MS)


def test_finished_deliveries_are_kept_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the deliveries that are over the newest are listed."""
    client = Client(new_world(), "evolink")
    monkeypatch.setattr(type(client.world), "FINISHED_KEPT", 3)
    for _ in range(5):
        client.submit(START_MS, callback=RECEIVER)
    found = [delivery for _, delivery in due_deliveries(client.world, START_MS + YEAR_MS)]
    for delivery in found:
        client.world.attempted(delivery, Attempt(1, delivery.due_ms, "acknowledged", 200, ""))
    assert client.world.deliveries() == found[2:]


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=6), st.sampled_from(WITH_CALLBACKS))
def test_attempts_never_exceed_the_schedule(outcomes: list[AttemptResult], name: str) -> None:
    """Under any outcomes there are at most one attempt and its retries, and a delivery that is over stays over."""
    client = Client(new_world(), name)
    client.submit(START_MS, callback=RECEIVER)
    delivery = None
    for number, outcome in enumerate(outcomes, 1):
        due_ms = client.world.next_due_ms()
        if due_ms is None:
            break
        found = client.world.pop_due(due_ms)
        assert found is not None
        delivery = found[1]
        client.world.attempted(delivery, Attempt(number, due_ms, outcome, None, ""))
    assert delivery is not None
    made = [attempt.outcome for attempt in delivery.attempts]
    over = next((at for at, outcome in enumerate(made) if outcome in ("acknowledged", "blocked")), None)
    assert over in (None, len(made) - 1)
    assert len(made) <= 1 + len(delivery.rule.retry_after_ms)
    assert (delivery.state == "waiting") == (client.world.next_due_ms() is not None)
