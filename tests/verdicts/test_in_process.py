"""The runner: clients of every kind in virtual time, clients that are broken, and runs that are the same again."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import warnings
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from support.traffic import providers

from contracts.client.catalogue import conditions
from contracts.client.in_process import alarm, session
from contracts.client.in_process.runner import run_situation
from contracts.client.situations import Situation
from contracts.client.subject import SubjectError
from contracts.client.virtual_time.loop import VirtualLoop
from contracts.client.virtual_time.patches import virtual_time
from contracts.clients import GOOD, subject
from contracts.judge import judge_journal
from mockserver.media.shape import WAV, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from contracts.client.run import Run
    from contracts.client.subject import Setting
    from contracts.journal import Job

COMPARE = hmac.compare_digest
EVOLINK, GOOGLE = "evolink", "googlegeminiomni"
#: Without faults, jobs end within this, in virtual time.
A_DAY_MS = 86_400_000
PATIENCE_S = 20.0


def situation(name: str, *met: str, jobs: int = 1, callbacks: bool = False, seed: int = 0) -> Situation:
    """Make the situation with these things to meet in it."""
    menu = {each.name: each for each in conditions(providers()[name], callbacks=True)}
    return Situation(name, tuple(menu[each] for each in met), jobs, callbacks, seed)


def run(client: Any, *met: str, provider: str = EVOLINK, **more: Any) -> Run:
    """Let a client meet a situation."""
    return run_situation(client, providers()[provider], situation(provider, *met, **more))


def violated(found: Run) -> set[str]:
    """Return the clauses that a run violates."""
    return {each.clause.id for each in judge_journal(found.journal) if each.judgement == "violated"}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """A run leaves no thread, no socket, no patch and no chance of its own."""
    sockets, threads, chance = _sockets(), set(threading.enumerate()), random.getstate()
    yield
    for thread in set(threading.enumerate()) - threads:
        if thread.name.startswith("media-cache"):
            continue  # files are made once, for all runs
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), thread
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # what a broken client leaves open is its own fault
        gc.collect()
    assert _sockets() <= sockets
    assert time.sleep is not None
    assert time.sleep.__module__ == "time"
    assert random.getstate() == chance


def _sockets() -> int:
    if not os.path.isdir("/proc/self/fd"):  # noqa: PTH112
        return 0
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))  # noqa: PTH115
        except OSError:
            continue
    return sum(each.startswith("socket:") for each in found)


# -- clients that work ------------------------------------------------------------------------------


class Blocking:
    """A client without asyncio: urllib and time.sleep."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def ask(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            self.setting.base_url + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.setting.api_key}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def generate(self, prompt: str) -> bytes:
        body = {"model": "gemini-omni-flash-text-to-video", "prompt": prompt, "duration": 6}
        task = self.ask("POST", "/v1/videos/generations", body)["id"]
        for _ in range(100):
            time.sleep(5)
            shown = self.ask("GET", f"/v1/tasks/{task}")
            if shown["status"] == "completed":
                with urllib.request.urlopen(shown["results"][0], timeout=30) as answer:
                    return bytes(answer.read())
        raise TimeoutError("it took too long")


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_async_client(jobs: int) -> None:
    """Its jobs end with their files, in virtual time; what it did is judged."""
    found = run(subject(GOOD[EVOLINK]), jobs=jobs)
    assert [(job.number, job.ended) for job in found.journal.jobs] == [(n, "returned") for n in range(1, jobs + 1)]
    assert all(job.size_bytes and 5_000 < job.ended_ms - job.started_ms < A_DAY_MS for job in found.journal.jobs)
    assert (violated(found), found.unknown_addresses, found.takes_callbacks, found.hangs) == (set(), (), True, False)
    assert found.situation == situation(EVOLINK, jobs=jobs)


@pytest.mark.parametrize(("met", "jobs"), [("no faults", 3), ("submit slow", 2), ("file slow", 1)])
def test_a_blocking_client(met: str, jobs: int) -> None:
    """Its sleeps and its waits for bytes are virtual, in a thread for each job."""
    found = run(Blocking, met, jobs=jobs)
    assert [job.ended for job in found.journal.jobs] == ["returned"] * jobs
    assert all((job.ended_ms - job.started_ms) % 1000 in range(50) for job in found.journal.jobs)
    assert violated(found) == set()
    assert not found.takes_callbacks


def test_a_blocking_clients_timeouts_are_virtual() -> None:
    """An answer that is held open for 400 s meets urllib's 30 s."""
    (job,) = run(Blocking, "poll held open").journal.jobs
    assert (job.ended, job.said.partition(";")[0]) == ("raised", "TimeoutError: timed out")
    assert job.ended_ms - job.started_ms == pytest.approx(35_000, abs=50)


