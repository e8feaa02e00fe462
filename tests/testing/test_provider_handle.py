"""What a test says to a provider in words, and what a client then sees over HTTP, there and nowhere else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from support.edge import CALLBACK_FIELDS, OTHER_KEYS, PATIENCE_S, Receiver, example, nothing_logged, receiving
from support.faults import until
from support.tables import for_each

import mockserver.edge.build
from mockserver import MockServer
from mockserver.edge import server
from mockserver.edge.sessions import SessionError
from mockserver.engine.faults import InvalidFaultError
from mockserver.media.cache import MediaCache
from mockserver.spec.catalog import load_providers
from mockserver.testing.provider_handle import ActiveFault, ProviderHandle
from mockserver.testing.running import RunningServer

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from pathlib import Path

    from mockserver.media.shape import Shape
    from mockserver.provider import Operation, Provider
    from mockserver.testing.running import AsyncRunningServer

    #: A mock of either kind.
    AnyMock = RunningServer | AsyncRunningServer

GOOGLE = "googlegeminiomni"
EVOLINK = "evolink"
SECRET = b"mock-webhook-secret"
#: How a mock is started, and whether the default world or a session is spoken to.
MODES = ("with", "async with")
WORLDS = (None, "one")
#: More than the longest task takes; and much more, in mock seconds.
LONG_S, LONGER_S = 600, 6000


@cache
def providers() -> list[Provider]:
    """Compile the built-in specs, once for all servers."""
    return load_providers()


def quick_file(shape: Shape, path: Path, stop: threading.Event) -> None:
    """Take the place of the encoder, which is not what these tests are about."""
    path.write_bytes(shape.file_name.encode())


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start servers quickly, and hold them to it that nothing is logged."""
    monkeypatch.setattr(mockserver.edge.build, "load_providers", lambda *_, **__: providers())
    monkeypatch.setattr(server, "MediaCache", partial(MediaCache, encode=quick_file))
    with nothing_logged():
        yield


# -- a client -------------------------------------------------------------------------------------


@dataclass
class Answer:
    """What a client sees: a status (0 where the connection broke), headers, and a body of JSON or of a file."""

    status: int
    headers: Any = None
    json: Any = None


@dataclass
class Client:
    """A client of one world: of the default one, or of a session."""

    mock: AnyMock
    http: aiohttp.ClientSession
    hook: Receiver
    name: str = GOOGLE
    key: str | None = None
    path: str = "/hook"

    @property
    def verbs(self) -> ProviderHandle:
        """The provider, to be told what is to go wrong."""
        return self.mock.provider(self.name)

    @property
    def told(self) -> list[tuple[str, bool]]:
        """How each callback that came says that the task has ended, and whether its signature fits."""
        return [
            (
                got.json["status"],
                got.headers["X-Gemini-Signature"] == hmac.new(SECRET, got.body, hashlib.sha256).hexdigest(),
            )
            for got in self.hook.got
            if got.path == self.path
        ]

    def _provider(self) -> Provider:
        return next(each for each in providers() if each.name == self.name)

    def _operation(self, role: str) -> Operation:
        return next(each for each in self._provider().operations.values() if each.role == role)

    async def ask(self, method: str, url: str, body: Any = None) -> Answer:
        """Make a request."""
        rule = self._provider().key
        key = self.key or rule.example
        headers = {rule.header: f"Bearer {key}" if rule.bearer else key}
        try:
            async with self.http.request(method, url, json=body, headers=headers) as answer:
                is_json = answer.content_type == "application/json"
                return Answer(answer.status, answer.headers, await answer.json() if is_json else await answer.read())
        except aiohttp.ClientError:
            return Answer(0)

    async def submit(self) -> Answer:
        """Submit the example, to be called back where the provider does that."""
        body = example(self._provider())
        if self.name in CALLBACK_FIELDS:
            body[CALLBACK_FIELDS[self.name]] = self.hook.url(self.path)
        return await self.ask("POST", self.mock.url(self.name) + self._operation("submit").path, body)

    async def made(self) -> str:
        """Submit a task that must be taken; return its id."""
        answer = await self.submit()
        assert answer.status == 200, answer
        task_id: str = answer.json["jobId" if self.name == GOOGLE else "id"]
        return task_id

    async def query(self, task_id: str) -> Answer:
        """Ask how a task stands."""
        return await self.ask(
            "GET", self.mock.url(self.name) + self._operation("query").path.partition("{")[0] + task_id
        )

    async def status(self, task_id: str) -> str:
        """Ask for its status."""
        answer = await self.query(task_id)
        assert answer.status == 200, answer
        status: str = answer.json["status"]
        return status

    async def advance(self, seconds: float) -> None:
        """Let mock time pass."""
        if isinstance(self.mock, RunningServer):
            await asyncio.to_thread(self.mock.clock.advance, seconds)
        else:
            await self.mock.clock.advance(seconds)

    async def reset(self) -> None:
        """Start this world over."""
        if isinstance(self.mock, RunningServer):
            await asyncio.to_thread(self.mock.reset)
        else:
            await self.mock.reset()

    async def drop(self) -> None:
        """End this world."""
        if isinstance(self.mock, RunningServer):
            await asyncio.to_thread(self.mock.drop)
        else:
            await self.mock.drop()

    async def in_force(self) -> list[dict[str, Any]]:
        """List the faults in force, as the control plane does."""
        found: list[dict[str, Any]] = (await self.ask("GET", f"{self.mock.admin_url}/faults")).json["faults"]
        return found

    def at(self, name: str, key: str | None = None) -> Client:
        """Return the same client at another provider, or with another key."""
        return Client(self.mock, self.http, self.hook, name, key, self.path)

    def inside(self, session: str | None) -> Client:
        """Return a client of another world of the same server."""
        if session is None:
            return self
        return Client(self.mock.session(session), self.http, self.hook, self.name, self.key, f"/{session}")


