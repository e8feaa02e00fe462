"""A command in the foreground: exit codes, signals, its terminal, and that nothing of it remains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.tables import for_each

from mockserver.launch.process import Ending, start_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DRIVER = (sys.executable, str(Path(__file__).with_name("driver.py")))
PATIENCE_S = 60.0
#: Counts its signals until its input ends or TERM comes; says when it is ready.
COUNTS = """
import signal, sys, time
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append("INT"))
signal.signal(signal.SIGUSR1, lambda *_: seen.append("USR1"))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{' '.join(seen)} TERM"))
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "tell":
        print(*seen, "told", flush=True)
time.sleep(60)
"""


def run(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*DRIVER, *command], input=given, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command, in a session without a terminal, until the end of the block."""
    process = subprocess.Popen(
        [*DRIVER, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    """Read the next line of its output."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def told(process: subprocess.Popen[str]) -> list[str]:
    """Ask what signals it has seen."""
    assert process.stdin is not None
    process.stdin.write("tell\n")
    process.stdin.flush()
    return line_of(process).split()[:-1]


@pytest.mark.slow
@for_each(
    ("script", "code"), {"success": ("exit 0", 0), "failure": ("exit 7", 7), "signal": ("kill -TERM $$", 143)}.values()
)
def test_exit_codes(script: str, code: int) -> None:
    """The exit code is passed on: of a command that a signal ended, as a shell has it."""
    done = run("sh", "-c", script)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.slow
def test_input_and_output() -> None:
    """The command has the input and both outputs."""
    done = run("sh", "-c", "cat; echo aside >&2", given="from here\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "from here\n", "aside\n")


def test_commands_that_cannot_be_started(tmp_path: Path) -> None:
    """One line says why, and the code is that of a shell: 127 where there is none, 126 where it cannot be run."""
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n", encoding="utf-8")
    assert start_problem(["sh", "-c", "exit"], os.environ["PATH"]) is None
    assert start_problem(["no-such"], os.environ["PATH"]) == Ending(127, "no-such: command not found")
    assert start_problem(["./no-such"], None) == Ending(127, "./no-such: command not found")
    assert start_problem([str(plain)], None) == Ending(126, f"{plain} is not executable")
    assert start_problem([str(tmp_path)], None) == Ending(126, f"{tmp_path} is a directory")


@pytest.mark.slow
def test_a_script_without_its_interpreter(tmp_path: Path) -> None:
    """It is there, but what would run it is not; the same for a program that is none."""
    script, broken = tmp_path / "script", tmp_path / "broken"
    script.write_text("#!/no/such/shell\n", encoding="utf-8")
    broken.write_bytes(b"\x7fELF and no more")
    for path in (script, broken):
        path.chmod(0o755)
    done = run(str(script))
    assert (done.returncode, done.stdout) == (126, "")
    assert done.stderr == f"{script} cannot be run: the program that its first line names was not found\n"
    assert run(str(broken)).returncode == 126


@pytest.mark.slow
def test_signals_are_passed_on() -> None:
    """To the command, once, whether this program or its whole group is sent one; it ends as the command does."""
    with running(sys.executable, "-c", COUNTS) as process:
        assert line_of(process) == "ready"
        sends: tuple[Callable[[], object], ...] = (
            lambda: process.send_signal(signal.SIGINT),
            lambda: os.killpg(process.pid, signal.SIGINT),
            lambda: process.send_signal(signal.SIGUSR1),
        )
        for number, send in enumerate(sends, 1):
            send()
            while len(told(process)) < number:
                pass
        assert told(process) == ["INT", "INT", "USR1"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 1
        assert process.stderr is not None
        assert process.stderr.read() == "INT INT USR1 TERM\n"


@pytest.mark.slow
def test_ignored_signals() -> None:
    """A signal that this program was told to ignore is ignored by the command as well, and the others are not."""
    shown = "import signal; print(signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGTERM))"
    deaf = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *DRIVER, sys.executable, "-c", shown]
    done = subprocess.run(deaf, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert done.stdout == "1 0\n"


@pytest.mark.slow
def test_a_terminal() -> None:
    """The command has the terminal: it reads from it, and Ctrl-C interrupts it once."""
    in_terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    command = [sys.executable, "-c", in_terminal, *DRIVER, sys.executable, "-c", COUNTS]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said = b""

        def until(word: bytes) -> None:
            nonlocal said
            while word not in said:
                read = os.read(process.stdout.fileno(), 1000)  # type: ignore[union-attr]
                assert read, said
                said += read

        until(b"ready")
        process.stdin.write(b"\x03")
        until(b"^C")
        process.stdin.write(b"tell\n")
        until(b"told")
        assert b"INT told" in said
        assert b"INT INT" not in said
        process.kill()


def is_there(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and is not collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def ends(pid: int) -> bool:
    """Wait for the end of a process that is not ours."""
    until_s = time.monotonic() + PATIENCE_S
    while is_there(pid):
        if time.monotonic() > until_s:
            return False
        time.sleep(0.02)
    return True


FAMILY = "sleep 300 & echo $!; (setsid sleep 300 & echo $!); echo $$; "


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_no_child_outlives_its_parent() -> None:
    """Where this program is killed, the command is too, and all that it has started, daemons included."""
    for kill in (os.kill, os.killpg):
        with running("sh", "-c", f"{FAMILY} wait") as process:
            pids = [int(line_of(process)) for _ in range(3)]
            assert all(map(is_there, pids))
            kill(process.pid, signal.SIGKILL)
            assert all(map(ends, pids))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_nothing_is_left_running() -> None:
    """What the command leaves behind is killed, and named."""
    done = run("sh", "-c", f"{FAMILY} exit 3")
    assert done.returncode == 3
    assert done.stderr.split() == ["sleep", "300", "sleep", "300"]
    assert not any(is_there(int(pid)) for pid in done.stdout.split())
