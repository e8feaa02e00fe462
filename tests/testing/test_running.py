"""The server in one's own process: with and without async, its handles, and what it leaves behind, which is nothing."""

from __future__ import annotations

import asyncio
import copy
import socket
import tempfile
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.edge import PROVIDERS, nothing_logged

import mockserver
from mockserver import MockServer
from mockserver.clock import MANUAL_START_MS
from mockserver.edge.server import PortInUseError
from mockserver.engine.commands import NoSuchEndError, UnknownReasonError
from mockserver.engine.task import NotHeldError, TaskEndedError
from mockserver.settings import ConfigError
from mockserver.spec.document import SpecError
from mockserver.spec.vocabulary import specs_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

from mockserver.media.cache import MediaCache
from mockserver.testing.given import GivenForProvider
from mockserver.testing.running import AsyncRunningServer, RunningServer

BODY = {"model": "gemini-omni-flash-text-to-video", "prompt": "A kite", "duration": 6}


def call(
    mock: RunningServer | AsyncRunningServer, method: str, path: str, body: Any = None, key: str | None = None
) -> tuple[int, Any]:
    """Make a request to EvoLink as a program without any library would."""
    headers = {"Authorization": f"Bearer {key or mock.key('evolink')}", "Content-Type": "application/json"}
    data = None if body is None else orjson.dumps(body)
    request = urllib.request.Request(mock.url("evolink") + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, orjson.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, orjson.loads(error.read())


def submit(mock: RunningServer | AsyncRunningServer, **fields: Any) -> str:
    """Submit a task; return its id."""
    status, answer = call(mock, "POST", "/v1/videos/generations", {**BODY, **fields})
    assert status == 200, answer
    task_id: str = answer["id"]
    return task_id


class Hook(ThreadingHTTPServer):
    """A receiver of callbacks in threads of its own."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.server_port}/hook"

    def settle(self) -> None:
        """Wait until every connection so far has been closed at this end too."""
        for thread in list(getattr(self, "_threads", ())):
            thread.join()


class Handler(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    server: Hook

    def do_POST(self) -> None:
        """Take a callback."""
        self.server.got.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A receiver."""
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# -- without async --------------------------------------------------------------------------------


def test_without_async(hook: Hook) -> None:
    """A task goes from submit to callback, and every call returns when what it causes has been done."""
    with MockServer() as mock:
        task_id = submit(mock, callback_url=hook.url)
        task = mock.task(task_id)
        assert (task.id, task.status, task.progress) == (task_id, "pending", 0)
        report = mock.clock.advance(600)
        assert (report.attempts, report.acknowledged, report.failed) == (1, 1, 0)
        assert (task.status, task.progress) == ("completed", 100)
        assert orjson.loads(hook.got[0]) == call(mock, "GET", f"/v1/tasks/{task_id}")[1]
        assert mock.clock.now_ms == MANUAL_START_MS + 600_000
        assert mock.clock.now == "2026-06-05T00:10:00.000Z"


def test_a_copy_is_the_same_server() -> None:
    """What copies, or looks for words of Python's own, meets no provider of that name, and no endless search."""
    with MockServer(only="evolink") as mock:
        assert copy.copy(mock).evolink.name == "evolink"
        assert not hasattr(mock, "__deepcopy__")
        with pytest.raises(AttributeError, match="no attribute or provider 'crun'; providers: evolink"):
            _ = mock.crun


def test_commands_without_async(hook: Hook) -> None:
    """Each command is obeyed at once, its callback included."""
    with MockServer() as mock:
        ids = [submit(mock, callback_url=hook.url) for _ in range(4)]
        mock.task(ids[0]).complete()
        mock.task(ids[1]).fail()
        mock.task(ids[2]).fail("quota_exceeded")
        mock.task(ids[3]).hold()
        mock.clock.advance(3600)
        assert mock.task(ids[3]).status == "pending"
        mock.task(ids[3]).release()
        mock.task(ids[3]).cancel()
        told = [orjson.loads(body) for body in hook.got]
        assert [(each["id"], each["status"]) for each in told] == [
            (ids[0], "completed"),
            (ids[1], "failed"),
            (ids[2], "failed"),
            (ids[3], "cancelled"),
        ]
        assert told[2]["error"]["code"] == "quota_exceeded"


def test_commands_that_cannot_be() -> None:
    """A command that makes no sense is an error that says why, and changes nothing."""
    with MockServer() as mock:
        task_id = submit(mock)
        task = mock.task(task_id)
        with pytest.raises(NotHeldError, match="is not held"):
            task.release()
        with pytest.raises(UnknownReasonError, match="has no reason 'bad luck'; it has service_error"):
            task.fail("bad luck")
        task.complete()
        for command in (task.hold, task.release, task.complete, task.fail, task.cancel):
            with pytest.raises(TaskEndedError, match="is final"):
                command()
        with pytest.raises(KeyError, match="nobody"):
            mock.task("nobody")
        assert task.status == "completed"


def test_cancel_where_there_is_none() -> None:
    """A task of a provider that knows no cancelled state cannot be cancelled."""
    with MockServer() as mock:
        state = mock.server.runtime.world.providers["toapis"]
        path = next(each.path for each in state.provider.operations.values() if each.role == "submit")
        body = orjson.dumps(next(iter(state.provider.models.values())).example)
        headers = {"Authorization": f"Bearer {mock.key('toapis')}", "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(mock.url("toapis") + path, body, headers)):
            task = mock.task(next(iter(state.tasks)))
        with pytest.raises(NoSuchEndError, match="no cancelled state"):
            task.cancel()


def test_reset_without_async() -> None:
    """A reset leaves the server as new."""
    with MockServer() as mock:
        first = submit(mock)
        mock.clock.advance(5)
        assert mock.reset() is mock
        assert len(mock.journal) == 0
        assert mock.clock.now_ms == MANUAL_START_MS
        with pytest.raises(KeyError):
            mock.task(first)
        assert submit(mock) == first


# -- with async -----------------------------------------------------------------------------------


async def test_with_async(hook: Hook) -> None:
    """The same inside an event loop: what may deliver callbacks is awaited, the rest is not."""
    async with MockServer() as mock:
        ids = [await asyncio.to_thread(submit, mock, callback_url=hook.url) for _ in range(5)]
        task = mock.task(ids[0])
        assert (task.id, task.status, task.progress) == (ids[0], "pending", 0)
        await task.complete()
        await mock.task(ids[1]).fail("unknown_error")
        await mock.task(ids[2]).cancel()
        await mock.task(ids[3]).hold()
        report = await mock.clock.advance(600)
        assert (report.attempts, report.acknowledged) == (1, 1)
        await mock.task(ids[3]).release()
        assert [orjson.loads(body)["id"] for body in hook.got] == [*ids[:3], ids[4]]
        assert mock.clock.now == "2026-06-05T00:10:00.000Z"
        with pytest.raises(TaskEndedError):
            await task.fail()
        await mock.reset()
        assert mock.clock.now_ms == MANUAL_START_MS


# -- handles --------------------------------------------------------------------------------------


def test_urls_and_keys() -> None:
    """Each provider has an address and a key that works; for one that is not served, both are errors."""
    with MockServer() as mock:
        assert mock.url("evolink") == f"http://127.0.0.1:{mock.server.port}/evolink"
        assert mock.admin_url == f"http://127.0.0.1:{mock.server.port}/__admin"
        assert call(mock, "GET", "/v1/credits")[0] == 200
        assert {mock.key(name) for name in PROVIDERS} == {
            "crun-mock-key",
            "sk-evolink-mock-key",
            "sk-toapis-mock-key",
            "gomni_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        }
        for ask in (mock.url, mock.key, mock.account):
            with pytest.raises(KeyError, match="'nobody' is not served; served: crun, evolink"):
                ask("nobody")


def test_account() -> None:
    """An account's credits, plan, secret and key can be seen and set."""
    with MockServer() as mock:
        account = mock.account("evolink")
        assert account.available_credits == 1_000_000
        account.available_credits = 0.5
        assert call(mock, "GET", "/v1/credits")[1]["data"]["token"]["remaining_credits"] == 0.5
        assert call(mock, "POST", "/v1/videos/generations", BODY)[0] == 402
        account.available_credits = 100
        assert call(mock, "POST", "/v1/videos/generations", BODY)[0] == 200
        assert account.available_credits < 100
        account.revoke()
        assert call(mock, "GET", "/v1/credits")[0] == 401
        other = mock.account("evolink", "another-key")
        assert other.id != account.id
        assert mock.account("evolink").id == account.id
        assert call(mock, "GET", "/v1/credits", key="another-key")[0] == 200


def test_keys_are_created_and_rotated() -> None:
    """A new key has an account of its own; a rotated one keeps its account, and the old key is refused."""
    with MockServer() as mock:
        created = mock.create_key("evolink")
        assert created.key != mock.key("evolink")
        assert call(mock, "GET", "/v1/credits", key=created.key)[0] == 200
        created.available_credits, old = 7, created.key
        assert created.rotate_key() == created.key != old
        assert call(mock, "GET", "/v1/credits", key=old)[0] == 401
        answer = call(mock, "GET", "/v1/credits", key=created.key)[1]
        assert answer["data"]["token"]["remaining_credits"] == 7


def test_account_plan() -> None:
    """An account's plan can be changed to any that the provider has."""
    with MockServer() as mock:
        account = mock.account("googlegeminiomni")
        assert account.plan == "pro"
        account.plan = "premium"
        assert mock.account("googlegeminiomni").plan == "premium"
        with pytest.raises(KeyError, match="platinum"):
            account.plan = "platinum"


def test_account_settles_when_it_is_looked_at() -> None:
    """The credits of an account are those of this instant, whether they were read in between or not."""
    with MockServer() as mock:
        account = mock.account("evolink")
        submit(mock)
        reserved = 1_000_000 - account.available_credits
        mock.clock.advance(3600)
        assert 0 < 1_000_000 - account.available_credits < reserved


def test_journal() -> None:
    """What went over the wire can be found, counted, gone through and written out."""
    with MockServer() as mock:
        task_id = submit(mock)
        call(mock, "GET", f"/v1/tasks/{task_id}")
        call(mock, "GET", "/v1/nothing")
        journal = mock.journal
        assert len(journal) == journal.count() == 3
        assert [record["response"]["status"] for record in journal] == [200, 200, 404]
        assert [record["operation"] for record in journal.find(task=task_id)] == ["createVideo", "getTask"]
        assert journal.count(status=404) == journal.count(gate="route") == 1
        assert journal.count(provider="crun") == 0
        assert [orjson.loads(line) for line in journal.ndjson().splitlines()] == journal.find()


# -- settings -------------------------------------------------------------------------------------


def test_defaults() -> None:
    """Without settings: any free port of this machine, a manual clock, and seed 0."""
    with MockServer() as mock, MockServer(seed=0, clock="manual", host="127.0.0.1", port=0) as same:
        assert mock.server.port != same.server.port
        assert submit(mock) == submit(same)


def test_settings() -> None:
    """Settings of the command line have the same names here; None is as good as none."""
    with MockServer(seed=7, only="evolink", credits="documented", callback_targets=None) as mock:
        assert mock.url("evolink") == f"http://127.0.0.1:{mock.server.port}"
        assert mock.server.settings.seed == 7
    with MockServer(clock="real", speed=50) as mock:
        assert mock.server.runtime.clock.speed == 50


def test_provider_settings() -> None:
    """Dialects, plans and how often tasks fail are set by provider."""
    settings: dict[str, GivenForProvider] = {
        "crun": {"dialects": ("always_200",)},
        "googlegeminiomni": {"plan": "starter"},
        "evolink": {"failure_rate": 1.0},
    }
    with MockServer(providers=settings) as mock:
        assert mock.account("googlegeminiomni").plan == "starter"
        task_id = submit(mock)
        mock.clock.advance(600)
        assert mock.task(task_id).status == "failed"
        with urllib.request.urlopen(mock.url("crun") + "/api/v1/client/account/balance") as answer:
            assert orjson.loads(answer.read())["code"] == 401


@pytest.mark.parametrize(("as_text", "alone"), [(True, True), (False, False)])
def test_own_spec(tmp_path: Path, as_text: bool, alone: bool) -> None:
    """A spec of one's own is served beside the built-in ones, or in the place of the one it is named like."""
    text = (specs_directory() / "evolink-gemini-omni-flash.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("example: sk-evolink-mock-key", "example: my-own-key"), encoding="utf-8")
    given: Any = str(path) if as_text else path
    with MockServer(specs=given if alone else [given]) as mock:
        assert mock.key("evolink") == "my-own-key"
        assert mock.url("crun")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"sped": 2}, "unknown key 'sped'; known: "),
    ({"spec": ["x.yaml"]}, "unknown key 'spec'"),
    ({"port": -1}, "port must be an integer from 0 to 65,535; got -1"),
    ({"port": 65536}, "got 65536"),
    ({"port": "4010"}, "got '4010'"),
    ({"port": True}, "got True"),
    ({"seed": -1}, "got -1"),
    ({"seed": 1.5}, "got 1.5"),
    ({"speed": "fast"}, "got 'fast'"),
    ({"clock": "cuckoo"}, "clock must be one of real, manual, auto; got 'cuckoo'"),
    ({"credits": "plenty"}, "credits must be one of"),
    ({"callback_targets": "everywhere"}, "got 'everywhere'"),
    ({"callback_workers": 0}, "got 0"),
    ({"journal_entries": 0}, "got 0"),
    ({"request_timeout_s": 0}, "got 0"),
    ({"host": ""}, "host must be a non-empty string"),
    ({"host": 7}, "host must be a non-empty string"),
    ({"builtin": "no"}, "builtin must be true or false; got 'no'"),
    ({"providers": {"evolink": {"colour": "red"}}}, "providers.evolink: unknown key 'colour'"),
    ({"providers": {"evolink": {"failure_rate": 2}}}, "got 2"),
    ({"providers": {"evolink": {"dialects": "one"}}}, "dialects must be a list of strings; got 'one'"),
]


@pytest.mark.parametrize(("settings", "words"), WRONG)
def test_wrong_settings(settings: dict[str, Any], words: str) -> None:
    """A setting that means nothing is an error at once, which says which and what would do."""
    with pytest.raises(ConfigError) as raised:
        MockServer(**settings)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"providers": {"nobody": {"failure_rate": 1}}}, "unknown provider; known: "),
        ({"providers": {"evolink": {"plan": "platinum"}}}, "plan: must be one of"),
        ({"providers": {"evolink": {"dialects": ["klingon"]}}}, "klingon"),
        ({"providers": {"nobody": {"dialects": ["klingon"]}}}, "nobody"),
        ({"only": "nobody"}, "unknown provider 'nobody'"),
        ({"speed": 60}, "speed 60 has no effect on a manual clock"),
        ({"builtin": False}, "no specs to serve"),
        ({"specs": "no/such/file.yaml"}, "no/such/file.yaml: cannot be read"),
        ({"journal": "no/such/folder/journal.ndjson"}, "no/such/folder/journal.ndjson: not writable"),
        ({"callback_ca": "no/such/ca.pem"}, "no/such/ca.pem: not a readable CA file"),
        ({"callback_ca": __file__}, "not a readable CA file"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], words: str) -> None:
    """What turns out to be wrong at the start is one error as well, with and without async, and leaves nothing."""
    threads = set(threading.enumerate())
    with pytest.raises((ConfigError, SpecError)) as raised, MockServer(**settings):
        pass
    assert words in str(raised.value)

    async def run() -> None:
        with pytest.raises((ConfigError, SpecError)):
            await MockServer(**settings).__aenter__()

    asyncio.run(run())
    assert set(threading.enumerate()) <= threads