@asynccontextmanager
async def started(mode: str) -> AsyncIterator[AnyMock]:
    """Start a mock, in a thread or in this loop."""
    if mode == "with":
        with MockServer() as mock:
            yield mock
    else:
        async with MockServer() as other:
            yield other


def played(story: Callable[[Client], Coroutine[Any, Any, None]], mode: str = "with", world: str | None = None) -> None:
    """Play a story with a client of a world."""

    async def play() -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with (
            started(mode) as mock,
            receiving() as hook,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), timeout=timeout) as http,
        ):
            await story(Client(mock, http, hook).inside(world))

    asyncio.run(play())


# -- every verb, in its own world alone -----------------------------------------------------------


DONE, FORGED = ("done", True), ("done", False)


@dataclass
class Day:
    """What a client sees that submits until it has a task id (at most twice), waits, polls and downloads."""

    submits: list[int] = field(default_factory=lambda: [200])
    then: str | None = "done"
    later: str | None = "done"
    told: list[tuple[str, bool]] = field(default_factory=lambda: [DONE])
    told_later: list[tuple[str, bool]] = field(default_factory=lambda: [DONE])
    file: int | None = 200
    #: The faults that the journal names.
    faults: set[str] = field(default_factory=set)


async def lived(client: Client) -> Day:
    """Run the client's day."""
    day = Day(submits=[])
    task_id = None
    while task_id is None and len(day.submits) < 2:
        answer = await client.submit()
        day.submits.append(answer.status)
        task_id = answer.json["jobId"] if answer.status == 200 else None
    await client.advance(LONG_S)
    day.then = None if task_id is None else await client.status(task_id)
    day.told = client.told
    await client.advance(LONGER_S)
    day.later = None if task_id is None else await client.status(task_id)
    day.told_later = client.told
    link = None if task_id is None else (await client.query(task_id)).json.get("outputUrl")
    day.file = None if link is None else (await client.ask("GET", link)).status
    day.faults = {fault for record in client.mock.journal for fault in record["faults"]}
    return day


def limit_to_one(say: ProviderHandle) -> None:
    """Let the answer to the one task that may be made be lost, so that the client submits again."""
    say.lose_answer()
    say.limit(per_minute=1)


#: Each verb, and the day of a client that meets it.
VERBS: dict[str, tuple[Callable[[ProviderHandle], object], Day]] = {
    "fail_next": (
        lambda say: say.fail_next("content_policy"),
        Day(
            then="failed",
            later="failed",
            told=[("failed", True)],
            told_later=[("failed", True)],
            file=None,
            faults={"fail"},
        ),
    ),
    "stick_next": (
        lambda say: say.stick_next(),
        Day(then="generating", later="generating", told=[], told_later=[], file=None, faults={"stuck"}),
    ),
    "delay_next": (
        lambda say: say.delay_next(1000),
        Day(then="generating", told=[], faults={"overdue"}),
    ),
    "refuse_next": (lambda say: say.refuse_next(503), Day(submits=[503, 200], faults={"error"})),
    "refuse": (
        lambda say: say.refuse(500),
        Day([500, 500], None, None, [], [], None, {"error"}),
    ),
    "lose_answer": (
        lambda say: say.lose_answer(),
        Day(submits=[0, 200], told=[DONE] * 2, told_later=[DONE] * 2, faults={"lost_answer"}),
    ),
    "slow_down": (lambda say: say.slow_down(0.001), Day(faults={"latency"})),
    "lose_callbacks": (lambda say: say.lose_callbacks(), Day(told=[], told_later=[], faults={"lost_callback"})),
    "delay_callbacks": (lambda say: say.delay_callbacks(1000), Day(told=[], faults={"late_callback"})),
    "duplicate_callbacks": (
        lambda say: say.duplicate_callbacks(),
        Day(told=[DONE] * 2, told_later=[DONE] * 2, faults={"duplicated_callback"}),
    ),
    "forge_callbacks": (
        lambda say: say.forge_callbacks(),
        Day(told=[FORGED], told_later=[FORGED], faults={"wrong_signature"}),
    ),
    "expire_links": (lambda say: say.expire_links(), Day(file=403, faults={"expired_link"})),
    "limit": (limit_to_one, Day([0, 429], None, None, [DONE], [DONE], None, {"lost_answer"})),
    "set_credits": (lambda say: say.set_credits(1), Day([402, 402], None, None, [], [], None)),
    "revoke_key": (lambda say: say.revoke_key(), Day([401, 401], None, None, [], [], None)),
    "inject": (
        lambda say: say.inject("undeclared_status", status=520, operation="submit", times=1),
        Day(submits=[520, 200], faults={"undeclared_status"}),
    ),
}


