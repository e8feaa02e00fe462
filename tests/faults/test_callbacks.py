"""Faults of the family `callbacks`: when a receiver is called, how often, in what order, with what, signed how."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.edge import Edge, Received, Receiver, nothing_logged, receiving
from support.faults import (
    HOOKS,
    Seen,
    deliveries,
    exchanges,
    faults_in,
    ledgers,
    look,
    put,
    query_bytes,
    rule,
    shows,
    submit_bytes,
    submitted,
    until,
    world,
)
from support.tables import for_each

from mockserver.faults import all_faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

GOOGLE = "googlegeminiomni"
SIGNERS = {GOOGLE: ("X-Gemini-Signature", "mock-webhook-secret"), "kiln": ("X-Kiln-Seal", "wax")}
#: Mock seconds from a kiln's task to its end.
KILN_S = 120


@asynccontextmanager
async def told(
    answer: Callable[[Received], Awaitable[int]] | int = 200, **settings: Any
) -> AsyncIterator[tuple[Edge, Receiver]]:
    """Run a mock and a receiver."""
    async with world(**settings) as edge, receiving(answer, edge=edge) as receiver:
        yield edge, receiver


def seal(name: str, body: bytes, secret: str | None = None) -> str:
    """Sign bytes as a provider does, worked out here anew."""
    key = (SIGNERS[name][1] if secret is None else secret).encode()
    if name == "kiln":
        return "v1=" + base64.b64encode(hmac.new(key, body, hashlib.sha512).digest()).decode()
    return hmac.new(key, body, hashlib.sha256).hexdigest()


def sealed_with(name: str, got: Received) -> str | None:
    """Return the signature that came."""
    return got.headers.get(SIGNERS[name][0])


def at_s(edge: Edge, receiver: Receiver, start_ms: int) -> list[float]:
    """Return when callbacks came, in mock seconds since an instant."""
    return [(got.at_ms - start_ms) / 1000 for got in receiver.got if got.at_ms is not None]


# -- when, how often, in what order ---------------------------------------------------------------


@shows("lost_callback")
@for_each("way", ["rule", "header", "test value"])
@for_each("name", ["kiln", "evolink"])
async def test_lost_callback(name: str, way: str) -> None:
    """The callback never comes and is not tried again; another task's comes, and the query tells of the end."""
    with nothing_logged():
        async with told() as (edge, receiver):
            headers, words = {}, "A red kite"
            if way == "rule":
                await put(edge, "lost_callback", {"provider": name}, {"times": 1})
            elif way == "header":
                headers = {"X-Mock-Fault": "lost_callback"}
            else:
                words = "A red kite mock:no_callback"
            lost = await submitted(edge, name, words, receiver.url("/lost"), headers=headers)
            await edge.advance(1)
            other = await submitted(edge, name, "A blue kite", receiver.url("/other"))
            report = await edge.advance(86_400)
            assert [got.path for got in receiver.got if got.path == "/lost"] == []
            assert [got.path for got in receiver.got] == ["/other"]
            assert report["acknowledged"] == 1
            (record,) = [each for each in deliveries(edge) if each["task"] == lost]
            assert (record["outcome"], record["faults"], record["next_attempt_at"]) == ("lost", ["lost_callback"], None)
            assert record["response"] is None
            (record,) = [each for each in deliveries(edge) if each["task"] == other]
            assert (record["outcome"], record["faults"]) == ("acknowledged", [])
            answer = (await look(edge, query_bytes(edge, name, lost))).json
            assert {"glazed", "completed"} & set(map(str, answer.values()))
            await ledgers(edge)


