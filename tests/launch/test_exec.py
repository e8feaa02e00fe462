"""`mockserver exec`: wrong use, what it says at the end, and its exit code."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.edge import Edge, serving
from support.tables import for_each

from mockserver.cli import exec as command_line
from mockserver.cli import main
from mockserver.launch.process import Ending
from mockserver.launch.summary import summary

MOCKSERVER = str(Path(sys.executable).parent / "mockserver")
UNMET = "scenario: idle\ntimeline: []\nexpect: [{that: it asks, count: {kind: exchange}, at_least: 1}]\n"


@for_each(
    ("words", "code", "complaint"),
    {
        "no command": ((), 2, "no command: write it behind the options"),
        "only a dash": (("--",), 2, "no command: write it behind the options"),
        "not found": (("--", "no-such-program", "--port"), 127, "no-such-program: command not found"),
        "a directory": (("/tmp",), 126, "/tmp is a directory"),
        "a provider": (("--only", "nobody", "true"), 2, "nobody"),
        "a speed": (("--speed", "fast", "true"), 2, "'fast' is not a valid float"),
        "a flag": (("--host", "0.0.0.0", "true"), 2, "No such option"),
    }.values(),
)
def test_wrong_use(words: tuple[str, ...], code: int, complaint: str) -> None:
    """One line, without a traceback, and the exit code that a shell has for it."""
    done = CliRunner().invoke(main, ["exec", *words])
    assert isinstance(done.exception, SystemExit), done.exception
    assert (done.exit_code, done.stdout) == (code, "")
    assert complaint in done.stderr


def test_a_file_of_settings(tmp_path: Path) -> None:
    """A variable that is none of the mock's is refused; MOCKSERVER_URL, which `exec` itself sets, is not."""
    done = CliRunner(env={"MOCKSERVER_NONSENSE": "1"}).invoke(main, ["exec", "true"])
    assert (done.exit_code, "unknown environment variable MOCKSERVER_NONSENSE" in done.stderr) == (2, True)
    words = ["exec", "--config", str(tmp_path / "none.toml"), "true"]
    done = CliRunner(env={"MOCKSERVER_URL": "http://127.0.0.1:1"}).invoke(main, words)
    assert (done.exit_code, "none.toml: not readable" in done.stderr) == (2, True)


@pytest.mark.slow
def test_a_taken_port() -> None:
    """A port that is taken is one line, and the command does not run."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [MOCKSERVER, "exec", "--only", "evolink", "--port", str(port), "--", "echo", "ran"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"mockserver: port {port} on 127.0.0.1 is already in use\n"


@pytest.mark.slow
def test_an_interrupted_command(tmp_path: Path) -> None:
    """Ctrl-C ends the command by its signal; the end is told all the same, and nothing remains."""
    (tmp_path / "settings.toml").write_text("port = 1\n", encoding="utf-8")  # of `serve`; here it is a free one
    with subprocess.Popen(
        [MOCKSERVER, "exec", "--only", "evolink", "sh", "-c", "echo $MOCKSERVER_URL; exec sleep 300"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "MOCKSERVER_CONFIG": str(tmp_path / "settings.toml"), "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().startswith("mockserver: no request reached the mock\n")
    assert [each.name for each in tmp_path.iterdir()] == ["settings.toml"]


async def lines_of(edge: Edge, *, isolated: bool = False) -> list[str]:
    """Return what is said in the end."""
    return list(summary(edge.mock.server, isolated=isolated))


async def test_what_the_client_did() -> None:
    """Tasks by status, errors and faults by number, hosts that it was kept from; also those of sessions."""
    async with serving(clock="real", speed=1000) as edge:
        headers = edge.key_headers("evolink")
        assert (await lines_of(edge))[0] == "no request reached the mock"
        for prompt in ("a kite", "a kite mock:fail", "a kite mock:429x1", "a kite mock:429x1"):
            body = {"model": "gemini-omni-flash-text-to-video", "prompt": prompt, "duration": 6}
            await edge.call("POST", "/evolink/v1/videos/generations", json=body, headers=headers)
        await edge.call("GET", "/~other/evolink/v1/tasks/none", headers=headers)
        for host in ("a.example:443", "b.example", "a.example:443"):
            edge.mock.server.keep_from(host)
        await edge.mock.clock.advance(3600)
        assert await lines_of(edge) == [
            "5 requests reached the mock",
            "  tasks: evolink 2 completed and 1 failed",
            "  errors: 429 rate_limited, 400 invalid_request",
            "  faults: fail, error",
            "  kept from: a.example:443 (2 times), b.example",
        ]


async def test_a_client_that_never_came() -> None:
    """What helps is said, unless it was isolated already."""
    async with serving() as edge:
        assert await lines_of(edge) == [
            "no request reached the mock",
            "  a client that ignores the proxy of its environment reaches it with --isolate",
        ]
        assert await lines_of(edge, isolated=True) == ["no request reached the mock"]


async def test_many_things_are_not_all_named() -> None:
    """Ten of a kind are named, and the others counted."""
    async with serving() as edge:
        for number in range(12):
            edge.mock.server.keep_from(f"{number}.example")
        *_, last = await lines_of(edge)
        assert last.startswith("  kept from: 0.example, 1.example, ")
        assert last.endswith(", 9.example, and 2 more")


async def test_expectations_of_a_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that succeeds, and does not meet them, fails; another code is passed on."""
    (tmp_path / "idle.yaml").write_text(UNMET, encoding="utf-8")
    async with serving(scenario=str(tmp_path / "idle.yaml")) as edge:
        codes = [command_line.report(edge.mock.server, Ending(code), isolated=True) for code in (0, 3, 130)]
    assert codes == [1, 3, 130]
    assert "not met: it asks" in capsys.readouterr().err


async def test_what_is_left_and_what_did_not_start(capsys: pytest.CaptureFixture[str]) -> None:
    """Processes that were killed are named; of a command that did not start, only that is said."""
    async with serving() as edge:
        assert command_line.report(edge.mock.server, Ending(0, left=("sleep 9",)), isolated=True) == 0
        assert capsys.readouterr().err.endswith("  left running, and killed: sleep 9\n")
        assert command_line.report(edge.mock.server, Ending(126, "x cannot be run"), isolated=False) == 126
        assert capsys.readouterr().err == "mockserver: x cannot be run\n"