def test_every_verb_is_here() -> None:
    """The table holds each verb that there is."""
    there = {name for name, value in vars(ProviderHandle).items() if callable(value) and not name.startswith("_")}
    assert set(VERBS) == there


@pytest.mark.parametrize(
    ("verb", "world", "mode"),
    [
        pytest.param(verb, *where, marks=pytest.mark.slow if (number + other) % 2 else [])
        for number, verb in enumerate(VERBS)
        for other, where in enumerate(zip(WORLDS, MODES, strict=True))
    ],
)
def test_a_verb_in_its_own_world(verb: str, world: str | None, mode: str) -> None:
    """A client in the world that is spoken to meets what was said; one in another world of the server does not."""
    say, met = VERBS[verb]

    async def story(default: Client) -> None:
        client = default.inside(world)
        before, after = (default.inside(each) for each in (*WORLDS, "two") if each != world)
        assert await lived(before) == Day()
        say(client.verbs)
        assert await lived(client) == met
        assert await lived(after) == Day()
        assert [bool(await each.in_force()) for each in (before, after)] == [False, False]
        assert bool(await client.in_force()) == (verb not in ("set_credits", "revoke_key"))

    played(story, mode)


@pytest.mark.parametrize("mode", MODES)
def test_two_sessions_and_the_default_world(mode: str) -> None:
    """Each world is told something else, all at the same time, by `mock.NAME`, and each has its own of it."""

    async def story(client: Client) -> None:
        one, two = client.inside("one"), client.inside("two")
        handles = [
            client.mock.googlegeminiomni.refuse(500),
            one.mock.googlegeminiomni.refuse(503),
            two.mock.evolink.refuse(502),
        ]
        for _ in range(2):
            assert [(await each.submit()).status for each in (client, one, two)] == [500, 503, 200]
            assert [(await each.at(EVOLINK).submit()).status for each in (client, one, two)] == [200, 200, 502]
        assert [each.hits for each in handles] == [2, 2, 2]
        handles[1].remove()
        assert [(await each.submit()).status for each in (client, one, two)] == [500, 200, 200]

    played(story, mode)


@pytest.mark.parametrize("mode", MODES)
def test_drop(mode: str) -> None:
    """What was said in a session ends with it: its next life knows nothing of it, and old handles do no harm there."""

    async def story(client: Client) -> None:
        one, two = client.inside("one"), client.inside("two")
        first, second = one.verbs.refuse(503), two.verbs.refuse(503)
        one.verbs.limit(per_minute=1)
        one.verbs.revoke_key()
        assert [(await each.submit()).status for each in (one, two)] == [503, 503]
        await one.drop()
        assert list(client.mock.server.sessions) == ["two"]
        assert [(await one.submit()).status for _ in range(2)] == [200, 200]
        again = one.verbs.refuse(500)
        assert again.id == first.id
        first.remove()
        assert [(await each.submit()).status for each in (client, one, two)] == [200, 500, 503]
        assert (first.hits, second.hits, again.hits) == (1, 2, 1)
        await one.drop()
        await one.drop()
        assert (await one.submit()).status == 200

    played(story, mode)


@pytest.mark.parametrize("mode", MODES)
def test_drop_of_the_default_world(mode: str) -> None:
    """The default world starts over; sessions keep what was said in them."""

    async def story(client: Client) -> None:
        one = client.inside("one")
        for each in (client, one):
            each.verbs.refuse(503)
        await client.drop()
        assert [(await each.submit()).status for each in (client, one)] == [200, 503]

    played(story, mode)


@for_each("mode", MODES)
@for_each("name", ["", "!", "a/b", "x" * 101, ".hidden", "é"])
def test_sessions_that_cannot_be(mode: str, name: str) -> None:
    """An invalid session name is refused with a reason, and no session is created."""

    async def story(client: Client) -> None:
        with pytest.raises(SessionError, match="a session name must be 1 to 100 letters, digits, dots"):
            client.mock.session(name)
        assert list(client.mock.server.sessions) == []

    played(story, mode)