@shows("late_callback")
@pytest.mark.parametrize("way", ["rule", "header", "test value"])
async def test_late_callback(way: str) -> None:
    """The callback comes so long after the end, once, as it would have come; another task's is on time."""
    async with told() as (edge, receiver):
        headers, words = {}, "A red kite"
        if way == "rule":
            await put(edge, "late_callback", {"provider": "kiln"}, {"times": 1}, by_s=90)
        elif way == "header":
            headers = {"X-Mock-Fault": "late_callback;by_s=1.5m"}
        else:
            words = "A red kite mock:late_callback=90s"
        start_ms = edge.mock.clock.now_ms
        late = await submitted(edge, "kiln", words, receiver.url("/late"), headers=headers)
        await submitted(edge, "kiln", "A blue kite", receiver.url("/other"))
        await edge.advance(KILN_S + 89.999)
        assert [got.path for got in receiver.got] == ["/other"]
        await edge.advance(0.001)
        assert at_s(edge, receiver, start_ms) == [KILN_S, KILN_S + 90]
        got = receiver.got[1]
        assert got.path == "/late"
        assert got.body == (await look(edge, query_bytes(edge, "kiln", late))).body
        assert sealed_with("kiln", got) == seal("kiln", got.body)
        await edge.advance(86_400)
        assert len(receiver.got) == 2
        assert faults_in(deliveries(edge)) == [[], ["late_callback"]]


@shows("early_callback")
@pytest.mark.parametrize("name", ["evolink", "kiln", GOOGLE])
async def test_early_callback(name: str) -> None:
    """The receiver has been called, and has answered, before the submit is answered; the task has ended and is paid."""
    order: list[str] = []

    with nothing_logged():

        async def note(_: Received) -> int:
            order.append("called")
            return 200

        async with told(note) as (edge, receiver):
            await put(edge, "early_callback", {"provider": name}, {"times": 1})
            start_ms = edge.mock.clock.now_ms
            seen = await look(edge, submit_bytes(edge, name, hook=receiver.url()))
            order.append("answered")
            assert seen.status in (200, 201)
            assert order == ["called", "answered"]
            assert at_s(edge, receiver, start_ms) == [0]
            ((task_id, task),) = edge.state(name).tasks.items()
            assert task_id in receiver.got[0].body.decode()
            assert task.ends_ms == start_ms
            (ledger,) = (await ledgers(edge)).values()
            assert (ledger["account"]["reserved_credits"], ledger["account"]["running_tasks"]) == (0, 0)
            assert ledger["account"]["spent_credits"] > 0
            await look(edge, submit_bytes(edge, name, hook=receiver.url()))
            order.append("answered")
            assert order == ["called", "answered", "answered"]
            await edge.advance(86_400)
            assert order[3:] == ["called"]
            assert faults_in(deliveries(edge)) == [["early_callback"], []]


@shows("early_callback")
async def test_early_callback_waits_for_no_other() -> None:
    """A submit from inside a handler, and one beside a handler that hangs, wait for their own callbacks alone."""
    with nothing_logged():
        open_up = asyncio.Event()

        async def answer(got: Received) -> int:
            if got.path == "/hang":
                await open_up.wait()
            if got.path == "/first":
                inner.append(await look(edge, submit_bytes(edge, "kiln", "inner", hook=receiver.url("/second"))))
            return 200

        inner: list[Seen] = []
        async with told(answer, callback_workers=8) as (edge, receiver):
            await put(edge, "early_callback")
            hanging = asyncio.create_task(look(edge, submit_bytes(edge, "kiln", hook=receiver.url("/hang"))))
            await until(lambda: receiver.got)
            seen = await look(edge, submit_bytes(edge, "kiln", hook=receiver.url("/first")))
            assert not hanging.done()
            assert [each.path for each in receiver.got] == ["/hang", "/first", "/second"]
            open_up.set()
            assert [each.status for each in (seen, *inner, await hanging)] == [201, 201, 201]
            assert [each["outcome"] for each in deliveries(edge)] == ["acknowledged"] * 3


@shows("early_callback")
async def test_early_callback_of_a_task_without_a_receiver() -> None:
    """A task without a receiver does not change."""
    async with world() as edge:
        await put(edge, "early_callback")
        for name in ("evolink", "toapis"):
            task_id = await submitted(edge, name)
            assert edge.state(name).tasks[task_id].ends_ms > edge.mock.clock.now_ms
        assert faults_in(exchanges(edge)) == [[], []]


