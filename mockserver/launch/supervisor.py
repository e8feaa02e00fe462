"""Supervise one command: start it, wait for it, and leave none of its processes running.

A separate program that needs only the standard library: `supervisor.py REPORT PATIENCE_S CONTROL PLACE COMMAND...`. Its
parent holds the other end of the file descriptor CONTROL. A byte that arrives there is the number of a signal, which
is passed on. When it closes, for whatever reason, the command is stopped: with TERM, and after PATIENCE_S with KILL.
Processes that the command leaves behind, daemons included, become children of the supervisor (on Linux it is their
subreaper) and are killed as well. The result is written to REPORT, a path or a file descriptor, as JSON.

PLACE is where the command runs: `apart` in a session of its own, without input, deaf to no signal; otherwise with the
input and the ignored signals of the supervisor: in a process `group` of its own, or in that which is `shared` with
the supervisor, as a program in the foreground of a terminal needs it.
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
#: Processes that outlive the command by no more than this are still finishing.
_FINISHING_S = 0.3
_LONGEST_KILLING_S = 10.0
_CHECK_EVERY_S = 0.05
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LONGEST_NAME = 80


def _prctl(option: int, value: int) -> None:
    """Set an attribute of this process that only Linux has."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - not needed elsewhere

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def end_with_parent() -> None:
    """Let this process be killed when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _ProcessTree:
    """The command and all processes that it has started."""

    def __init__(self, arguments: list[str], place: str, ignored: set[int]) -> None:
        self.pid = _start(arguments, place, ignored)
        #: What a signal is sent to: the command's process group, as `os.kill` has it, or the command alone.
        self.target = self.pid if place == "shared" else -self.pid
        #: The command's exit code as in `subprocess`; None while it runs.
        self.code: int | None = None

    def reap(self) -> bool:
        """Collect processes that have ended; tell whether any are left."""
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
        """List the descendants of this process; empty except on Linux."""
        parents = dict(each for each in map(_parent_of, _processes()) if each is not None)
        found = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
            found |= more
        return sorted(found - {os.getpid()})

    def signal(self, number: int) -> None:
        """Send a signal to all of them."""
        for pid in (self.target, *self.members()):
            _kill(pid, number)

    def pass_on(self, number: int) -> None:
        """Send a signal to the command, unless it has ended."""
        if self.code is None:
            _kill(self.target, number)


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError, ValueError):
        return


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


def _start(arguments: list[str], place: str, ignored: set[int]) -> int:
    """Start the command; raise OSError if it cannot be started."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if place == "apart":
                os.setsid()
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                ignored = set()
            elif place == "group":
                os.setpgid(0, 0)
            end_with_parent()
            for number in {*_IGNORED, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD} - ignored:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execvp(arguments[0], arguments)  # noqa: S606 - running it is the purpose
        except OSError as error:
            os.write(writing, str(error.errno).encode())
        finally:
            os._exit(127)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        errno = pipe.read()
    if errno:
        os.waitpid(pid, 0)
        raise OSError(int(errno), os.strerror(int(errno)))
    return pid


def _ended_within(tree: _ProcessTree, seconds: float) -> bool:
    """Wait until no process is left, so long at most; tell whether none is."""
    until_s = time.monotonic() + seconds
    while tree.reap():
        if time.monotonic() >= until_s:
            return False
        time.sleep(_CHECK_EVERY_S)
    return True


def _supervise(arguments: list[str], patience_s: float, control: int, place: str) -> dict[str, Any]:
    woken, waker = os.pipe()
    for end in (woken, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    ignored = {int(number) for number in _IGNORED if signal.getsignal(number) == signal.SIG_IGN}
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    os.set_inheritable(control, False)
    try:
        tree = _ProcessTree(arguments, place, ignored)
    except OSError as error:
        return {"not_started": f"{arguments[0]}: {error.strerror}", "errno": error.errno}

    stopped = False
    while tree.reap() and tree.code is None and not stopped:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
        if control in ready:
            numbers = os.read(control, 64)
            for each in numbers:
                tree.pass_on(each)
            stopped = not numbers
    report: dict[str, Any] = {"stopped": stopped, "killed": False, "left": []}
    if stopped or not _ended_within(tree, _FINISHING_S):
        report["left"] = [_name_of(pid) for pid in tree.members() if stopped is False or _apart(pid, tree.pid)]
        tree.signal(signal.SIGTERM)
        until_s = time.monotonic() + _LONGEST_KILLING_S
        if not _ended_within(tree, patience_s):
            report["killed"] = True
            while time.monotonic() < until_s:
                tree.signal(signal.SIGKILL)
                if _ended_within(tree, _CHECK_EVERY_S):
                    break
    return {**report, "code": tree.code}


def _apart(pid: int, session: int) -> bool:
    """Tell whether a process has left the command's session, like a daemon."""
    try:
        return os.getsid(pid) != session
    except OSError:
        return False


def main() -> None:
    """Supervise a command, and write the report."""
    report, patience_s, control, place, *arguments = sys.argv[1:]
    if report.isdecimal():
        os.set_inheritable(int(report), False)
    out = _supervise(arguments, float(patience_s), int(control), place)
    try:
        with open(int(report) if report.isdecimal() else report, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(out, file)
    except OSError:  # the parent is gone, and its directory with it
        sys.exit(1)


if __name__ == "__main__":
    main()
