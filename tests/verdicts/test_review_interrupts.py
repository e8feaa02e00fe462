"""Ctrl-C ends `contracts kills` at once, workers included, and says no more than that."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

KILLS = "import sys; from contracts.cli import main; sys.argv[1:] = ['kills', '--workers', '2']; main()"


def _alive(group: int) -> list[str]:
    """List the processes of a group, dead ones that nobody has waited for left out."""
    shown = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    lines = [line.split(None, 2) for line in shown.splitlines()]
    return [line[2] for line in lines if line[0] == str(group) and not line[1].startswith("Z")]


@pytest.mark.skipif(sys.platform == "win32" or shutil.which("ps") is None, reason="there are no process groups here")
@pytest.mark.parametrize("after_s", [2.0, 5.0])
def test_kills_is_interrupted(after_s: float) -> None:
    """As a terminal does it: the signal goes to everybody in the group."""
    run = subprocess.Popen(
        [sys.executable, "-c", KILLS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    time.sleep(after_s)
    os.killpg(run.pid, signal.SIGINT)
    try:
        said, _ = run.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        raise
    assert run.returncode == 1
    assert said.strip().endswith("Aborted!")
    assert "Traceback" not in said
    until_s = time.monotonic() + 10
    while (left := _alive(run.pid)) and time.monotonic() < until_s:
        time.sleep(0.1)
    assert not left
