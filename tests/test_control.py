"""The terminal of a server that runs: its log, and the commands that ask and move it."""

from __future__ import annotations

import json
import logging
import tomllib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from mockserver import DISTRIBUTION, MockServer
from mockserver.cli import main, request_log
from mockserver.cli.request_log import RequestLog
from mockserver.demo import Job, print_table
from mockserver.terminal import banner

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-a-key-that-is-secret"
pyproject = Path(__file__).parent.parent / "pyproject.toml"
FAILING = "http://127.0.0.1:9/hook"


@pytest.fixture
def log_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make logs as `serve` has them, and leave the logger as it was."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    made: list[RequestLog] = []

    def make(mock: Any) -> RequestLog:
        made.append(RequestLog(mock.server))
        return made[-1]

    level = logging.getLogger("mockserver").level
    yield make
    for each in made:
        each.close()
    logging.getLogger("mockserver").setLevel(level)


def submit(mock: Any, *, session: str | None = None, key: str = KEY, **body: Any) -> str:
    """Submit a job that has a callback; return its task's id."""
    import httpx

    headers = {"Authorization": f"Bearer {key}", **({"X-Mock-Session": session} if session else {})}
    given = {"model": "gemini-omni-flash-text-to-video", "prompt": "a kite", "duration": 6, **body}
    answer = httpx.post(f"{mock.url('evolink')}/v1/videos/generations?key={key}", json=given, headers=headers)
    return str(answer.json().get("id"))


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what is on standard error since the last time, without the time of day."""
    return [line.partition("  ")[2] for line in capsys.readouterr().err.splitlines()]


def test_the_log_has_a_line_for_each_request_and_callback(log_of: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """With provider, status, path, task, its state then, what went wrong, faults and session; no key, no colours."""
    with MockServer(only="evolink") as mock:
        log = log_of(mock)
        task = submit(mock, callback_url=FAILING)
        submit(mock, duration=600)
        mock.evolink.refuse_next(503)
        submit(mock)
        submit(mock, session="mine")
        log.print_new()
        path = "POST /v1/videos/generations?key=[key of"
        first, second, third, fourth = said(capsys)
        assert first.startswith(f"evolink  200  {path}")
        assert first.endswith(f"  {task}  pending")
        assert second.startswith(f"evolink  400  {path}")
        assert second.endswith("  invalid_request")
        assert third.startswith(f"evolink  503  {path}")
        assert third.endswith("  unavailable  fault: error")
        assert fourth.endswith("  pending  session mine")
        log.print_new()
        assert said(capsys) == []
        mock.clock.advance(100)
        log.print_new()
        callbacks = said(capsys)
        assert callbacks
        attempt = f"evolink  ---  callback completed to {FAILING}  {task}  unreachable "
        assert [each[: len(attempt)] for each in callbacks] == [attempt] * len(callbacks)
        assert KEY not in f"{first}{second}{third}{fourth}"


@pytest.mark.parametrize(
    ("settings", "statuses"),
    [({}, [200, 503]), ({"log_level": "warning"}, [503]), ({"log_level": "error"}, []), ({"quiet": True}, [])],
)
def test_levels(settings: dict[str, Any], statuses: list[int], log_of: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """All requests at info, failures at warning, none at error; as JSON, each is an object."""
    with MockServer(only="evolink", log_format="json", **settings) as mock:
        log = log_of(mock)
        submit(mock)
        mock.evolink.refuse_next(503)
        submit(mock)
        log.print_new()
        logging.getLogger("mockserver").warning("something to know")
        records = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        warned = [each for each in records if each.get("message") == "something to know"]
        assert [each["status"] for each in records if "status" in each] == statuses
        assert warned == ([] if settings.get("log_level") == "error" or settings.get("quiet") else warned[:1])
        assert {each["level"] for each in records} <= {"info", "warning"}
        if statuses == [200, 503]:
            assert records[0]["task"]
            assert (records[0]["state"], records[0]["kind"], records[1]["faults"]) == ("pending", "exchange", ["error"])


def test_more_than_can_be_read_is_counted(
    log_of: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many lines at once, the first are printed."""
    monkeypatch.setattr(request_log, "MOST_LINES", 2)
    with MockServer(only="evolink") as mock:
        log = log_of(mock)
        for _ in range(5):
            submit(mock)
        log.print_new()
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 3
        assert lines[-1] == "… 3 more requests and callbacks"


