"""A scenario in force: started with the server, over HTTP and by a file that is watched; what it changes and leaves."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.edge import PATIENCE_S, Edge, Received, nothing_logged, receiving, run_on, serving

from mockserver import MockServer, cli
from mockserver.clock import MANUAL_START_MS
from mockserver.edge import watch
from mockserver.edge.build import providers_of
from mockserver.edge.server import Server
from mockserver.scenarios.read import of_data, read
from mockserver.settings import ConfigError, Settings
from mockserver.spec.document import SpecError
from mockserver.terminal import banner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mockserver.scenarios.read import Scenario

MOCKSERVER = str(Path(sys.executable).parent / "mockserver")
REFUSING = "scenario: refusing\ntimeline:\n  - fault: error\n    with: {status: 503}\n    where: {operation: submit}\n"
LATE = "scenario: late\ntimeline:\n  - fault: overdue\n    with: {by_s: 1000}\n"
NO_SUBMIT = "expect:\n  - that: nothing is submitted\n    count: {operation: submit}\n    at_most: 0\n"


def scenario(*faults: str, **words: Any) -> Scenario:
    """Make a scenario of some faults."""
    return of_data({"scenario": "made", "timeline": [{"fault": fault} for fault in faults], **words})


def in_force(edge: Edge, session: str | None = None) -> list[str]:
    """Return the faults in force, of the scenario and others."""
    mock = edge.mock if session is None else edge.mock.session(session)
    return [rule.fault.name for rule in mock.runtime.world.faults.rules.values()]


def tasks(edge: Edge) -> list[str]:
    """Return the ids of EvoLink's tasks."""
    return list(edge.state("evolink").tasks)


# -- starting -------------------------------------------------------------------------------------


async def test_a_start_makes_a_new_world() -> None:
    """A scenario starts in a world as new: no tasks, accounts, faults or journal, the clock where it began."""
    async with serving() as edge:
        await edge.submit("evolink")
        edge.mock.evolink.slow_down(0)
        await edge.advance(100)
        active = await edge.mock.runtime.start_scenario(scenario("fail", "overdue"))
        assert tasks(edge) == []
        assert edge.state("evolink").accounts == {}
        assert len(edge.mock.journal) == 0
        assert in_force(edge) == ["fail", "overdue"]
        assert active.started_ms == edge.mock.clock.now_ms == MANUAL_START_MS


async def test_a_start_takes_the_scenarios_seed() -> None:
    """Everything is drawn from the scenario's seed, and from the server's own where it names none."""
    async with serving(seed=5) as of_five, serving(seed=6) as edge:
        first = await of_five.submit("evolink")
        own = await edge.submit("evolink")
        assert first != own
        await edge.mock.runtime.start_scenario(scenario(seed=5))
        assert await edge.submit("evolink") == first
        await edge.mock.runtime.start_scenario(scenario())
        assert await edge.submit("evolink") == own
        await edge.mock.runtime.start_scenario(scenario(seed=5))
        await edge.mock.reset()
        assert await edge.submit("evolink") == own


async def test_a_start_sets_the_clock_and_the_accounts() -> None:
    """The clock runs as the scenario says, and accounts are there with what they hold before anybody asks."""
    async with serving() as edge:
        account = {"provider": "evolink", "available_credits": 0.5}
        await edge.mock.runtime.start_scenario(scenario(clock={"speed": 100_000}, accounts=[account]))
        assert (await edge.admin("GET", "/clock")).json["speed"] == 100_000
        assert (await edge.try_submit("evolink")).status == 402
        await edge.mock.runtime.start_scenario(scenario(accounts=[{"provider": "evolink", "revoked": True}]))
        assert (await edge.admin("GET", "/clock")).json["speed"] == 0
        assert (await edge.try_submit("evolink")).status == 401