@shows("duplicated_callback")
@pytest.mark.parametrize(("copies", "gap_s"), [(1, 1), (3, 0.5), (2, 0)])
async def test_duplicated_callback(copies: int, gap_s: float) -> None:
    """The same bytes come again, so often and so far apart, each a delivery of its own; another task's comes once."""
    async with told() as (edge, receiver):
        await put(edge, "duplicated_callback", {"provider": "kiln"}, {"times": 1}, copies=copies, gap_s=gap_s)
        start_ms = edge.mock.clock.now_ms
        twice = await submitted(edge, "kiln", "A red kite", receiver.url("/twice"))
        await edge.advance(5)
        await submitted(edge, "kiln", "A blue kite", receiver.url("/once"))
        await edge.advance(86_400)
        assert [got.path for got in receiver.got] == ["/twice"] * (copies + 1) + ["/once"]
        *same, _ = receiver.got
        assert len({(got.body, sealed_with("kiln", got)) for got in same}) == 1
        assert at_s(edge, receiver, start_ms)[:-1] == [KILN_S + gap_s * number for number in range(copies + 1)]
        records = [each for each in deliveries(edge) if each["task"] == twice]
        assert len({each["delivery"] for each in records}) == copies + 1
        assert [each["attempt"] for each in records] == [1] * (copies + 1)
        assert faults_in(records) == [[]] + [["duplicated_callback"]] * copies
        await ledgers(edge)


@shows("duplicated_callback")
async def test_each_copy_is_tried_by_itself() -> None:
    """Of two copies one may be refused and tried again, while the other has been taken."""
    statuses = iter((500, 200, 200))

    async def answer(_: Received) -> int:
        return next(statuses)

    async with told(answer) as (edge, receiver):
        await put(edge, "duplicated_callback", gap_s=1)
        start_ms = edge.mock.clock.now_ms
        await submitted(edge, "kiln", hook=receiver.url())
        await edge.advance(86_400)
        assert at_s(edge, receiver, start_ms) == [KILN_S, KILN_S + 1, KILN_S + 2]
        assert [each["attempt"] for each in deliveries(edge)] == [1, 1, 2]
        assert [each["outcome"] for each in deliveries(edge)] == ["refused", "acknowledged", "acknowledged"]


#: A provider's retries, in seconds after the attempt before.
RETRIES = {"kiln": (2, 60), "evolink": (1, 2, 4), GOOGLE: (30, 300, 1800)}


@shows("repeated_callback")
@for_each("name", RETRIES)
@for_each("unheard", [1, 2, 100])
async def test_repeated_callback(name: str, unheard: int) -> None:
    """Acknowledgements are not heard so often: the next attempts come at their times, until there are none left."""
    async with told() as (edge, receiver):
        await put(edge, "repeated_callback", {"provider": name, "text": "A red kite"}, unheard=unheard)
        task_id = await submitted(edge, name, "A red kite", receiver.url("/again"))
        ends_ms = edge.state(name).tasks[task_id].ends_ms
        await submitted(edge, name, "A blue kite", receiver.url("/once"))
        await edge.advance(86_400)
        again = [got for got in receiver.got if got.path == "/again"]
        waits = (0, *RETRIES[name][:unheard])
        expected = [sum(waits[: number + 1]) for number in range(len(waits))]
        assert [(got.at_ms - ends_ms) / 1000 for got in again if got.at_ms] == expected
        assert len({got.body for got in again}) == 1
        records = [each for each in deliveries(edge) if each["task"] == task_id]
        assert len({each["delivery"] for each in records}) == 1
        assert [each["attempt"] for each in records] == list(range(1, len(waits) + 1))
        assert {each["outcome"] for each in records} == {"acknowledged"}
        assert faults_in(records) == [["repeated_callback"]] * len(waits)
        assert [got.path for got in receiver.got].count("/once") == 1
        (state,) = {each["state"] for each in (await edge.admin("GET", f"/callbacks?task={task_id}")).json["callbacks"]}
        assert state == "acknowledged"