def command(mock: Any, *arguments: str, **environment: str) -> tuple[int, list[str]]:
    """Run a command for a server; return its exit code and its lines."""
    done = CliRunner().invoke(main, [arguments[0], "--url", mock.server.root_url, *arguments[1:]], env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output.splitlines()


def test_tasks_requests_and_advance() -> None:
    """What a server does, and its time, from another terminal."""
    with MockServer(only="evolink") as mock:
        assert command(mock, "tasks") == (0, [])
        task = submit(mock, callback_url=FAILING)
        ((line,)) = command(mock, "tasks")[1]
        assert f"evolink  {task}  pending  0 %  ends at " in line
        code, (told,) = command(mock, "advance", "100")
        assert (code, "callbacks: 4 attempted, 0 acknowledged" in told) == (0, True), told
        assert f"{task}  completed  100 %" in command(mock, "tasks", "--status", "completed")[1][0]
        assert command(mock, "tasks", "--status", "pending") == (0, [])
        lines = command(mock, "requests")[1]
        assert len(lines) == 1 + 4
        assert lines[1].endswith(f"callback completed to {FAILING}  {task}  " + lines[1].rpartition(f"{task}  ")[2])
        records = [json.loads(each) for each in command(mock, "requests", "--json", "--task", task)[1]]
        assert [each["kind"] for each in records] == ["exchange", *["delivery"] * 4]
        assert command(mock, "requests", "--session", "other") == (0, [])
        assert json.loads(command(mock, "tasks", "--json")[1][0])["id"] == task


def test_following_shows_each_change_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task is shown again when its state has changed; Ctrl-C ends it."""
    with MockServer(only="evolink") as mock:
        task = submit(mock)
        waits = iter((0, 10, 0, 100))

        def wait(_seconds: float) -> None:
            moved = next(waits, None)
            if moved is None:
                raise KeyboardInterrupt
            mock.clock.advance(moved)

        monkeypatch.setattr("mockserver.cli.control.time.sleep", wait)
        code, lines = command(mock, "tasks", "--follow")
        assert code == 0
        assert [line.split("  ")[3] for line in lines] == ["pending", "processing", "completed"]
        assert all(task in line for line in lines)


@pytest.mark.parametrize("name", ["tasks", "requests", "advance"])
def test_wrong_use(name: str) -> None:
    """One line, without a traceback, whatever is wrong."""
    words = [name, "1"] if name == "advance" else [name]
    with MockServer(only="evolink", admin_token="secret-token") as mock:
        assert command(mock, *words) == (
            1,
            [f"mockserver: the server at {mock.server.root_url} requires its admin token: --admin-token"],
        )
        assert command(mock, *words, "--admin-token", "secret-token")[0] == 0
        done = CliRunner().invoke(main, [*words, "--url", "https://here"])
        assert (done.exit_code, "must begin with http://" in done.output) == (2, True)
        code, (line,) = command(mock, *words, "--session", "not a name", "--admin-token", "secret-token")
        assert (code, "a session name must be" in line) == (1, True)
    done = CliRunner().invoke(main, [*words, "--url", "http://127.0.0.1:9"])
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "no server answers at http://127.0.0.1:9" in done.output


def test_clips_of_a_fixed_length_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can encode, the banner says how long every clip is, and what changes that."""
    with MockServer(only="evolink") as mock:
        assert "every clip" not in banner(mock.server)
        monkeypatch.setattr("mockserver.media.encode.has_encoder", lambda: False)
        assert "every clip lasts 2 s, whatever is asked for; pip install" in banner(mock.server)
    with pyproject.open("rb") as file:
        assert tomllib.load(file)["project"]["name"] == DISTRIBUTION


@pytest.mark.parametrize(("columns", "tables"), [(160, 1), (80, 5)])
def test_the_demo_breaks_no_name(
    columns: int, tables: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a terminal is too narrow for one table, each job has its own."""
    console = partial(Console, width=columns)
    monkeypatch.setattr("rich.console.Console", lambda **given: console(**{**given, "width": columns}))
    with MockServer() as mock:
        jobs = [Job(each, next(iter(each.models.values()))) for each in mock.server.providers]
        for job in jobs:
            job.task_id = submit(mock)
        print_table(jobs, mock.server)
    shown = capsys.readouterr().out
    assert all(job.model.name in shown and job.provider.title in shown for job in jobs)
    assert shown.count("┌") + shown.count("┏") == (1 if tables == 1 else len(jobs))