async def test_what_cannot_start_changes_nothing() -> None:
    """A scenario that names what is not served leaves the world, its tasks and the running scenario as they were."""
    async with serving() as edge:
        runtime = edge.mock.runtime
        active = await runtime.start_scenario(scenario("overdue"))
        task_id = await edge.submit("evolink")
        with pytest.raises(SpecError, match="unknown fault 'nothing'"):
            await runtime.start_scenario(scenario("nothing"))
        with pytest.raises(SpecError, match="unknown fault 'nothing'"):
            runtime.change_scenario(scenario("nothing"))
        assert runtime.active_scenario is active
        assert in_force(edge) == ["overdue"]
        assert tasks(edge) == [task_id]


async def test_words_that_do_not_go_together_change_nothing() -> None:
    """Nor does one whose words are good each by itself, and mean nothing together."""
    with nothing_logged():
        timeline = [
            {"fault": "overdue"},
            {"fault": "stuck", "with": {"state": "pending"}, "where": {"provider": "toapis"}},
        ]
        wrong = {"scenario": "wrong", "timeline": timeline}
        async with serving() as edge:
            runtime = edge.mock.runtime
            active = await runtime.start_scenario(scenario("latency"))
            for change in (runtime.start_scenario, runtime.change_scenario):
                with pytest.raises(SpecError, match="ToAPIs has no state 'pending'"):
                    await change(of_data(wrong))  # type: ignore[misc]  # the second raises before there is anything to await
            reply = await edge.admin("POST", "/scenarios", {"scenario": wrong})
            assert (reply.status, reply.json["error"]["code"]) == (400, "invalid_body")
            assert runtime.active_scenario is active
            assert in_force(edge) == ["latency"]


async def test_no_request_sees_the_new_world_without_its_faults() -> None:
    """Whatever comes in while a scenario is being started meets the old world, or the new one with its faults."""
    reached, hold = asyncio.Event(), asyncio.Event()

    async def receive(_: Received) -> int:
        reached.set()
        await hold.wait()
        return 200

    async with serving(clock="real", speed=1000) as edge, receiving(receive) as receiver:
        await edge.submit("evolink", callback_url=receiver.url())
        await reached.wait()
        refusing = scenario(*["error"] * 2)
        start = asyncio.create_task(edge.mock.runtime.start_scenario(refusing))
        replies = await asyncio.gather(*(edge.try_submit("evolink") for _ in range(20)))
        await start
        hold.set()
        assert {reply.status for reply in replies} <= {200, 503}
        assert tasks(edge) == []


async def test_two_starts_at_once() -> None:
    """Of two scenarios that are started at once the last one is in force, and nothing of the other."""
    async with serving() as edge:
        runtime = edge.mock.runtime
        await asyncio.gather(
            runtime.start_scenario(scenario("fail")), runtime.reset(), runtime.start_scenario(scenario("stuck"))
        )
        assert in_force(edge) == ["stuck"]
        assert runtime.active_scenario is not None
        assert [rule.fault.name for rule in runtime.active_scenario.rules] == ["stuck"]


async def test_a_start_in_a_session_that_was_dropped() -> None:
    """A start that comes too late for its session starts nothing that would go on."""
    async with serving() as edge:
        runtime = edge.mock.session("a").runtime
        await edge.mock.session("a").drop()
        before = asyncio.all_tasks()
        await runtime.start_scenario(scenario("fail"))
        assert asyncio.all_tasks() == before


# -- changing, stopping, starting over ------------------------------------------------------------


async def test_a_stop_leaves_what_has_come_of_it() -> None:
    """A stop takes the scenario's faults away and no others; tasks, their course and the clock stay."""
    async with serving() as edge:
        active = await edge.mock.runtime.start_scenario(scenario("fail", "error"))
        by_hand = edge.mock.evolink.fail_next()
        assert (await edge.try_submit("evolink")).status == 503
        await edge.admin("DELETE", f"/faults/{active.rules[1].id}")
        failing = await edge.submit("evolink")
        stopped = edge.mock.runtime.stop_scenario()
        assert stopped is not None
        assert [rule.hits for rule in stopped.rules] == [1, 1]
        assert in_force(edge) == ["fail"]
        assert list(edge.mock.runtime.world.faults.rules) == [by_hand.id]
        assert edge.mock.runtime.stop_scenario() is None
        assert edge.mock.runtime.scenario_record() is None
        await edge.advance(300)
        assert edge.mock.task(failing).status == "failed"