class CalledBack:
    """A client that only listens."""

    closed: list[str]

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.heard: list[tuple[Mapping[str, str], bytes]] = []

    async def generate(self, prompt: str) -> bytes:
        body = {"model": "gemini-omni-video", "prompt": prompt, "resolution": "1080p", "duration": 8}
        headers = {"Authorization": f"Bearer {self.setting.api_key}"}
        async with aiohttp.ClientSession() as http:
            url = self.setting.base_url + "/api/v1/generate"
            async with http.post(url, json={**body, "callbackUrl": self.setting.callback_url}, headers=headers) as got:
                task = (await got.json())["jobId"]
            event = await self.told.get()
            assert event["jobId"] == task
            async with http.get(event["outputUrl"]) as got:
                return await got.read()

    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        wanted = hmac.new((self.setting.callback_secret or "").encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, headers.get("x-gemini-signature", "")):
            return 401
        self.told.put_nowait(json.loads(body))
        return 200


class CalledBackAsync(CalledBack):
    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        await asyncio.sleep(2)
        return self.take(headers, body)

    async def aclose(self) -> None:
        self.closed.append("aclose")


class CalledBackSync(CalledBack):
    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.loop = asyncio.get_running_loop()

    def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        time.sleep(2)
        wanted = hmac.new((self.setting.callback_secret or "").encode(), body, hashlib.sha256).hexdigest()
        assert hmac.compare_digest(wanted, headers["x-gemini-signature"])
        self.loop.call_soon_threadsafe(self.told.put_nowait, json.loads(body))
        return 200

    def close(self) -> None:
        self.closed.append("close")


@pytest.mark.parametrize(("client", "how"), [(CalledBackAsync, "aclose"), (CalledBackSync, "close")])
def test_a_client_is_called_back_and_closed(client: Any, how: str) -> None:
    """By a method that is async or not; that signatures are compared well is seen; in the end it is closed."""
    client.closed = []
    found = run(client, provider=GOOGLE, callbacks=True)
    (job,) = found.journal.jobs
    assert (job.ended, bool(job.size_bytes), found.takes_callbacks) == ("returned", True, True)
    assert [(each.outcome, each.status) for each in found.journal.deliveries] == [("acknowledged", 200)]
    assert found.journal.runner_facts is not None
    assert (found.journal.runner_facts.signed, found.journal.runner_facts.compared_in_constant_time) == (1, 1)
    assert client.closed == [how]
    assert hmac.compare_digest is COMPARE


def test_a_factory_may_be_async_and_an_object_callable() -> None:
    """Whatever gives an object with `generate`, and whatever `generate` is."""

    class Generates:
        async def __call__(self, prompt: str) -> bytes:
            await asyncio.sleep(3)
            return prompt.encode()

    class Client:
        def __init__(self) -> None:
            self.generate = Generates()

    async def made(setting: Setting) -> Client:
        await asyncio.sleep(10)
        assert (setting.callback_url, setting.callback_secret) == (None, None)
        return Client()

    (job,) = run(made).journal.jobs
    assert (job.ended, job.size_bytes, job.ended_ms - job.started_ms) == ("returned", len(job.prompt), 3000)


def test_what_a_setting_says() -> None:
    """Provider, address, key; where callbacks go, and their secret, only where they are asked for."""
    settings: list[Setting] = []

    class Client:
        def __init__(self, setting: Setting) -> None:
            settings.append(setting)

        async def generate(self, prompt: str) -> None:
            """Do nothing."""

    for callbacks in (False, True):
        run(Client, provider=GOOGLE, callbacks=callbacks)
    plain, called = settings
    assert (plain.provider, plain.api_key) == (GOOGLE, providers()[GOOGLE].key.example)
    assert plain.base_url == called.base_url == f"http://127.0.0.1:4010/{GOOGLE}"
    assert (plain.callback_url, plain.callback_secret) == (None, None)
    assert (called.callback_url, called.callback_secret) == ("http://127.0.0.1:4011/callback", "mock-webhook-secret")


def test_threads_of_a_clients_own_take_part() -> None:
    """What an async client gives to threads sleeps in virtual time."""

    class Client:
        def __init__(self, setting: Setting) -> None:
            """Need nothing."""

        async def generate(self, prompt: str) -> None:
            await asyncio.to_thread(time.sleep, 1000)

    (job,) = run(Client).journal.jobs
    assert (job.ended, job.ended_ms - job.started_ms) == ("returned", 1_000_000)