@shows("reordered_callback")
async def test_reordered_callback() -> None:
    """Every second callback is kept back: of tasks that end one after the other the second overtakes the first."""
    async with told() as (edge, receiver):
        await put(edge, "reordered_callback", {"provider": "kiln"}, by_s=10)
        start_ms = edge.mock.clock.now_ms
        for number in range(4):
            await submitted(edge, "kiln", hook=receiver.url(f"/{number}"))
            await edge.advance(7)
        await edge.advance(86_400)
        assert [got.path for got in receiver.got] == ["/1", "/0", "/3", "/2"]
        assert at_s(edge, receiver, start_ms) == [127, 130, 141, 144]
        back = ["reordered_callback"]
        assert faults_in(deliveries(edge)) == [[], back, [], back]
        for got in receiver.got:
            assert sealed_with("kiln", got) == seal("kiln", got.body)


@shows("callback_after_poll")
async def test_callback_after_poll() -> None:
    """The callback waits for a query that shows the end, and comes a second after it; one before does not count."""
    async with told() as (edge, receiver):
        await put(edge, "callback_after_poll", {"provider": "kiln"}, {"times": 1}, latest_s=600)
        start_ms = edge.mock.clock.now_ms
        kept = await submitted(edge, "kiln", hook=receiver.url("/kept"))
        await submitted(edge, "kiln", hook=receiver.url("/other"))
        await look(edge, query_bytes(edge, "kiln", kept))
        await edge.advance(KILN_S + 80)
        assert [got.path for got in receiver.got] == ["/other"]
        assert (await look(edge, query_bytes(edge, "kiln", kept))).json["stage"] == "glazed"
        await edge.advance(0.999)
        assert len(receiver.got) == 1
        await edge.advance(0.001)
        assert [got.path for got in receiver.got] == ["/other", "/kept"]
        await edge.advance(86_400)
        assert at_s(edge, receiver, start_ms) == [KILN_S, KILN_S + 81]
        assert faults_in(deliveries(edge)) == [[], ["callback_after_poll"]]


@shows("callback_after_poll", "error")
async def test_a_refused_query_shows_no_end() -> None:
    """A query that is answered with an error has shown nothing: the callback goes on waiting."""
    async with told() as (edge, receiver):
        await put(edge, "callback_after_poll", latest_s=600)
        task_id = await submitted(edge, "kiln", hook=receiver.url())
        await edge.advance(KILN_S)
        made = await put(edge, "error", {"operation": "query"})
        assert (await look(edge, query_bytes(edge, "kiln", task_id))).status == 503
        stranger = query_bytes(edge, "kiln", task_id, key="pass-0002")
        await edge.admin("DELETE", f"/faults/{made['id']}")
        assert (await look(edge, stranger)).status == 404
        await edge.advance(100)
        assert receiver.got == []
        await look(edge, query_bytes(edge, "kiln", task_id))
        await edge.advance(1)
        assert len(receiver.got) == 1


@shows("callback_after_poll", "duplicated_callback")
@pytest.mark.parametrize("asked", [False, True])
async def test_delayed_callbacks_are_released(*, asked: bool) -> None:
    """Once they have been sent, nothing of them is kept for a query that may never come."""
    async with told() as (edge, receiver):
        await put(edge, "callback_after_poll", latest_s=40)
        await put(edge, "duplicated_callback", copies=2, gap_s=10)
        task_id = await submitted(edge, "kiln", hook=receiver.url())
        await edge.advance(KILN_S + 40)
        held_back = edge.mock.runtime.world._held_back
        assert (len(receiver.got), task_id in held_back) == (1, True)
        if asked:
            await look(edge, query_bytes(edge, "kiln", task_id))
            await edge.advance(1)
            assert len(receiver.got) == 3
        await edge.advance(60)
        assert (len(receiver.got), len(held_back)) == (3, 0)