def test_port_in_use() -> None:
    """A port in use is an error that names it, and nothing is left running."""
    threads = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} on 127.0.0.1 is already in use"), MockServer(port=port):
            pass
    assert set(threading.enumerate()) <= threads
    with MockServer(port=port) as mock:
        assert mock.server.port == port


def test_host_that_is_not_here() -> None:
    """An address that this machine has not is an error of the system's, not a hang."""
    with pytest.raises(OSError, match=r"."), MockServer(host="192.0.2.1"):
        pass


# -- several, and none ----------------------------------------------------------------------------


def test_two_at_once() -> None:
    """Two servers share nothing: not ports, tasks, accounts, clocks or journals."""
    with MockServer() as one, MockServer(seed=1) as two:
        first = submit(one)
        one.clock.advance(600)
        one.account("evolink").revoke()
        second = submit(two)
        assert first != second
        assert two.task(second).status == "pending"
        with pytest.raises(KeyError):
            two.task(first)
        assert (len(one.journal), len(two.journal)) == (1, 1)


async def test_one_within_an_event_loop() -> None:
    """Servers of both kinds run beside each other."""
    async with MockServer() as one:
        with MockServer() as two:
            assert await asyncio.to_thread(submit, one) == submit(two)
            two.clock.advance(600)
        assert one.clock.now_ms == MANUAL_START_MS