async def test_a_change_keeps_the_world() -> None:
    """A scenario that takes another's place finds its tasks, and counts its seconds from when the first began."""
    async with serving() as edge:
        runtime = edge.mock.runtime
        await runtime.start_scenario(scenario("overdue"))
        task_id = await edge.submit("evolink")
        await edge.advance(60)
        later = of_data({"scenario": "b", "timeline": [{"fault": "error", "at_s": 90}]})
        assert runtime.change_scenario(later).started_ms == MANUAL_START_MS
        assert in_force(edge) == ["error"]
        assert tasks(edge) == [task_id]
        assert (await edge.query("evolink", task_id)).status == 200
        await edge.advance(29.999)
        assert (await edge.query("evolink", task_id)).status == 200
        await edge.advance(0.001)
        assert (await edge.query("evolink", task_id)).status == 503
        record = runtime.scenario_record()
        assert record is not None
        assert (record["scenario"], record["elapsed_s"]) == ("b", 90)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_change_of_pace_is_felt_at_once(loop: str) -> None:
    """Where a changed scenario makes the clock run faster, callbacks that are on their way come sooner."""

    async def run() -> None:
        told = asyncio.Event()

        async def receive(_: Received) -> int:
            told.set()
            return 200

        async with serving(clock="real", speed=0.001) as edge, receiving(receive) as receiver:
            await edge.submit("evolink", callback_url=receiver.url())
            for _ in range(5):  # turns of the loop, in which the dispatcher comes to rest
                await edge.admin("GET", "/health")
            edge.mock.runtime.change_scenario(scenario(clock={"speed": 100_000}))
            await asyncio.wait_for(told.wait(), PATIENCE_S)

    run_on(loop, run())


async def test_a_reset_ends_it() -> None:
    """/__admin/reset ends a scenario; forgetting the journal alone does not."""
    async with serving() as edge:
        assert (await edge.admin("POST", "/scenarios", {"scenario": "everything_fails"})).status == 200
        await edge.admin("POST", "/reset", {"what": "journal"})
        assert (await edge.admin("GET", "/scenarios")).json["running"]["scenario"] == "everything fails"
        await edge.admin("POST", "/reset", {"what": "all"})
        assert (await edge.admin("GET", "/scenarios")).json["running"] is None
        assert in_force(edge) == []


async def test_each_session_has_its_own() -> None:
    """A scenario is in force in the world it was started in, and in no other; each is judged by its own journal."""
    async with serving() as edge:
        expect = [{"that": "no submit", "count": {"operation": "submit"}, "at_most": 0}]
        body = {"scenario": {"scenario": "a", "timeline": [{"fault": "fail"}], "expect": expect}}
        for session in ("one", "two"):
            reply = await edge.admin("POST", "/scenarios", body, **{"X-Mock-Session": session})
            assert reply.json["running"]["scenario"] == "a"
        path = edge.path_of("evolink", "submit")
        headers = {**edge.key_headers("evolink"), "X-Mock-Session": "one"}
        example = next(iter(edge.provider("evolink").models.values())).example
        assert (await edge.call("POST", path, headers=headers, json=example)).status == 200
        assert (in_force(edge), in_force(edge, "one"), in_force(edge, "two")) == ([], ["fail"], ["fail"])
        verdicts = [
            (await edge.admin("GET", "/scenarios", **{"X-Mock-Session": name})).json["running"]["expect"][0]["kept"]
            for name in ("one", "two")
        ]
        assert verdicts == [False, True]
        assert (await edge.admin("GET", "/scenarios")).json["running"] is None
        await edge.admin("DELETE", "/scenarios", **{"X-Mock-Session": "one"})
        assert (in_force(edge, "one"), in_force(edge, "two")) == ([], ["fail"])