@shows("callback_after_poll")
async def test_callback_after_no_poll() -> None:
    """Without a query, it is sent after the time limit; later queries change nothing, not even the next attempt."""
    async with told(500) as (edge, receiver):
        await put(edge, "callback_after_poll", latest_s=40)
        start_ms = edge.mock.clock.now_ms
        task_id = await submitted(edge, "kiln", hook=receiver.url())
        await edge.advance(KILN_S + 42)
        assert at_s(edge, receiver, start_ms) == [KILN_S + 40, KILN_S + 42]
        await look(edge, query_bytes(edge, "kiln", task_id))
        await edge.advance(86_400)
        assert at_s(edge, receiver, start_ms) == [KILN_S + 40, KILN_S + 42, KILN_S + 102]


# -- what it says ---------------------------------------------------------------------------------


@shows("contradicting_callback")
@for_each(
    ("name", "field", "words"),
    [
        ("evolink", "status", ("completed", "failed")),
        ("crun", "status", ("success", "failed")),
        (GOOGLE, "status", ("done", "failed")),
    ],
)
@for_each("fails", [False, True])
async def test_contradicting_callback(name: str, field: str, words: tuple[str, str], *, fails: bool) -> None:
    """The callback tells of the other end, in the provider's shape for that and signed rightly; the query does not."""
    with nothing_logged():
        async with told() as (edge, receiver):
            await put(edge, "contradicting_callback", {"provider": name}, {"times": 1})
            task_id = await submitted(edge, name, hook=receiver.url())
            other = await submitted(edge, name, hook=receiver.url("/other"))
            for task in (task_id, other):
                await (edge.mock.task(task).fail() if fails else edge.mock.task(task).complete())
            contrary, honest = receiver.got
            assert (contrary.json[field], honest.json[field]) == (words if fails else words[::-1])
            assert contrary.json.keys() != honest.json.keys() or name == "crun"
            answer = (await look(edge, query_bytes(edge, name, task_id))).json
            assert (answer["data"] if name == "crun" else answer)[field] == words[fails]
            if name == GOOGLE:
                assert sealed_with(name, contrary) == seal(name, contrary.body)
            assert faults_in(deliveries(edge)) == [["contradicting_callback"], []]
            await ledgers(edge)


@shows("unknown_event")
@pytest.mark.parametrize(
    ("name", "words"),
    [("evolink", {"status": "completed"}), (GOOGLE, {"status": "done", "event": "job.completed"})],
)
async def test_unknown_event(name: str, words: dict[str, str]) -> None:
    """A callback of a new event comes first, signed rightly, and then the one that would have come."""
    with nothing_logged():
        async with told() as (edge, receiver):
            await put(edge, "unknown_event", {"provider": name}, {"times": 1})
            for _ in range(2):
                task_id = await submitted(edge, name, hook=receiver.url())
                await edge.mock.task(task_id).complete()
            new, real, other = receiver.got
            assert {field: new.json[field] for field in words} == dict.fromkeys(words, "reviewing")
            assert (
                {field: real.json[field] for field in words} == words == {field: other.json[field] for field in words}
            )
            assert new.json.keys() == real.json.keys()
            if name == GOOGLE:
                assert sealed_with(name, new) == seal(name, new.body) != sealed_with(name, real)
            assert faults_in(deliveries(edge)) == [["unknown_event"], [], []]
            await ledgers(edge)


@shows("cut_callback")
@for_each("name", ["kiln", "evolink"])
@for_each("kept", [0, 0.5, 0.999])
async def test_cut_callback(name: str, kept: float) -> None:
    """The body is the beginning of what it would be, its length and its signature fit it, and it is no JSON."""
    async with told() as (edge, receiver):
        await put(edge, "cut_callback", {"provider": name}, {"times": 1}, keep_fraction=kept)
        task_id = await submitted(edge, name, hook=receiver.url())
        await edge.advance(KILN_S)
        whole = (await look(edge, query_bytes(edge, name, task_id))).body
        (got,) = receiver.got
        assert got.body == whole[: int(len(whole) * kept)]
        assert got.headers["Content-Length"] == str(len(got.body))
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(got.body)
        if name in SIGNERS:
            assert sealed_with(name, got) == seal(name, got.body)
        await submitted(edge, name, hook=receiver.url())
        await edge.advance(KILN_S)
        assert receiver.got[1].json
        assert faults_in(deliveries(edge)) == [["cut_callback"], []]