# -- clients that are broken ------------------------------------------------------------------------


class Broken:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting


class CannotBeMade(Broken):
    def __init__(self, setting: Setting) -> None:
        raise KeyError("API_KEY")


class ExitsWhenMade(Broken):
    def __init__(self, setting: Setting) -> None:
        sys.exit("no API_KEY")


class HasNoGenerate(Broken):
    generate = "a video"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "words"),
    [
        (CannotBeMade, "cannot create the client: KeyError: 'API_KEY'"),
        (ExitsWhenMade, "cannot create the client: SystemExit: no API_KEY"),
        (HasNoGenerate, "HasNoGenerate has no method `generate`"),
        (lambda _: None, "NoneType has no method `generate`"),
    ],
)
def test_one_that_cannot_be_made(client: Any, words: str) -> None:
    """The words say why."""
    with pytest.raises(SubjectError, match=words):
        run(client)


def job(client: Any, *met: str, **more: Any) -> Job:
    """Let a client do one job."""
    (only,) = run(client, *met, **more).journal.jobs
    return only


class Exits(Broken):
    async def generate(self, prompt: str) -> None:
        raise SystemExit(3)


class ExitsInAThread(Broken):
    def generate(self, prompt: str) -> None:
        sys.exit(3)


class ExitsLater(Broken):
    async def generate(self, prompt: str) -> None:
        async def leave() -> None:
            raise SystemExit(3)

        self.later = asyncio.create_task(leave())
        await asyncio.sleep(60)


@pytest.mark.slow
@pytest.mark.parametrize(("client", "ended"), [(Exits, "raised"), (ExitsInAThread, "raised"), (ExitsLater, "never")])
def test_one_that_exits_does_not_end_the_program(client: Any, ended: str) -> None:
    """Its job failed, and the words say how."""
    found = job(client)
    assert found.ended == ended
    assert "the client tried to exit the program: SystemExit(3)" in found.said


class Computes(Broken):
    async def generate(self, prompt: str) -> None:
        while True:
            pass


class ComputesDeaf(Broken):
    async def generate(self, prompt: str) -> None:
        while True:
            try:
                while True:
                    pass
            except Exception:  # noqa: BLE001 - that is the point
                continue


class ComputesInAThread(Broken):
    def generate(self, prompt: str) -> None:
        while True:
            pass


class ComputesWhenMade(Broken):
    def __init__(self, setting: Setting) -> None:
        while True:
            pass


class Turns(Broken):
    async def generate(self, prompt: str) -> None:
        while True:  # noqa: ASYNC110 - that is the point
            await asyncio.sleep(0)