# -- a file that is watched -----------------------------------------------------------------------


@contextmanager
def told() -> Iterator[list[str]]:
    """Collect what the mock logs."""
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    keeper, logger = Keeper(), logging.getLogger("mockserver")
    logger.addHandler(keeper)
    try:
        yield lines
    finally:
        logger.removeHandler(keeper)


def test_a_stamp_tells_of_changes(tmp_path: Path) -> None:
    """A file's stamp changes with what stands in it, and with being there at all."""
    file = tmp_path / "day.yaml"
    assert watch.stamp(file) is None
    file.write_text(REFUSING)
    first = watch.stamp(file)
    assert first is not None
    assert watch.stamp(file) == first
    file.write_text(REFUSING + NO_SUBMIT)
    assert watch.stamp(file) != first
    os.utime(file, ns=(0, 0))
    assert watch.stamp(file) == (0, len(REFUSING + NO_SUBMIT))
    assert watch.stamp(file / "below") is None


BREAKS: dict[str, Callable[[Path], object]] = {
    "a mistake": lambda file: file.write_text(LATE.replace("overdue", "overdu")),
    "no YAML": lambda file: file.write_text(LATE + "]"),
    "nothing": lambda file: file.write_text(""),
    "no text": lambda file: file.write_bytes(b"\xff\xfe"),
    "no file": Path.unlink,
    "a directory": lambda file: (file.rename(file.with_name("gone")), (file.with_name("folder")).rename(file)),
}


@pytest.mark.parametrize("what", BREAKS)
async def test_a_watched_file(tmp_path: Path, what: str) -> None:
    """What changes in the file is put in force; a break is told with file and line and changes nothing; a repair is."""
    file = tmp_path / "day.yaml"
    file.write_text(REFUSING)
    (tmp_path / "folder").mkdir()
    async with serving() as edge:
        runtime = edge.mock.runtime
        await runtime.start_scenario(read(file))
        assert (await edge.try_submit("evolink")).status == 503
        file.write_text(LATE)
        with told() as lines:
            assert watch.reload(file, runtime)
        assert lines == ["scenario 'late' reloaded"]
        task_id, active = await edge.submit("evolink"), runtime.active_scenario
        BREAKS[what](file)
        with told() as lines:
            assert not watch.reload(file, runtime)
        (line,) = lines
        assert re.match(rf"{re.escape(str(file))}(:\d+)?: .+\nthe previous scenario stays", line), line
        assert (runtime.active_scenario, in_force(edge), tasks(edge)) == (active, ["overdue"], [task_id])
        if file.is_dir():
            file.rmdir()
        file.write_text(REFUSING)
        with told():
            assert watch.reload(file, runtime)
        assert in_force(edge) == ["error"]
        assert tasks(edge) == [task_id]