@shows("callback_not_json")
@pytest.mark.parametrize("name", ["kiln", GOOGLE, "crun"])
async def test_callback_not_json(name: str) -> None:
    """The body is a form that says it is JSON; what signs it, signs it rightly."""
    async with told() as (edge, receiver):
        await put(edge, "callback_not_json", {"provider": name})
        await submitted(edge, name, hook=receiver.url())
        await edge.advance(KILN_S + 10)
        (got,) = receiver.got
        assert got.body == b"status=done&ok=1"
        assert (got.headers["Content-Type"], got.headers["Content-Length"]) == ("application/json", "16")
        if name in SIGNERS:
            assert sealed_with(name, got) == seal(name, got.body)
        assert faults_in(deliveries(edge)) == [["callback_not_json"]]


# -- how it is signed -----------------------------------------------------------------------------


async def signed_callbacks(
    edge: Edge, receiver: Receiver, name: str, fault: str, **given: Any
) -> tuple[Received, Received]:
    """Return two callbacks: one that a fault has touched, and the next one, which is signed rightly."""
    made = await put(edge, fault, {"provider": name}, {"times": 1}, **given)
    for _ in range(2):
        await submitted(edge, name, "Ein Drachen über dem Strand 风筝", receiver.url())
        await edge.advance(KILN_S)
    struck, honest = receiver.got
    assert struck.headers["Content-Type"] == "application/json"
    assert struck.json
    assert sealed_with(name, honest) == seal(name, honest.body)
    assert faults_in(deliveries(edge)) == [[fault], []]
    assert (await rule(edge, made["id"]))["hits"] == 1
    return struck, honest


@shows("unsigned_callback")
@pytest.mark.parametrize("name", SIGNERS)
async def test_unsigned_callback(name: str) -> None:
    """The header of the signature is not there; the body is as ever."""
    async with told() as (edge, receiver):
        struck, honest = await signed_callbacks(edge, receiver, name, "unsigned_callback")
        assert sealed_with(name, struck) is None
        assert struck.headers.keys() == honest.headers.keys() - {SIGNERS[name][0]}


@shows("wrong_signature")
@pytest.mark.parametrize("name", SIGNERS)
@pytest.mark.parametrize("way", ["rule", "test value"])
async def test_wrong_signature(name: str, way: str) -> None:
    """The signature is as long and of the same letters as a right one, and is not the one of these bytes."""
    async with told() as (edge, receiver):
        if way == "rule":
            struck, _ = await signed_callbacks(edge, receiver, name, "wrong_signature")
        else:
            await submitted(edge, name, "A red kite mock:bad_signature", receiver.url())
            await edge.advance(KILN_S)
            (struck,) = receiver.got
        given, right = sealed_with(name, struck), seal(name, struck.body)
        assert given is not None
        assert given != right
        assert len(given) == len(right)
        if name == "kiln":
            assert given.startswith("v1=")
            assert len(base64.b64decode(given[3:], validate=True)) == 64
        else:
            assert len(bytes.fromhex(given)) == 32
            assert given == given.lower()


@shows("signature_length")
@for_each("name", SIGNERS)
@for_each("characters", [0, 10, 1000])
async def test_signature_length(name: str, characters: int) -> None:
    """The signature is a right one that was cut, or filled up, to the length that is asked for."""
    async with told() as (edge, receiver):
        struck, _ = await signed_callbacks(edge, receiver, name, "signature_length", characters=characters)
        given, right = sealed_with(name, struck), seal(name, struck.body)
        assert given is not None
        assert len(given) == characters
        assert given.startswith(right.rstrip("=")) if characters > len(right) else given == right[:characters]


@shows("signature_of_other_bytes")
@pytest.mark.parametrize("name", SIGNERS)
async def test_signature_of_other_bytes(name: str) -> None:
    """Who signs the raw bytes refuses it; who signs what Python's json makes of them anew takes it."""
    async with told() as (edge, receiver):
        struck, honest = await signed_callbacks(edge, receiver, name, "signature_of_other_bytes")
        again = json.dumps(json.loads(struck.body)).encode()
        assert again != struck.body
        assert sealed_with(name, struck) != seal(name, struck.body)
        assert sealed_with(name, struck) == seal(name, again)
        assert len(struck.body) == len(honest.body)


