"""Ctrl-C ends `contracts run` and `contracts kills` at once, workers included, and says no more than that."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

KILLS = "import sys; from contracts.cli import main; sys.argv[1:] = ['kills', '--workers', '2']; main()"


def _alive(group: int) -> dict[int, int]:
    """Return the processes of a group with the seconds they have worked; zombies are left out."""
    shown = subprocess.run(["ps", "-eo", "pgid=,pid=,cputimes=,stat="], capture_output=True, text=True, check=True)
    lines = [line.split() for line in shown.stdout.splitlines()]
    return {int(pid): int(seconds) for pgid, pid, seconds, stat in lines if pgid == str(group) and stat[0] != "Z"}


def _until(done: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    give_up_s = time.monotonic() + 60
    while not done():
        assert time.monotonic() < give_up_s
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32" or shutil.which("ps") is None, reason="there are no process groups here")
@pytest.mark.parametrize("worked_s", [0, 2])
def test_kills_is_interrupted(worked_s: int) -> None:
    """As a terminal does it, when workers are born or at work: the signal goes to every process in the group."""
    run = subprocess.Popen(
        [sys.executable, "-c", KILLS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        _until(lambda: any(s >= worked_s for pid, s in _alive(run.pid).items() if pid != run.pid))
        os.killpg(run.pid, signal.SIGINT)
        said, _ = run.communicate(timeout=100)
    except BaseException:
        os.killpg(run.pid, signal.SIGKILL)
        raise
    assert run.returncode == 1
    assert said.strip().endswith("Aborted!")
    assert "Traceback" not in said
    _until(lambda: not _alive(run.pid))


DEAF = """
import asyncio, os

class Deaf:
    def __init__(self, setting):
        self.ready = os.open({told!r}, os.O_WRONLY)

    async def generate(self, prompt):
        os.write(self.ready, b"ready")
        while True:
            try:
                {doing}
            except (asyncio.CancelledError, KeyboardInterrupt):
                if not {deaf}:
                    raise
"""
#: What a client may be at, and whether it then lets nothing disturb it.
BUSY = {"asks the loop without end": ("await asyncio.sleep(0)", True), "never lets go of it": ("pass", False)}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
@pytest.mark.parametrize("at", BUSY)
def test_run_is_interrupted(tmp_path: Path, at: str) -> None:
    """It does not matter what the client is at, nor what it catches."""
    doing, deaf = BUSY[at]
    told = tmp_path / "told"
    os.mkfifo(told)
    (tmp_path / "deaf.py").write_text(DEAF.format(told=str(told), doing=doing, deaf=deaf))
    command = [str(Path(sys.executable).parent / "contracts"), "run", "--provider", "evolink"]
    with (
        subprocess.Popen(
            [*command, "--client", "deaf.py:Deaf"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        ) as run,
        told.open("rb") as ready,
    ):
        assert ready.read(5) == b"ready"
        run.send_signal(signal.SIGINT)
        try:
            _, said = run.communicate(timeout=100)
        except subprocess.TimeoutExpired:
            run.kill()
            raise
    assert (run.returncode, said.strip()) == (1, "Aborted!")
