"""The gallery: each scenario starts for every provider, affects a naive client, and judges a good one fairly.

For each there is a naive client, which does what its expectations forbid, and a good one, which does what its
`good_client` says; both speak HTTP over real sockets, on a clock that they move themselves.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from support.edge import PROVIDERS, Edge, Received, receiving, serving
from support.tables import for_each

from mockserver.clock import MANUAL_START_MS
from mockserver.edge import faulty_response as sending
from mockserver.scenarios.read import gallery, read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

SECRET = "mock-webhook-secret"
LINK = re.compile(r'"(http://127\.0\.0\.1:[^"]+\.mp4[^"]*)"')


@dataclass(slots=True)
class Answer:
    """What a client got; status 0 is a call that failed on the wire."""

    status: int
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


@dataclass(slots=True)
class Client:
    """What clients have in common: calls, and a clock."""

    edge: Edge
    provider: str
    hook: str | None = None
    #: The wall seconds by which responses were to be delayed; the test does not wait.
    waits: list[float] = field(default_factory=list)

    async def call(self, method: str, url: str, json: Any = None) -> Answer:
        """Make a call; what breaks on the wire is an answer with status 0."""
        headers = {**self.edge.key_headers(self.provider), "Connection": "close"}  # on it, nothing is tried again
        try:
            reply = await self.edge.call(method, url, headers=headers, json=json)
        except (aiohttp.ClientError, ConnectionError):
            return Answer(0)
        return Answer(reply.status, reply.body)

    async def submit(self) -> tuple[int, str | None]:
        """Submit a job; return the status, and the task's id where the answer tells one."""
        model = next(iter(self.edge.provider(self.provider).models.values()))
        body = dict(model.example or {})
        if self.hook is not None:
            body["callbackUrl" if self.provider == "googlegeminiomni" else "callback_url"] = self.hook
        answer = await self.call("POST", self.edge.path_of(self.provider, "submit"), body)
        found = answer.json if answer.status == 200 else None
        task_id = None if found is None else found.get("id") or found.get("jobId") or found["data"]["task_id"]
        return answer.status, task_id

    async def poll(self, task_id: str) -> Answer:
        """Ask how a task stands."""
        return await self.call("GET", self.edge.query_path(self.provider, task_id))

    async def link(self, task_id: str) -> str:
        """Return the link to a task's file."""
        (found,) = set(LINK.findall((await self.poll(task_id)).body.decode()))
        return str(found)

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        await self.edge.mock.clock.advance(seconds)

    def running(self) -> dict[str, Any]:
        """How the scenario goes."""
        record = self.edge.mock.server.runtime.scenario_record()
        assert record is not None
        return record


@dataclass(frozen=True, slots=True)
class Play:
    """A scenario's two clients, and the provider that they are clients of."""

    naive: Callable[[Client], Awaitable[None]]
    good: Callable[[Client], Awaitable[None]] | None = None
    provider: str = "evolink"
    #: How the receivers of callbacks answer.
    naive_hook: Callable[[Received], int] = lambda _: 200
    good_hook: Callable[[Received], int] = lambda _: 200


async def hammer_submits(client: Client) -> None:
    """Submit again and again, whatever comes."""
    for _ in range(12):
        await client.submit()
    await client.wait(300)


async def black_friday(client: Client) -> None:
    """Back off after each 429, go on polling at one's own pace, give up nothing that was paid for."""
    tasks: list[str] = []
    while len(tasks) < 5:
        status, task_id = await client.submit()
        assert status in (200, 429)
        if task_id is not None:
            tasks.append(task_id)
        await client.wait(6 if status == 429 else 2)
    for task_id in tasks:
        while (await client.poll(task_id)).json["status"] not in ("completed", "failed"):
            await client.wait(30)


async def submit_without_credits(client: Client) -> None:
    """Go on submitting after the first 402."""
    for _ in range(40):
        await client.submit()


async def credits_run_out(client: Client) -> None:
    """Stop submitting at the first 402, finish what is running, tell the user."""
    tasks = []
    while (submitted := await client.submit())[0] != 402:
        tasks.append(submitted[1])
    assert len(tasks) == 36
    await client.wait(300)
    for task_id in tasks:
        assert (await client.poll(task_id or "")).json["status"] == "completed"


async def resubmit_failures(client: Client) -> None:
    """Submit each job that failed again, at once."""
    for _ in range(3):
        _, task_id = await client.submit()
        await client.wait(300)
        while (await client.poll(task_id or "")).json["status"] == "failed":
            _, task_id = await client.submit()
            await client.submit()


async def everything_fails(client: Client) -> None:
    """Raise the provider's reason; do not submit the same job again and again."""
    for _ in range(3):
        _, task_id = await client.submit()
        await client.wait(300)
        answer = (await client.poll(task_id or "")).json
        assert answer["status"] == "failed"
        assert answer["error"]["message"]