# -- tasks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_fail_next_for_a_reason(mode: str) -> None:
    """So many tasks fail for that reason and cost nothing; those before and after them succeed."""

    async def story(client: Client) -> None:
        before = await client.made()
        failing = client.verbs.fail_next("content_policy", times=2)
        tasks = [await client.made() for _ in range(3)]
        await client.advance(LONG_S)
        answers = [(await client.query(task)).json for task in (before, *tasks)]
        assert [each["status"] for each in answers] == ["done", "failed", "failed", "done"]
        assert {each["error"] for each in answers[1:3]} == {answers[1]["error"]}
        assert failing.hits == 2
        account = client.mock.account(GOOGLE)
        assert account.available_credits == 1_000_000 - 2 * answers[0]["creditCost"]

    played(story, mode)


def test_fail_next_for_any_reason() -> None:
    """Without a reason it is the first that the provider lists; a reason that no list has is met as it was named."""

    async def story(client: Client) -> None:
        evolink = client.at(EVOLINK)
        codes = []
        for reason in ("", "generation_timeout", "bad_luck"):
            evolink.verbs.fail_next(reason)
            task = await evolink.made()
            await client.advance(LONG_S)
            codes.append((await evolink.query(task)).json["error"]["code"])
        assert codes == ["service_error", "generation_timeout", "bad_luck"]

    played(story)


@pytest.mark.parametrize("mode", MODES)
def test_stick_next_in_a_state(mode: str) -> None:
    """The next task stays in the state that is named; the one after it goes on."""

    async def story(client: Client) -> None:
        client.verbs.stick_next("accepted")
        tasks = [await client.made() for _ in range(2)]
        await client.advance(LONG_S)
        assert [await client.status(task) for task in tasks] == ["accepted", "done"]
        sticking = client.verbs.stick_next(times=2)
        tasks = [await client.made() for _ in range(3)]
        await client.advance(LONG_S)
        assert [await client.status(task) for task in tasks] == ["generating", "generating", "done"]
        assert sticking.hits == 2

    played(story, mode)


@pytest.mark.parametrize("seconds", [90, 90.5, "90s", "1.5m"])
def test_delay_next_takes_so_much_longer(seconds: Any) -> None:
    """The next task ends so much later than it would, to the millisecond; the one after it on time."""

    async def story(client: Client) -> None:
        calm = client.inside("calm")
        client.verbs.delay_next(seconds)
        tasks = [(each, await each.made()) for each in (calm, client, client)]
        assert len({task for _, task in tasks}) == 2
        by_ms = {90.5: 90_500}.get(seconds, 90_000)
        first, late, on_time = [each.mock.runtime.world.find_task(task)[1].ends_ms for each, task in tasks]
        assert late == first + by_ms
        await client.advance((late - client.mock.clock.now_ms - 1) / 1000)
        assert await client.status(tasks[1][1]) == "generating"
        assert await client.status(tasks[2][1]) == "done"
        assert on_time < late
        await client.advance(0.001)
        assert await client.status(tasks[1][1]) == "done"

    played(story)


# -- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_refuse_next_so_often(mode: str) -> None:
    """So many requests are refused, of the operation that is named; Retry-After says what it was told to."""

    async def story(client: Client) -> None:
        task = await client.made()
        polls = client.verbs.refuse_next(503, times=2, operation="query")
        submits = client.verbs.refuse_next(429, operation="submitJob", retry_after_s=7)
        refused = await client.submit()
        assert (refused.status, refused.headers["Retry-After"]) == (429, "7")
        assert (await client.submit()).status == 200
        assert [(await client.query(task)).status for _ in range(3)] == [503, 503, 200]
        assert (polls.hits, submits.hits) == (2, 1)
        assert (await client.at(EVOLINK).submit()).status == 200

    played(story, mode)


def test_refuse_next_twice_in_a_row() -> None:
    """What was said first comes first, and what was said second comes next."""

    async def story(client: Client) -> None:
        client.verbs.refuse_next(503)
        client.verbs.refuse_next(429)
        assert [(await client.submit()).status for _ in range(3)] == [503, 429, 200]

    played(story)


@pytest.mark.parametrize("mode", MODES)
def test_refuse_for_so_long(mode: str) -> None:
    """All requests of the operation are refused for so long after the first of them, in mock time."""

    async def story(client: Client) -> None:
        refusing = client.verbs.refuse(503, operation="submit", for_s=30)
        await client.advance(LONG_S)
        assert [(await client.submit()).status for _ in range(3)] == [503, 503, 503]
        await client.advance(29.999)
        assert (await client.submit()).status == 503
        await client.advance(0.001)
        await client.made()
        assert refusing.hits == 4

    played(story, mode)