@shows("old_secret")
@pytest.mark.parametrize("name", SIGNERS)
async def test_old_secret(name: str) -> None:
    """The signature fits the account's last secret, or the one that is named, and not the present one."""
    async with told() as (edge, receiver):
        account = edge.mock.account(name)
        account.set_secret("first")
        account.set_secret("second")
        asked: list[tuple[dict[str, Any], str]] = [({}, "first"), ({"secret": "long ago"}, "long ago")]
        for given, secret in asked:
            made = await put(edge, "old_secret", {"provider": name}, **given)
            await submitted(edge, name, hook=receiver.url())
            await edge.advance(KILN_S)
            got = receiver.got[-1]
            assert sealed_with(name, got) == seal(name, got.body, secret) != seal(name, got.body, "second")
            await edge.admin("DELETE", f"/faults/{made['id']}")
        await submitted(edge, name, hook=receiver.url())
        await edge.advance(KILN_S)
        assert sealed_with(name, receiver.got[-1]) == seal(name, receiver.got[-1].body, "second")
        assert faults_in(deliveries(edge)) == [["old_secret"], ["old_secret"], []]


@shows("old_secret")
@pytest.mark.parametrize("name", SIGNERS)
async def test_a_secret_that_never_was(name: str) -> None:
    """Where there was no secret before, the signature has the right form and fits no secret of the account's."""
    async with told() as (edge, receiver):
        struck, _ = await signed_callbacks(edge, receiver, name, "old_secret")
        given = sealed_with(name, struck)
        assert given is not None
        assert given != seal(name, struck.body)
        assert len(given) == len(seal(name, struck.body))


OF_SIGNATURES = ("old_secret", "signature_length", "signature_of_other_bytes", "unsigned_callback", "wrong_signature")


@for_each("fault", OF_SIGNATURES)
async def test_where_nothing_is_signed(fault: str) -> None:
    """A provider that signs nothing has no signature to be touched: its callback is as ever, and not counted."""
    async with told() as (edge, receiver):
        made = await put(edge, fault)
        task_id = await submitted(edge, "evolink", hook=receiver.url())
        await edge.advance(100)
        (got,) = receiver.got
        assert got.body == (await look(edge, query_bytes(edge, "evolink", task_id))).body
        assert faults_in(deliveries(edge)) == [[]]
        assert (await rule(edge, made["id"]))["hits"] == 0


# -- several at once ------------------------------------------------------------------------------


@shows("callback_not_json", "cut_callback", "signature_of_other_bytes", "unsigned_callback", "wrong_signature")
@for_each(
    ("faults", "named", "is_signed"),
    [
        (("callback_not_json", "signature_of_other_bytes"), ("callback_not_json",), "right"),
        (("cut_callback", "signature_of_other_bytes"), ("cut_callback",), "right"),
        (("unsigned_callback", "wrong_signature"), ("unsigned_callback",), "no"),
        (("unsigned_callback", "cut_callback"), ("unsigned_callback", "cut_callback"), "no"),
        (("callback_not_json", "wrong_signature"), ("callback_not_json", "wrong_signature"), "wrong"),
        (("cut_callback", "old_secret"), ("cut_callback", "old_secret"), "wrong"),
    ],
)
async def test_one_after_the_other(faults: tuple[str, ...], named: tuple[str, ...], is_signed: str) -> None:
    """Faults of one callback build on one another, in their order; one with nothing left to change is not named."""
    with nothing_logged():
        async with told() as (edge, receiver):
            for fault in faults:
                await put(edge, fault, {"provider": "kiln"})
            await submitted(edge, "kiln", hook=receiver.url())
            await edge.advance(KILN_S)
            (got,) = receiver.got
            given, right = sealed_with("kiln", got), seal("kiln", got.body)
            assert {"right": given == right, "no": given is None, "wrong": given not in (None, right)}[is_signed]
            assert faults_in(deliveries(edge)) == [list(named)]