async def trust_the_gateway(client: Client) -> None:
    """Take every answer for the provider's JSON: one day it is none, and one day there is none."""
    while (answer := (await client.submit()))[1] is None:
        assert answer[0] in (0, 502)
    statuses = [(await client.poll(answer[1] or "")).status for _ in range(100)]
    assert {0, 200, 502} == set(statuses)


async def submit_with_callbacks(client: Client) -> None:
    """Submit jobs whose callbacks come to an end of one's own."""
    for _ in range(4):
        await client.submit()
        await client.wait(1)
    await client.wait(600)


def signed_rightly(received: Received) -> int:
    """Refuse what is not signed rightly with 401."""
    right = hmac.new(SECRET.encode(), received.body, hashlib.sha256).hexdigest()
    return 200 if hmac.compare_digest(received.headers.get("X-Gemini-Signature", ""), right) else 401


async def go_on_with_a_revoked_key(client: Client) -> None:
    """Poll on with a key that is refused."""
    _, task_id = await client.submit()
    for _ in range(20):
        await client.poll(task_id or "")
        await client.wait(10)


async def key_revoked(client: Client) -> None:
    """Stop at the first 401, and tell the user."""
    _, task_id = await client.submit()
    while (await client.poll(task_id or "")).status != 401:
        await client.wait(10)


async def follow_an_expired_link(client: Client) -> None:
    """Follow a link again and again that has expired."""
    _, task_id = await client.submit()
    await client.wait(300)
    link = await client.link(task_id or "")
    for _ in range(10):
        assert (await client.call("GET", link)).status in (403, 404)


async def links_expire(client: Client) -> None:
    """Download at once; when a link has expired, ask the query for a new one, once; then tell the user."""
    _, task_id = await client.submit()
    await client.wait(300)
    for _ in range(2):
        assert (await client.call("GET", await client.link(task_id or ""))).status in (403, 404)


async def submit_lost_jobs_again(client: Client) -> None:
    """Submit a job again as soon as its answer is lost."""
    for _ in range(6):
        while (await client.submit())[0] != 200:
            pass


async def lost_submit_answers(client: Client) -> None:
    """Do not submit blindly a second time; report a lost answer as such."""
    statuses = []
    for _ in range(6):
        statuses.append((await client.submit())[0])
        await client.wait(5)
    assert 0 in statuses


async def hammer_a_closed_door(client: Client) -> None:
    """Try again once a second while the provider is being worked on."""
    await client.submit()
    await client.wait(60)
    while (await client.submit())[0] != 200:
        await client.wait(1)


async def maintenance(client: Client) -> None:
    """Wait longer and longer between tries; submit each job once in the end."""
    await client.wait(61)
    pause_s = 1
    while (status := (await client.submit())[0]) != 200:
        assert status == 503
        await client.wait(pause_s)
        pause_s = min(2 * pause_s, 120)


async def region_slow(client: Client) -> None:
    """Submit, poll and download; everything takes its time."""
    _, task_id = await client.submit()
    await client.wait(300)
    assert (await client.call("GET", await client.link(task_id or ""))).status == 200
    assert all(2 <= wait_s < 5 for wait_s in client.waits if wait_s > 1)
    assert sum(wait_s > 1 for wait_s in client.waits) == 3


async def wait_for_callbacks_alone(client: Client) -> None:
    """Submit, and wait for callbacks, and for nothing else."""
    await client.submit()
    await client.wait(7200)


async def webhook_outage(client: Client) -> None:
    """Poll, now and then, the tasks whose callback is overdue, and find all of them."""
    tasks = [(await client.submit())[1] for _ in range(3)]
    await client.wait(600)
    for task_id in tasks:
        assert (await client.poll(task_id or "")).json["status"] == "completed"


async def words_change(client: Client) -> None:
    """Poll while a task is on its way and when it is there, and read words by the letter."""
    seen = set()
    _, task_id = await client.submit()
    for _ in range(12):
        answer = (await client.poll(task_id or "")).json
        assert "x_internal" in answer
        seen.add(answer["status"])
        await client.wait(15)
    assert seen == {"reviewing", "REVIEWING", "completed", "COMPLETED"}