def test_refuse_with_a_status_that_the_provider_does_not_have() -> None:
    """Any status from 400 to 599 will do; it comes in the provider's own shape."""

    async def story(client: Client) -> None:
        client.verbs.refuse(418)
        answer = await client.submit()
        assert answer.status == 418
        assert list(answer.json) == ["error"]

    played(story)


@pytest.mark.parametrize("mode", MODES)
def test_lose_answer_of_a_submit(mode: str) -> None:
    """The task is made and paid for, though its client is told nothing; queries are answered."""

    async def story(client: Client) -> None:
        known = await client.made()
        losing = client.verbs.lose_answer(times=2)
        assert (await client.query(known)).status == 200
        assert [(await client.submit()).status for _ in range(3)] == [0, 0, 200]
        assert losing.hits == 2
        lost = [each["task"] for each in client.mock.journal.find(operation="submitJob") if each["faults"]]
        assert len(set(lost)) == 2
        assert {await client.status(task) for task in lost} == {"accepted"}
        assert client.mock.account(GOOGLE).available_credits == 1_000_000 - 4 * 150

    played(story, mode)


@pytest.mark.parametrize("mode", MODES)
def test_slow_down_every_answer(mode: str) -> None:
    """Nothing comes of a request while other providers answer; when it has been taken away, the next one is quick."""

    async def story(client: Client) -> None:
        with client.verbs.slow_down(3600) as slowing:
            waiting = asyncio.create_task(client.submit())
            await until(lambda: slowing.hits)
            for _ in range(5):
                assert (await client.at(EVOLINK).submit()).status == 200
                assert (await client.inside("two").submit()).status == 200
            assert not waiting.done()
        assert (await client.submit()).status == 200
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert slowing.hits == 1

    played(story, mode)


# -- callbacks ------------------------------------------------------------------------------------

CALLBACKS: list[tuple[Callable[[ProviderHandle], ActiveFault], list[tuple[str, bool]], int]] = [
    (lambda say: say.lose_callbacks(), [], 3),
    (lambda say: say.lose_callbacks(times=2), [DONE], 2),
    (lambda say: say.duplicate_callbacks(times=1), [DONE] * 4, 1),
    (lambda say: say.forge_callbacks(), [FORGED] * 3, 3),
    (lambda say: say.forge_callbacks(times=1), [FORGED, DONE, DONE], 1),
    (lambda say: say.delay_callbacks(1, times=2), [DONE] * 3, 2),
]


@for_each("mode", MODES)
@for_each(("say", "told", "hits"), CALLBACKS)
def test_callbacks_so_often(
    say: Callable[[ProviderHandle], ActiveFault], told: list[tuple[str, bool]], hits: int, mode: str
) -> None:
    """So many callbacks, or all of them, come as was said; the others as ever."""

    async def story(client: Client) -> None:
        saying = say(client.verbs)
        for _ in range(3):
            await client.made()
            await client.advance(LONG_S)
        assert client.told == told
        assert saying.hits == hits

    played(story, mode)


def test_delay_callbacks_by_so_much() -> None:
    """The callback comes so long after the end of its task, to the millisecond."""

    async def story(client: Client) -> None:
        client.verbs.delay_callbacks("90s")  # type: ignore[arg-type]  # taken as well, as everywhere
        task = await client.made()
        ends_ms = client.mock.runtime.world.find_task(task)[1].ends_ms
        await client.advance((ends_ms - client.mock.clock.now_ms) / 1000 + 89.999)
        assert await client.status(task) == "done"
        assert client.told == []
        await client.advance(0.001)
        assert client.told == [DONE]

    played(story)


# -- results and accounts -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_expire_links_so_often(mode: str) -> None:
    """The next downloads are refused, the one after them is not; taken away, all pass."""

    async def story(client: Client) -> None:
        task = await client.made()
        await client.advance(LONG_S)
        link = (await client.query(task)).json["outputUrl"]
        expiring = client.verbs.expire_links(times=2)
        assert [(await client.ask("GET", link)).status for _ in range(3)] == [403, 403, 200]
        with client.verbs.expire_links():
            assert [(await client.ask("GET", link)).status for _ in range(3)] == [403, 403, 403]
        assert (await client.ask("GET", link)).status == 200
        assert expiring.hits == 2

    played(story, mode)


#: Limits, how long the window is, and how many tasks are taken before one is refused.
LIMITS: list[tuple[dict[str, Any], float]] = [
    ({"per_minute": 3}, 60),
    ({"per_hour": 3}, 3600),
    ({"at_once": 3}, LONG_S),
    ({"per_minute": 3, "per_hour": 100, "at_once": 100}, 60),
]