@shows("callback_not_json", "cut_callback", "early_unknown_event", "reformatted_callback", "unknown_event")
@for_each("unreadable", ["callback_not_json", "cut_callback"])
async def test_what_cannot_be_read_is_sent_with_any_other_fault(unreadable: str) -> None:
    """Whatever other fault of callbacks acts before or after, no callback is left out because of it."""
    others = [
        name for name, kind in all_faults().items() if "alter_deliveries" in vars(kind) and name != "lost_callback"
    ]
    assert {"unknown_event", "reformatted_callback"} < set(others)
    with nothing_logged():
        async with told() as (edge, receiver):
            for other in others:
                for pair in ((unreadable, other), (other, unreadable)):
                    for fault in pair:
                        await put(edge, fault, {"provider": GOOGLE})
                    task_id = await submitted(edge, GOOGLE, hook=receiver.url())
                    await edge.advance(7 * 86_400)
                    assert [each for each in deliveries(edge) if each["task"] == task_id], pair
                    assert (await edge.admin("DELETE", "/faults")).status == 200


@shows("duplicated_callback", "late_callback", "wrong_signature")
async def test_copies_of_what_was_changed() -> None:
    """Copies are copies of what came of the faults before, and what comes after affects all of them."""
    async with told() as (edge, receiver):
        await put(edge, "wrong_signature", {"provider": "kiln"})
        await put(edge, "duplicated_callback", {"provider": "kiln"}, copies=2, gap_s=5)
        await put(edge, "late_callback", {"provider": "kiln"}, by_s=60)
        start_ms = edge.mock.clock.now_ms
        await submitted(edge, "kiln", hook=receiver.url())
        await edge.advance(86_400)
        assert at_s(edge, receiver, start_ms) == [KILN_S + 60, KILN_S + 65, KILN_S + 70]
        assert len({sealed_with("kiln", got) for got in receiver.got}) == 1
        assert sealed_with("kiln", receiver.got[0]) != seal("kiln", receiver.got[0].body)
        assert faults_in(deliveries(edge)) == [
            ["wrong_signature", "late_callback"],
            ["wrong_signature", "duplicated_callback", "late_callback"],
            ["wrong_signature", "duplicated_callback", "late_callback"],
        ]


@pytest.mark.parametrize(
    ("by_s", "why"),
    [
        ("31536001", "by_s must be a number from 0 to 31536000"),
        ("-1", "by_s must be a number from 0 to 31536000"),
        ("1e308", "by_s must be a number; got '1e308'"),
        ("inf", "by_s must be a number; got 'inf'"),
        ("nan", "by_s must be a number; got 'nan'"),
    ],
)
async def test_no_callback_is_put_off_for_ever(by_s: str, why: str, caplog: pytest.LogCaptureFixture) -> None:
    """A wait that mock time cannot count is refused in words when it is asked for, and breaks no callback."""
    with caplog.at_level(logging.WARNING, logger="mockserver"):
        async with told() as (edge, receiver):
            seen = await look(
                edge,
                submit_bytes(edge, "kiln", hook=receiver.url(), headers={"X-Mock-Fault": f"late_callback;by_s={by_s}"}),
            )
            assert (seen.status, seen.json["about"]) == (400, f"late_callback: {why}")
            await submitted(edge, "kiln", hook=receiver.url(), headers={"X-Mock-Fault": "late_callback;by_s=8760h"})
            await edge.advance(KILN_S + 31_536_000)
            assert len(receiver.got) == 1
            assert (await edge.admin("GET", "/callbacks")).status == 200
    assert caplog.records == []


async def test_every_sender_is_tried() -> None:
    """The providers of these tests are all that send callbacks."""
    async with world() as edge:
        senders = {name for name, state in edge.mock.server.runtime.world.providers.items() if state.provider.callbacks}
        assert senders == set(HOOKS) == {"crun", *RETRIES}