PLAYS = {
    "black_friday": Play(hammer_submits, black_friday),
    "credits_run_out_at_task_37": Play(submit_without_credits, credits_run_out),
    "everything_fails": Play(resubmit_failures, everything_fails),
    "flaky_gateway": Play(trust_the_gateway),
    "forged_callbacks": Play(
        submit_with_callbacks, submit_with_callbacks, "googlegeminiomni", good_hook=signed_rightly
    ),
    "key_revoked_mid_run": Play(go_on_with_a_revoked_key, key_revoked),
    "links_expire_overnight": Play(follow_an_expired_link, links_expire),
    "lost_submit_answers": Play(submit_lost_jobs_again, lost_submit_answers),
    "maintenance_window": Play(hammer_a_closed_door, maintenance, "crun"),
    "region_slow": Play(region_slow),
    "webhook_outage_for_an_hour": Play(wait_for_callbacks_alone, webhook_outage),
    "words_change": Play(words_change),
}


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let answers wait in no time, and write down how long they would have waited."""
    waited: list[float] = []

    async def pause(transport: asyncio.Transport, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(sending, "_pause", pause)
    return waited


async def played(name: str, *, good: bool, waits: list[float]) -> AsyncIterator[dict[str, Any]]:
    """Let a client play a scenario; give how it went."""
    play = PLAYS[name]
    answer = play.good_hook if good else play.naive_hook

    async def receive(received: Received) -> int:
        return answer(received)

    async with serving(scenario=name) as edge, receiving(receive) as receiver:
        hook = None if edge.provider(play.provider).callbacks is None else receiver.url()
        client = Client(edge, play.provider, hook, waits)
        act = play.good if good else play.naive
        assert act is not None
        await act(client)
        yield client.running()


def record_of(name: str, *, good: bool, waits: list[float]) -> dict[str, Any]:
    """Play a scenario to its end; return how it went."""

    async def run() -> dict[str, Any]:
        async for record in played(name, good=good, waits=waits):
            found = record
        return found

    return asyncio.run(run())


def test_each_has_a_play() -> None:
    """Every scenario of the gallery is played below, and those with expectations by a good client as well."""
    assert set(PLAYS) == set(gallery())
    for name, path in gallery().items():
        assert (PLAYS[name].good is not None) == bool(read(path).expect), name


@for_each("name", gallery())
def test_each_says_what_it_is(name: str) -> None:
    """Each is called by its file's name, and says what happens and what a good client does, in sentences."""
    scenario = read(gallery()[name])
    assert re.sub(r"\W+", "_", scenario.name) == name
    for sentence in (scenario.summary, scenario.good_client):
        assert re.fullmatch(r"[A-Z].{20,200}\.", sentence), sentence
    assert scenario.fault_requests


@for_each("only", [None, *PROVIDERS])
async def test_each_starts_for_any_provider(only: str | None) -> None:
    """Each can be started where all providers are served, and where only one is."""
    async with serving(only=only) as edge:
        for name in gallery():
            reply = await edge.admin("POST", "/scenarios", {"scenario": name})
            assert reply.status == 200, reply.body
            running = reply.json["running"]
            assert [each["fault"] for each in running["faults"]] == [
                fault_request["fault"] for fault_request in read(gallery()[name]).fault_requests
            ]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "maintenance_window" else []) for name in PLAYS]
)
def test_it_strikes_a_naive_client_and_judges_it(name: str, waits: list[float]) -> None:
    """Every fault of the scenario affects a naive client, which fails every expectation, and the record says so."""
    record = record_of(name, good=False, waits=waits)
    assert [each["fault"] for each in record["faults"] if not each["hits"]] == []
    for each in record["expect"]:
        assert not each["kept"], each["that"]
        assert each["seen"] != "as expected"
        assert each["records"] or "expected at least" in each["seen"]


@pytest.mark.parametrize("name", [name for name, play in PLAYS.items() if play.good is not None])
def test_a_good_client_keeps_what_is_expected(name: str, waits: list[float]) -> None:
    """A client that does what `good_client` says is struck as well, and keeps every expectation."""
    record = record_of(name, good=True, waits=waits)
    assert any(each["hits"] for each in record["faults"])
    assert [each for each in record["expect"] if not each["kept"]] == []


async def test_the_maintenance_window_to_the_second() -> None:
    """The window opens after a minute and closes ten minutes later, at every provider."""
    async with serving(scenario="maintenance_window") as edge:
        assert edge.mock.clock.now_ms == MANUAL_START_MS
        for later_s, status in ((59, 200), (1, 503), (599, 503), (1, 200)):
            await edge.mock.clock.advance(later_s)
            assert {(await edge.try_submit(name)).status for name in PROVIDERS} == {status}


async def test_callbacks_are_forged_in_turn() -> None:
    """Of four callbacks one is signed wrongly, one not at all, and two rightly; each comes twice."""
    async with serving(scenario="forged_callbacks") as edge, receiving() as receiver:
        client = Client(edge, "googlegeminiomni", receiver.url())
        await submit_with_callbacks(client)
        kinds = [
            "none"
            if (given := each.headers.get("X-Gemini-Signature")) is None
            else "right"
            if signed_rightly(each) == 200 and given
            else "wrong"
            for each in receiver.got
        ]
        assert sorted(kinds) == ["none"] * 2 + ["right"] * 4 + ["wrong"] * 2