def test_used_twice() -> None:
    """A description may be started again: it gives a new server each time."""
    described = MockServer(seed=3)
    ids = []
    for _ in range(2):
        with described as mock:
            assert len(mock.journal) == 0
            ids.append(submit(mock))
    assert ids[0] == ids[1]


def test_errors_get_through() -> None:
    """An error within `with` gets through, and the server is closed all the same."""
    ports = []

    def use() -> None:
        with MockServer() as mock:
            ports.append(mock.server.port)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports[0]))


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux tells them")
def test_nothing_is_left(hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is over no thread, task, socket, file or folder is left, whatever clients still hold open."""

    def use(mock: RunningServer) -> None:
        task_id = submit(mock, callback_url=hook.url)
        mock.clock.advance(600)
        link = call(mock, "GET", f"/v1/tasks/{task_id}")[1]["results"][0]
        with urllib.request.urlopen(link) as answer:
            assert answer.read(8)

    monkeypatch.setattr("mockserver.edge.server.MediaCache", MediaCache)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with MockServer() as mock:
        use(mock)
    hook.settle()
    threads, before = set(threading.enumerate()), descriptors()
    with nothing_logged():
        with MockServer() as mock, socket.create_connection(("127.0.0.1", mock.server.port)) as idle:
            use(mock)
            assert list(tmp_path.iterdir())
            idle.sendall(b"GET /evolink/v1/credits HTTP/1.1\r\nHost: x\r\n")
        hook.settle()
        assert descriptors() == before
        assert set(threading.enumerate()) <= threads
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux tells them")
async def test_nothing_is_left_with_async(hook: Hook) -> None:
    """Inside an event loop, no task, socket or folder is left either."""

    async def run() -> None:
        before, tasks = descriptors(), asyncio.all_tasks()
        async with MockServer() as mock:
            await asyncio.to_thread(submit, mock, callback_url=hook.url)
            await mock.clock.advance(600)
        await asyncio.sleep(0)
        hook.settle()
        assert asyncio.all_tasks() == tasks
        assert descriptors() == before

    with nothing_logged():
        await run()
        await run()


def test_public_names() -> None:
    """What `from mockserver import …` gives is there, and nothing that is not."""
    assert mockserver.MockServer is MockServer
    assert mockserver.__version__
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = mockserver.Nothing