async def test_the_watch_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch looks only when the file has changed, and goes on after a break, a deletion and a repair."""
    file = tmp_path / "day.yaml"
    file.write_text(REFUSING)
    deeds: list[Callable[[], object]] = [
        lambda: None,
        lambda: file.write_text(LATE),
        lambda: None,
        lambda: file.write_text("scenario: [\n"),
        file.unlink,
        lambda: None,
        lambda: file.write_text(LATE.replace("late", "later")),
    ]
    seen: list[str] = []

    async def sleep(_: float) -> None:
        assert edge.mock.runtime.active_scenario is not None
        seen.append(edge.mock.runtime.active_scenario.scenario.name)
        if not deeds:
            raise asyncio.CancelledError
        deeds.pop(0)()

    async with serving() as edge:
        await edge.mock.runtime.start_scenario(read(file))
        monkeypatch.setattr(watch, "asyncio", type("Quick", (), {"sleep": staticmethod(sleep)}))
        with told() as lines, pytest.raises(asyncio.CancelledError):
            await watch.watch(file, edge.mock.runtime)
        assert seen == ["refusing", "refusing", *["late"] * 5, "later"]
        assert [line.partition(" ")[0] for line in lines] == ["scenario", f"{file}:2:", f"{file}:", "scenario"]


def test_watching_nothing() -> None:
    """To watch without a scenario is a mistake, and said so."""
    with pytest.raises(ConfigError, match="requires a scenario file"), MockServer(watch=True):
        pass


# -- the command ----------------------------------------------------------------------------------


def ended(settings: Settings, use: Callable[[Server], Any], monkeypatch: pytest.MonkeyPatch) -> int:
    """Serve as the command does, use the server, then end it by a signal; return the exit code."""

    async def run() -> int:
        up, start = asyncio.get_running_loop().create_future(), Server.start

        async def started(*arguments: Any) -> Server:
            server = await start(*arguments)
            up.set_result(server)
            return server

        monkeypatch.setattr(Server, "start", started)
        serving_ = asyncio.create_task(cli._serve(settings, providers_of(settings)))
        await use(await up)
        os.kill(os.getpid(), signal.SIGTERM)
        return await serving_

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("expect", "use", "code", "report"),
    [
        ("", "submit", 0, "scenario refusing, 0 s of mock time\n  error: 1 hit\n"),
        (NO_SUBMIT, "nothing", 0, "  error: 0 hits\n  met: nothing is submitted\n"),
        (NO_SUBMIT, "submit", 1, "  error: 1 hit\n  not met: nothing is submitted (1, expected at most 0)\n"),
        (NO_SUBMIT, "stop", 0, ""),
        (NO_SUBMIT, "reset", 0, ""),
    ],
)
def test_the_exit_code_is_the_verdict(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    expect: str,
    use: str,
    code: int,
    report: str,
) -> None:
    """A server in a scenario ends with a report; its exit code says whether all that was expected was kept."""
    file = tmp_path / "day.yaml"
    file.write_text(REFUSING + expect)

    async def used(server: Server) -> None:
        runtime = server.runtime
        if use != "nothing":
            state = runtime.world.providers["evolink"]
            submit = next(each for each in state.provider.operations.values() if each.role == "submit")
            example = next(iter(state.provider.models.values())).example
            headers = {"Authorization": f"Bearer {state.provider.key.example}", "Content-Type": "application/json"}
            url = f"{runtime.base_urls['evolink']}{submit.path}"
            request = urllib.request.Request(url, json.dumps(example).encode(), headers)
            with pytest.raises(urllib.error.HTTPError) as refused:
                await asyncio.to_thread(urllib.request.urlopen, request)
            refused.value.close()
        if use == "stop":
            runtime.stop_scenario()
        if use == "reset":
            await runtime.reset()

    with nothing_logged():
        settings = Settings(port=0, clock="manual", scenario=str(file))
        assert ended(settings, used, monkeypatch) == code
    banner, _, rest = capsys.readouterr().out.partition("stop with Ctrl-C\n")
    assert f"scenario {file} is active" in banner
    assert rest.endswith(report)
    assert bool(rest) == bool(report)


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `serve` as a process; give it, and its address."""
    command = [MOCKSERVER, "serve", "--port", "0", "--clock", "manual", "--only", "evolink", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stderr is not None
    try:
        address = ""
        for line in running.stdout:
            found = re.search(r"listening on (http://\S+)", line)
            address = found[1] if found else address
            if line.startswith("stop with"):
                break
        assert address, running.stderr.read()
        yield running, address
    finally:
        if running.poll() is None:
            running.kill()
        running.wait()
        running.stdout.close()
        running.stderr.close()


def running_scenario(address: str) -> Any:
    """Ask a process how its scenario goes."""
    with urllib.request.urlopen(f"{address}/__admin/scenarios", timeout=300) as answer:
        return json.load(answer)["running"]


@pytest.mark.slow
def test_serve_in_a_scenario_of_the_gallery() -> None:
    """`serve --scenario NAME` starts in it, and on SIGTERM reports and ends with 0: nothing that was expected broke."""
    with process("--scenario", "everything_fails") as (running, address):
        assert running_scenario(address)["scenario"] == "everything fails"
        running.send_signal(signal.SIGTERM)
        out, errors = running.communicate(timeout=300)
    assert (running.returncode, errors) == (0, "")
    assert out == (
        "scenario everything fails, 0 s of mock time\n"
        "  fail: 0 hits\n"
        "  met: submits of an account are at least a second apart\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("clock", "speed", "words"), [("real", 0, "only on command"), ("manual", 90, "runs at 90x")])
async def test_the_banner_tells_of_the_scenarios_seed_and_pace(
    tmp_path: Path, clock: str, speed: int, words: str
) -> None:
    """What a scenario sets is what the banner and the control plane say, whatever the flags were."""
    file = tmp_path / "day.yaml"
    file.write_text(f"{REFUSING}seed: 7\nclock: {{speed: {speed}}}\n")

    async with serving(scenario=str(file), seed=3, clock=clock) as edge:
        text = banner(edge.mock.server)
        assert "(seed 7)" in text
        assert "seed 3" not in text
        assert words in text
        assert (await edge.admin("GET", "/version")).json["seed"] == 7


@pytest.mark.slow
def test_serve_watches_a_file(tmp_path: Path) -> None:
    """A running server takes over what changes in its scenario's file, and keeps what it had where that is broken."""
    file = tmp_path / "day.yaml"
    file.write_text(REFUSING)
    with process("--scenario", str(file), "--watch") as (running, address):
        assert running.stderr is not None
        give_up = time.monotonic() + PATIENCE_S
        assert running_scenario(address)["scenario"] == "refusing"
        file.write_text(LATE)
        while running_scenario(address)["scenario"] != "late":
            assert time.monotonic() < give_up
        file.write_text(LATE.replace("overdue", "overdu"))
        complaint = ""
        while "stays in force" not in complaint:
            ready, _, _ = select.select([running.stderr], [], [], give_up - time.monotonic())
            assert ready
            complaint += os.read(running.stderr.fileno(), 65536).decode()
        assert f"{file}:3: timeline/0/fault: unknown fault 'overdu'; did you mean 'overdue'?" in complaint
        assert "Traceback" not in complaint
        assert running_scenario(address)["scenario"] == "late"
        file.write_text(REFUSING + "expect:\n  - {that: one is submitted, count: {operation: submit}, at_least: 1}\n")
        while running_scenario(address)["scenario"] != "refusing":
            assert time.monotonic() < give_up
        running.send_signal(signal.SIGTERM)
        out, _ = running.communicate(timeout=300)
    assert running.returncode == 1
    assert "  not met: one is submitted (0, expected at least 1)\n" in out


def refused(*arguments: str) -> list[str]:
    """Run `serve` to its end, which comes at once, with exit code 2; return what it complains of."""
    command = [MOCKSERVER, "serve", "--port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    return done.stderr.splitlines()


@pytest.mark.slow
def test_serve_refuses_a_bad_file(tmp_path: Path) -> None:
    """Each mistake of a scenario's file is a line with the file and the line it stands on, and exit code 2."""
    file = tmp_path / "day.yaml"
    file.write_text(REFUSING.replace("error", "eror").replace("scenario:", "scenaro:"))
    assert [line.partition(" (")[0] for line in refused("--scenario", str(file))] == [
        f"mockserver: {file}:1: missing required key `scenario`",
        f"{file}:1: scenaro: unknown key: scenaro",
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_day", "no_such_day: not a file or a built-in scenario (built-in: black_friday, "),
        ("", "scenario must be a non-empty string"),
        ("FOLDER", "cannot be read: Is a directory"),
        ("x" * 300, "cannot be read: File name too long"),
    ],
)
def test_what_is_no_scenario_to_start_in(tmp_path: Path, name: str, words: str) -> None:
    """A name of nothing, a directory and a path that cannot be are told in words, and the port is let go."""
    with pytest.raises((SpecError, ConfigError)) as raised, MockServer(scenario=name.replace("FOLDER", str(tmp_path))):
        pass
    assert words in str(raised.value)
