"""`mockserver record` as a process: its journal, its signals and what it says at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = (sys.executable, "-m", "mockserver", "record", "--provider", "evolink", "--yes")
#: Nothing listens there.
NOWHERE = ("--upstream", "http://127.0.0.1:9")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110 - a device
def test_a_journal_that_cannot_be_written(tmp_path: Path) -> None:
    """It is said, with exit code 1."""
    client = """
import os, urllib.error, urllib.request
try:
    urllib.request.urlopen(os.environ["MOCKSERVER_URL"] + "/evolink/v1/credits")
except urllib.error.HTTPError as answer:
    assert answer.code == 502
"""
    ran = subprocess.run(
        [*COMMAND, *NOWHERE, "--ca-dir", str(tmp_path), "--journal", "/dev/full", "--", sys.executable, "-c", client],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, "not all in /dev/full" in ran.stderr) == (1, True), ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it(number: signal.Signals, tmp_path: Path) -> None:
    """From the moment it says where it listens: with its last words, and exit code 0."""
    with subprocess.Popen(
        [*COMMAND, *NOWHERE, "--ca-dir", str(tmp_path), "--journal", str(tmp_path / "journal.ndjson")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "Ctrl-C ends it" in process.stdout.readline()
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, "0 exchanges (0 submits)" in said) == (0, True), said