@pytest.mark.parametrize(
    ("limits", "window_s", "name", "mode"),
    [
        *((*each, name, MODES[-1]) for each, name in zip(LIMITS, [EVOLINK, GOOGLE] * 2, strict=True)),
        (*LIMITS[0], EVOLINK, MODES[0]),
    ],
)
def test_limit_of_an_account(name: str, limits: dict[str, Any], window_s: float, mode: str) -> None:
    """Three are taken and the fourth is not, until the window is over; another key and provider have no such limit."""

    async def story(client: Client) -> None:
        client = client.at(name)
        client.verbs.limit(**limits)
        assert [(await client.submit()).status for _ in range(4)] == [200, 200, 200, 429]
        assert (await client.at(name, OTHER_KEYS[name]).submit()).status == 200
        assert [(await client.at("toapis").submit()).status for _ in range(4)] == [200] * 4
        await client.advance(window_s)
        assert (await client.submit()).status == 200
        client.verbs.limit()
        assert [(await client.submit()).status for _ in range(40)] == [200] * 40

    played(story, mode)


def test_limit_of_another_key() -> None:
    """The account of the key that is named has the limit, and no other."""

    async def story(client: Client) -> None:
        client.verbs.limit(per_minute=1, key=OTHER_KEYS[GOOGLE])
        other = client.at(GOOGLE, OTHER_KEYS[GOOGLE])
        assert [(await other.submit()).status for _ in range(2)] == [200, 429]
        assert [(await client.submit()).status for _ in range(2)] == [200, 200]

    played(story)


@pytest.mark.parametrize("mode", MODES)
def test_set_credits_to_a_number(mode: str) -> None:
    """That many can be spent, whatever is reserved; a task that costs more is refused, one that does not is taken."""

    async def story(client: Client) -> None:
        first = await client.made()
        for credits_left, status in ((149.99, 402), (150, 200), (0, 402), (300, 200)):
            client.verbs.set_credits(credits_left)
            assert client.mock.account(GOOGLE).available_credits == credits_left
            assert (await client.submit()).status == status, credits_left
        evolink = client.at(EVOLINK)
        evolink.verbs.set_credits(12.5, key=OTHER_KEYS[EVOLINK])
        left = []
        for each in (evolink.at(EVOLINK, OTHER_KEYS[EVOLINK]), evolink):
            answer = await each.ask("GET", client.mock.url(EVOLINK) + "/v1/credits")
            left.append(answer.json["data"]["token"]["remaining_credits"])
        assert left == [12.5, 1_000_000]
        await client.advance(LONG_S)
        assert await client.status(first) == "done"

    played(story, mode)


@pytest.mark.parametrize("mode", MODES)
def test_revoke_key_of_another(mode: str) -> None:
    """The key that is named is refused for submits and queries, and no other is."""

    async def story(client: Client) -> None:
        other = client.at(GOOGLE, OTHER_KEYS[GOOGLE])
        task = await other.made()
        client.verbs.revoke_key(OTHER_KEYS[GOOGLE])
        assert [(await other.submit()).status, (await other.query(task)).status] == [401, 401]
        await client.made()

    played(story, mode)


# -- any fault, anywhere --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_inject_where_and_when(mode: str) -> None:
    """Words that say where and when hold, those that are the fault's own reach it, and None is no word."""

    async def story(client: Client) -> None:
        task = await client.made()
        rule = client.verbs.inject(
            "undeclared_status", status=555, operation="query", task=task, key=None, after=1, every=2, times=2
        )
        other = await client.made()
        assert [(await client.query(task)).status for _ in range(6)] == [200, 555, 200, 555, 200, 200]
        assert (await client.query(other)).status == 200
        assert rule.hits == 2
        (record,) = await client.in_force()
        assert record["where"] == {"provider": GOOGLE, "operation": "query", "task": task}
        assert record["when"] == {"after": 1, "every": 2, "times": 2}
        assert record["with"] == {"status": 555}

    played(story, mode)


@pytest.mark.parametrize("fault", ["late_url", "replication_lag"])
def test_inject_a_parameter_that_is_called_like_a_condition(fault: str) -> None:
    """Where a fault has a parameter of its own by that name, the word is the fault's."""

    async def story(client: Client) -> None:
        client.verbs.inject(fault, for_s=50)
        (record,) = await client.in_force()
        assert (record["with"], record["when"]) == ({"for_s": 50}, {})
        task = await client.made()
        found = (await client.query(task)).status
        await client.advance(50)
        assert (found, (await client.query(task)).status) == (404 if fault == "replication_lag" else 200, 200)
        ends_ms = client.mock.runtime.world.find_task(task)[1].ends_ms
        await client.advance((ends_ms - client.mock.clock.now_ms) / 1000)
        answer = (await client.query(task)).json
        assert (answer["status"], bool(answer["outputUrl"])) == ("done", fault != "late_url")
        await client.advance(50)
        assert (await client.query(task)).json["outputUrl"].startswith(client.mock.url(GOOGLE))

    played(story)