@pytest.mark.slow
@pytest.mark.parametrize("client", [Computes, ComputesDeaf, ComputesInAThread, ComputesWhenMade, Turns])
def test_one_that_computes_without_end_is_given_up(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After real seconds, whatever it catches; the words say so."""
    monkeypatch.setattr(alarm, "LONGEST_RUN_S", 0.1)
    monkeypatch.setattr(alarm, "REPEAT_S", 0.05)
    found = run(client)
    (only,) = found.journal.jobs
    assert (only.ended, only.said, found.hangs) == (
        "never",
        "given up after 0.1 real seconds: the client does not yield",
        True,
    )
    assert violated(found) == {"outcome.ends"}


@pytest.mark.slow
def test_waits_for_a_busy_processor_are_not_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is given up after seconds of its own: those in which the system ran other programs do not count."""
    real_s, asked = alarm.own_s, 0

    def held_back_s() -> float:
        nonlocal asked
        asked += 1
        return 0.0 if asked <= 4 else real_s()

    monkeypatch.setattr(alarm, "LONGEST_RUN_S", 0.05)
    monkeypatch.setattr(alarm, "own_s", held_back_s)
    assert run(Turns).hangs
    assert asked > 4


def test_result_files_are_made_outside_of_virtual_time() -> None:
    """Their worker serves every run of the process: one that ends while a file is made does not stop it."""
    loop = VirtualLoop()
    with virtual_time(loop, session.START_S):
        files = session._ImmediateMediaCache()
        made = loop.run_until_complete(files.file(Shape(WAV, 1.0, 0, 0)))
        assert made.is_file()
        assert (loop.time(), loop.threads.alive) == (0, set())
    files.close()
    loop.close()


class WaitsForNobody(Broken):
    async def generate(self, prompt: str) -> None:
        await asyncio.get_running_loop().create_future()


class SleepsForEver(Broken):
    def generate(self, prompt: str) -> None:
        while True:
            time.sleep(86_400)


class SleepsDeaf(Broken):
    async def generate(self, prompt: str) -> None:
        while True:
            try:
                await asyncio.sleep(86_400)
            except asyncio.CancelledError:
                continue


@pytest.mark.slow
@pytest.mark.parametrize("client", [WaitsForNobody, SleepsForEver, SleepsDeaf])
def test_one_that_waits_without_end_is_given_up(client: Any) -> None:
    """After thirty days of virtual time, whether it hears that or not; it costs no real ones."""
    found = run(client)
    (only,) = found.journal.jobs
    assert (only.ended, found.hangs) == ("never", False)
    assert only.ended_ms - only.started_ms >= session.LONGEST_JOB_S * 1000
    assert violated(found) == {"outcome.ends"}


def test_one_that_blocks_the_loop_is_slow_and_nothing_else() -> None:
    """`time.sleep` in a coroutine moves time for all."""

    class Blocks(Broken):
        async def generate(self, prompt: str) -> bytes:
            time.sleep(50)  # noqa: ASYNC251 - that is the point
            return b""

    found = run(Blocks, jobs=2)
    assert [(each.ended, each.ended_ms - each.started_ms) for each in found.journal.jobs] == [
        ("returned", 100_000),
        ("returned", 100_000),
    ]


class Asks(Broken):
    async def generate(self, prompt: str) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                async with http.get(f"{self.setting.base_url}/v1/tasks/x") as answer:
                    await answer.read()


class AsksInAThread(Broken):
    def generate(self, prompt: str) -> None:
        while True:
            try:
                urllib.request.urlopen(f"{self.setting.base_url}/v1/tasks/x", timeout=30)
            except urllib.error.HTTPError as error:
                error.close()


@pytest.mark.slow
@pytest.mark.parametrize("client", [Asks, AsksInAThread])
def test_one_that_asks_without_waiting_is_stopped(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many requests for a job, though no time has passed."""
    monkeypatch.setattr(session, "MOST_REQUESTS_PER_JOB", 60)
    found = run(client)
    (only,) = found.journal.jobs
    assert (only.ended, only.said, found.hangs) == ("never", "stopped after 60 requests per job", False)
    assert 60 <= len(found.journal.exchanges) < 2000
    assert "outcome.ends" in violated(found)


def test_one_that_leaves_tasks_behind_leaves_nothing() -> None:
    """They end with the run: those that wait, those that do not hear, generators half way."""

    class Leaves(Broken):
        async def generate(self, prompt: str) -> bytes:
            async def numbers() -> Any:
                yield 1
                yield 2

            async def tick() -> None:
                while True:  # noqa: ASYNC110 - that is the point
                    await asyncio.sleep(1)

            self.left = [asyncio.create_task(each) for each in (tick(), asyncio.Event().wait())]
            self.numbers = numbers()
            await anext(self.numbers)
            return b"video"

    assert (job(Leaves).ended, job(Leaves).size_bytes) == ("returned", 5)


@pytest.mark.parametrize(
    ("url", "stray"),
    [
        ("http://127.0.0.1:9/v1", "127.0.0.1:9"),
        ("http://192.0.2.1/v1", "192.0.2.1:80"),
        ("http://api.example.invalid/v1", "api.example.invalid:80"),
    ],
)
@pytest.mark.parametrize("blocking", [False, True])
def test_one_that_connects_elsewhere_is_refused(url: str, stray: str, blocking: bool) -> None:
    """Nothing goes out; the address is noted, and the job has failed."""

    class Elsewhere(Broken):
        async def generate(self, prompt: str) -> bytes:
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                return await answer.read()

    class ElsewhereInAThread(Broken):
        def generate(self, prompt: str) -> bytes:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())

    found = run(ElsewhereInAThread if blocking else Elsewhere)
    assert found.unknown_addresses == (stray,)
    assert found.journal.exchanges == ()
    assert found.journal.jobs[0].ended == "raised"
    assert "in this loop" in found.journal.jobs[0].said


@pytest.mark.parametrize("value", [None, 3, "done", object(), [b"x"], {"ok": True}])
def test_one_that_returns_garbage_did_no_job(value: object) -> None:
    """A job that returns is done, whatever it returns; that there is no task behind it is seen."""

    class Returns(Broken):
        async def generate(self, prompt: str) -> object:
            return value

    found = run(Returns)
    assert (found.journal.jobs[0].ended, found.journal.jobs[0].size_bytes) == ("returned", None)
    assert violated(found) == {"outcome.success-is-real"}


@pytest.mark.parametrize("way", ["raises", "exits", "returns nothing", "never answers"])
def test_a_handler_that_is_broken(way: str) -> None:
    """It answers 500, 200 or nothing in time; the job goes on, and is followed by asking."""
    good = GOOD[GOOGLE]

    class Handles(good):  # type: ignore[valid-type, misc]
        async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> Any:
            if way == "raises":
                raise KeyError("jobId")
            if way == "exits":
                sys.exit(1)
            if way == "never answers":
                await asyncio.get_running_loop().create_future()

    found = run(subject(Handles), provider=GOOGLE, callbacks=True)
    outcomes = {each.outcome for each in found.journal.deliveries}
    assert (
        outcomes
        == {
            "raises": {"refused"},
            "exits": {"refused"},
            "returns nothing": {"acknowledged"},
            "never answers": {"timeout"},
        }[way]
    )
    assert found.journal.jobs[0].ended == "returned"


@pytest.mark.parametrize("way", ["raises", "exits", "never ends", "hears nothing"])
def test_a_close_that_fails_delays_nothing(way: str) -> None:
    """It is waited for a minute, virtually."""

    class Closes(Broken):
        async def generate(self, prompt: str) -> bytes:
            return b""

        async def aclose(self) -> None:
            if way == "raises":
                raise OSError("no")
            if way == "exits":
                sys.exit(1)
            while True:
                try:
                    await asyncio.sleep(7)
                except asyncio.CancelledError:
                    if way == "never ends":
                        raise

    assert job(Closes).ended == "returned"


def test_errors_are_said_with_what_they_came_from() -> None:
    """Up to five, the last first; what is hidden stays hidden."""

    class Raises(Broken):
        async def generate(self, prompt: str) -> None:
            raise RuntimeError("no video") from OSError("cable")

    class Hides(Broken):
        async def generate(self, prompt: str) -> None:
            try:
                open("/no/cable").close()  # noqa: ASYNC230, PTH123 - it fails
            except OSError:
                raise RuntimeError("no video") from None

    assert job(Raises).said == "RuntimeError: no video; OSError: cable"
    assert job(Hides).said == "RuntimeError: no video"


def test_a_run_beside_the_main_thread() -> None:
    """There the clock of last resort is not there, and everything else is."""
    out: list[Run] = []
    thread = threading.Thread(target=lambda: out.append(run(subject(GOOD[EVOLINK]))))
    thread.start()
    thread.join(PATIENCE_S)
    assert out[0].journal.jobs[0].ended == "returned"


# -- the same again ---------------------------------------------------------------------------------

#: What is met in runs that are compared: much at once.
MET = ("submit fails temporarily: 429 x2", "connection reset: within_body", "file truncated: once", "additional fields")
CALLED = ("callbacks in another order", "callback duplicated: x1")


def much(name: str, seed: int = 7) -> Situation:
    """Make a situation with much in it."""
    called = providers()[name].callbacks is not None
    return situation(name, *MET, *(CALLED if called else ()), jobs=4, callbacks=called, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", GOOD)
def test_the_same_seed_gives_the_same_journal(name: str) -> None:
    """Five times: every record with all its headers, bodies and instants, every job, what was seen beside."""
    first, *others = (run_situation(subject(GOOD[name]), providers()[name], much(name)) for _ in range(5))
    assert len(first.journal.exchanges) > 12
    assert len(first.journal.deliveries) > 4 or providers()[name].callbacks is None
    assert all(other == first for other in others)
    assert (
        run_situation(subject(GOOD[name]), providers()[name], much(name, seed=8)).journal.records
        != first.journal.records
    )


def digests() -> dict[str, str]:
    """Return a digest of a run at each provider."""
    found = {name: run_situation(subject(GOOD[name]), providers()[name], much(name)) for name in GOOD}
    return {
        name: hashlib.sha256(repr((each.journal.records, each.journal.jobs)).encode()).hexdigest()
        for name, each in found.items()
    }


@pytest.mark.slow
def test_another_process_gives_the_same_journal() -> None:
    """Neither hashes nor ports nor the time of day matter."""
    here = os.path.dirname(__file__)  # noqa: PTH120
    script = (
        f"import sys; sys.path[:0] = [{here!r}, {os.path.dirname(here)!r}]\n"  # noqa: PTH120
        "import json, test_in_process; print(json.dumps(test_in_process.digests()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == digests()


def test_ports_that_are_taken_do_not_matter() -> None:
    """The addresses that clients are told are of virtual time."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 4010))
            taken.listen()
        except OSError:
            pytest.skip("the port is in use")
        assert run(subject(GOOD[EVOLINK])).journal.jobs[0].ended == "returned"
        assert run(Blocking).journal.jobs[0].ended == "returned"
