"""Watches over one command: starts it, waits for it, and sees to it that nothing of it is left behind.

Run as a program of its own, with nothing but the standard library: `warden.py REPORT PATIENCE_S WORDS...`.
Whoever started it holds the other end of its standard input; when that closes, for whatever reason, the
command is stopped: asked to end (TERM), and after PATIENCE_S made to (KILL). Processes that the command
started and left, daemons too, come back to the warden (Linux: it is their subreaper) and are ended as well.
What came of it all is written to the file REPORT as JSON.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
#: Processes that outlive the command by no more than this are finishing.
_FINISHING_S = 0.3
_LONGEST_KILLING_S = 10.0
_LOOKS_EVERY_S = 0.05
_DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LONGEST_NAME = 80


def _prctl(option: int, value: int) -> None:
    """Set something about this process that only Linux knows."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - elsewhere it is not needed

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class _Family:
    """The command and everything that it has started."""

    def __init__(self, words: list[str]) -> None:
        self.pid = _started(words)
        #: How the command ended, as `subprocess` has it; None while it runs.
        self.code: int | None = None

    def reap(self) -> bool:
        """Take note of who has ended; tell whether anybody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return bool(self.members())
            if not pid:
                return True
            if pid == self.pid:
                self.code = os.waitstatus_to_exitcode(status)

    def members(self) -> list[int]:
        """List the processes that descend from this one; only Linux can tell."""
        parents = dict(each for each in map(_parent_of, _processes()) if each is not None)
        found = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
            found |= more
        return sorted(found - {os.getpid()})

    def signal(self, number: int) -> None:
        """Send everybody a signal."""
        for pid in (-self.pid, *self.members()):
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue


def _processes() -> list[Path]:
    root = Path("/proc")
    return [each for each in root.iterdir() if each.name.isdecimal()] if sys.platform == "linux" else []


def _parent_of(process: Path) -> tuple[int, int] | None:
    try:
        return int(process.name), int((process / "stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _name_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return str(pid)
    return " ".join(" ".join(words).split())[:_LONGEST_NAME] or str(pid)


def _started(words: list[str]) -> int:
    """Start the command in a session of its own; raise what hinders it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            for number in (*_DEAF_TO, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.execvp(words[0], words)  # noqa: S606 - running it is what this is for
        except OSError as error:
            os.write(writing, str(error.errno).encode())
        finally:
            os._exit(127)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        hindered = pipe.read()
    if hindered:
        os.waitpid(pid, 0)
        raise OSError(int(hindered), os.strerror(int(hindered)))
    return pid


def _ended_within(family: _Family, seconds: float) -> bool:
    """Wait until nobody is left, so long at most."""
    until_s = time.monotonic() + seconds
    while family.reap():
        if time.monotonic() >= until_s:
            return False
        time.sleep(_LOOKS_EVERY_S)
    return True


def _watched(words: list[str], patience_s: float) -> dict[str, Any]:
    woken, waker = os.pipe()
    for end in (woken, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        family = _Family(words)
    except OSError as error:
        return {"hindered": f"{words[0]}: {error.strerror}"}

    stopped = False
    while family.reap() and family.code is None and not stopped:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
        stopped = 0 in ready
    report: dict[str, Any] = {"stopped": stopped, "killed": False, "left": []}
    if stopped or not _ended_within(family, _FINISHING_S):
        report["left"] = [_name_of(pid) for pid in family.members() if stopped is False or _apart(pid, family.pid)]
        family.signal(signal.SIGTERM)
        until_s = time.monotonic() + _LONGEST_KILLING_S
        if not _ended_within(family, patience_s):
            report["killed"] = True
            while time.monotonic() < until_s:
                family.signal(signal.SIGKILL)
                if _ended_within(family, _LOOKS_EVERY_S):
                    break
    return {**report, "code": family.code}


def _apart(pid: int, session: int) -> bool:
    """Tell whether a process has left the command's session, as a daemon does."""
    try:
        return os.getsid(pid) != session
    except OSError:
        return False


def main() -> None:
    """Do it, and write the report."""
    report, patience_s, *words = sys.argv[1:]
    out = _watched(words, float(patience_s))
    try:
        Path(report).write_text(json.dumps(out), encoding="utf-8")
    except OSError:  # whoever wanted to know is gone, and has taken the directory along
        sys.exit(1)


if __name__ == "__main__":
    main()