# -- handles --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("world", WORLDS)
def test_handle(mode: str, world: str | None) -> None:
    """A handle tells its id and its hits as the control plane does, and takes away its own fault alone."""

    async def story(client: Client) -> None:
        one, two = client.verbs.refuse(503), client.verbs.refuse(500, operation="query")
        assert (one.hits, two.hits) == (0, 0)
        assert [(await client.submit()).status for _ in range(3)] == [503] * 3
        assert (one.hits, two.hits) == (3, 0)
        assert [(each["id"], each["hits"]) for each in await client.in_force()] == [(one.id, 3), (two.id, 0)]
        for _ in range(3):
            one.remove()
        assert [each["id"] for each in await client.in_force()] == [two.id]
        task = await client.made()
        assert (await client.query(task)).status == 500
        assert (one.hits, two.hits) == (3, 1)
        two.remove()
        assert (await client.query(task)).status == 200
        assert await client.in_force() == []

    played(story, mode, world)


@pytest.mark.parametrize("mode", MODES)
def test_handle_within_a_block(mode: str) -> None:
    """A block gives the handle, and takes the fault away at its end, even where it ends in an error."""

    async def story(client: Client) -> None:
        with client.verbs.refuse(503) as outer, client.verbs.lose_answer() as inner:
            assert isinstance(outer, ActiveFault)
            assert (await client.submit()).status == 503
            assert [each["id"] for each in await client.in_force()] == [outer.id, inner.id]
            outer.remove()
            assert (await client.submit()).status == 0
        assert (outer.hits, inner.hits) == (1, 1)
        assert await client.in_force() == []
        await client.made()
        with pytest.raises(ZeroDivisionError), client.verbs.refuse(503):
            raise ZeroDivisionError
        await client.made()

    played(story, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("world", WORLDS)
def test_handle_of_before_a_reset(mode: str, world: str | None) -> None:
    """A handle that is older than a reset tells what it told, and leaves alone what has its id now."""

    async def story(client: Client) -> None:
        old = client.verbs.refuse(503)
        assert (await client.submit()).status == 503
        await client.reset()
        await client.made()
        new = client.verbs.refuse(500)
        assert new.id == old.id
        old.remove()
        assert (await client.submit()).status == 500
        assert (old.hits, new.hits) == (1, 1)

    played(story, mode, world)


@pytest.mark.parametrize("mode", MODES)
def test_handle_of_a_fault_that_others_took_away(mode: str) -> None:
    """What the control plane has taken away is gone; the handle says how often it had struck."""

    async def story(client: Client) -> None:
        with client.verbs.refuse(503) as refusing:
            assert (await client.submit()).status == 503
            assert (await client.ask("DELETE", f"{client.mock.admin_url}/faults/{refusing.id}")).status == 200
            await client.made()
        assert refusing.hits == 1

    played(story, mode)


@pytest.mark.parametrize("mode", MODES)
def test_handle_that_outlives_its_server(mode: str) -> None:
    """When the server has ended, a handle still tells its hits, and can be taken away without harm."""
    handles: list[ActiveFault] = []

    async def story(client: Client) -> None:
        handles.extend(each.verbs.refuse(503) for each in (client, client.inside("one")))
        assert (await client.submit()).status == 503

    played(story, mode)
    for each in handles:
        each.remove()
    assert [each.hits for each in handles] == [1, 0]


def test_verbs_from_many_threads() -> None:
    """What several threads say at once is all in force, each once, under an id of its own."""

    async def story(client: Client) -> None:
        def say(number: int) -> list[ActiveFault]:
            verbs = client.inside("one").verbs if number % 2 else client.verbs
            return [verbs.refuse_next(503) for _ in range(10)]

        found = await asyncio.gather(*(asyncio.to_thread(say, number) for number in range(6)))
        for number, each in ((0, client), (1, client.inside("one"))):
            handles = [handle for said in found[number::2] for handle in said]
            assert len({handle.id for handle in handles}) == 30
            assert [(await each.submit()).status for _ in range(31)] == [503] * 30 + [200]
            assert [handle.hits for handle in handles] == [1] * 30

    played(story)


# -- errors in words ------------------------------------------------------------------------------

NO_NUMBER = ["x", None, True, [90], -1, float("nan"), float("inf")]
WRONG: list[tuple[Callable[[ProviderHandle], object], str]] = [
    (lambda say: say.inject("latencies"), "unknown fault 'latencies'; did you mean 'latency'?"),
    (lambda say: say.inject("zzz"), "unknown fault 'zzz'; `mockserver faults` lists them"),
    (
        lambda say: say.inject("latency", secs=1),
        "latency: unknown parameter 'secs'; known: seconds, spread_s, growth_s",
    ),
    (lambda say: say.inject("broken_gzip", level=9), "broken_gzip: unknown parameter 'level'; known: none"),
    (lambda say: say.inject("fail", provider="crun"), "fail: unknown parameter 'provider'"),
    (lambda say: say.inject("latency", seconds="soon"), "latency: seconds must be a number; got 'soon'"),
    (lambda say: say.inject("latency", seconds=None), "latency: seconds must be of type number"),
    (lambda say: say.inject("reset", at="dawn"), "reset: at must be one of before_headers"),
    (lambda say: say.inject("error", operation="buy"), "where.operation: must be one of callback"),
    (lambda say: say.inject("error", model="m"), "where.model: must be one of gemini-omni"),
    (lambda say: say.inject("error", phase="limbo"), "where.phase: must be one of accepted, done"),
    (lambda say: say.inject("error", prompt="("), "where.prompt is not a regular expression"),
    (lambda say: say.inject("error", key=7), "where.key must be a non-empty string"),
    (lambda say: say.inject("error", times=0), "when.times must be an integer from 1"),
    (lambda say: say.inject("error", probability=2), "when.probability must be a number from 0 to 1"),
    (lambda say: say.inject("error", from_s=9, until_s=8), "when.until_s must be greater than from_s"),
    (lambda say: say.inject("stuck", state="limbo"), "has no state 'limbo'; it has accepted, generating"),
    (lambda say: say.stick_next("limbo"), "state must be one of accepted, generating"),
    (lambda say: say.stick_next("done"), "state must be one of"),
    (lambda say: say.stick_next(times=0), "when.times must be an integer from 1"),
    (lambda say: say.fail_next(times=0), "when.times must be an integer from 1"),
    (lambda say: say.fail_next(None), "fail: reason must be of type string"),  # type: ignore[arg-type]
    (lambda say: say.refuse_next(200), "error: status must be a number from 400 to 599"),
    (lambda say: say.refuse_next(503, operation="buy"), "where.operation: must be one of"),
    (lambda say: say.refuse_next(503, retry_after_s=-1), "error: retry_after_s must be a number from 0"),
    (lambda say: say.refuse("503 "), "error: status must be a number; got '503 '"),  # type: ignore[arg-type]
    (lambda say: say.refuse(503, for_s=-1), "when.for_s must be a number from 0"),
    (lambda say: say.lose_answer(times=-1), "when.times must be an integer from 1"),
    (lambda say: say.expire_links(times=0), "when.times must be an integer from 1"),
    (lambda say: say.lose_callbacks(times=1.5), "when.times must be an integer"),  # type: ignore[arg-type]
    (lambda say: say.duplicate_callbacks(times=0), "when.times must be an integer"),
    (lambda say: say.forge_callbacks(times=True), "when.times must be an integer"),
    (lambda say: say.limit(per_minute=0), "per_minute must be an integer from 1"),
    (lambda say: say.limit(per_minute=1, per_hour=1.5), "per_hour must be an integer from 1"),  # type: ignore[arg-type]
    (lambda say: say.limit(at_once=True), "at_once must be an integer from 1"),
    (lambda say: say.limit(per_minute=1, key="no key"), "key: not a well-formed key for googlegeminiomni.com"),
    (lambda say: say.set_credits(1, key="no key"), "key: not a well-formed key for googlegeminiomni.com"),
    (lambda say: say.revoke_key("no key"), "key: not a well-formed key for googlegeminiomni.com"),
    *((lambda say, value=value: say.delay_next(value), "overdue: by_s must be ") for value in NO_NUMBER),
    *((lambda say, value=value: say.slow_down(value), "latency: seconds must be ") for value in NO_NUMBER),
    *((lambda say, value=value: say.delay_callbacks(value), "late_callback: by_s must be ") for value in NO_NUMBER),
    *(
        (lambda say, value=value: say.set_credits(value), "credits must be a number from 0 to 1000000000")
        for value in (*NO_NUMBER, 1_000_000_001)
    ),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("world", WORLDS)
def test_words_that_mean_nothing(mode: str, world: str | None) -> None:
    """An unknown name is refused with the known ones; no fault is in force then, and clients are served."""

    async def story(client: Client) -> None:
        for number, (say, words) in enumerate(WRONG):
            with pytest.raises(InvalidFaultError) as raised:
                say(client.verbs)
            assert words in str(raised.value), number
        assert await client.in_force() == []
        assert await lived(client) == Day()

    played(story, mode, world)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("world", WORLDS)
def test_providers_that_are_not_there(mode: str, world: str | None) -> None:
    """A provider that is not served is an error both as an attribute and by `provider`; it lists those served."""

    async def story(client: Client) -> None:
        with pytest.raises(KeyError, match="'nobody' is not served; served: crun, evolink"):
            client.mock.provider("nobody")
        with pytest.raises(AttributeError, match="no attribute or provider 'nobody'; providers: crun, evolink"):
            client.mock.nobody  # noqa: B018 - looking is what fails
        assert client.mock.provider(GOOGLE).name == client.mock.googlegeminiomni.name == GOOGLE

    played(story, mode, world)
