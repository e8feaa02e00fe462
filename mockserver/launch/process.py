"""Runs a command in the foreground, under the supervisor, with this program's terminal, input, output and signals.

Where there is a terminal, the command shares its process group with this program: the terminal stops, continues and
interrupts both, so what comes from there is not passed on once more. Elsewhere the command has a group of its own,
and every signal is passed on to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SUPERVISOR = Path(__file__).with_name("supervisor.py")
#: How long what a command leaves running has to end after TERM.
PATIENCE_S = 2.0
#: A shell's exit codes: of a command that is not there, one that cannot be run, and one that a signal ended.
NOT_FOUND, NOT_EXECUTABLE, BY_SIGNAL = 127, 126, 128
#: `si_code` of a signal that the kernel sends: one of the terminal.
_BY_KERNEL = 0x80


class Ending(NamedTuple):
    """How a command ended: its exit code, as a shell has it, what is wrong where it did not start, what it left."""

    code: int
    problem: str = ""
    left: tuple[str, ...] = ()


def start_problem(arguments: Sequence[str], path: str | None) -> Ending | None:
    """Say why a command cannot be started, as far as that is known before; None where it may."""
    program = arguments[0]
    if shutil.which(program, path=path) is not None:
        return None
    if os.path.dirname(program) and Path(program).exists():  # noqa: PTH120 - as the system finds programs
        what = "is a directory" if Path(program).is_dir() else "is not executable"
        return Ending(NOT_EXECUTABLE, f"{program} {what}")
    return Ending(NOT_FOUND, f"{program}: command not found")


class Signals:
    """The signals that this process is sent, from now on: for the command, not for this process."""

    def __init__(self) -> None:
        passed_on = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
        # What was ignored from the start stays so, for the command too: `nohup`, jobs of a script.
        self._numbers = [each for each in passed_on if signal.getsignal(each) != signal.SIG_IGN]
        self._lock = threading.Lock()
        self._control: int | None = None
        self.is_shared = _has_terminal()
        #: The first signal before there was a command to send it to; 0 for none.
        self.early = 0
        signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)

    def start(self) -> None:
        """Take the signals, in a thread: also those that have come meanwhile."""
        if self._numbers:
            threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def pass_on_to(self, control: int | None) -> None:
        """Write signals to a supervisor's control; with None, drop them."""
        with self._lock:
            self._control = control

    def _wait(self) -> None:
        while True:
            number, by_kernel = self._next()
            with self._lock:
                if self._control is None:
                    self.early = self.early or number
                elif not (self.is_shared and by_kernel):
                    with contextlib.suppress(OSError):
                        os.write(self._control, bytes((number,)))

    def _next(self) -> tuple[int, bool]:
        """Wait for a signal; tell whether it comes from the terminal."""
        if not hasattr(signal, "sigwaitinfo"):  # macOS: what a terminal sends is taken to come from one
            number = signal.sigwait(self._numbers)
            return number, number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
        found = signal.sigwaitinfo(self._numbers)
        return found.si_signo, found.si_code == _BY_KERNEL


def _has_terminal() -> bool:
    """Tell whether a terminal can send signals to this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def run_command(arguments: Sequence[str], environment: Mapping[str, str], signals: Signals) -> Ending:
    """Run a command to its end; none of its processes remain, even where this one is killed."""
    if signals.early:
        return Ending(BY_SIGNAL + signals.early)
    report, report_end = os.pipe()
    control_end, control = os.pipe()
    try:
        try:
            supervisor = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(SUPERVISOR), str(report_end), str(PATIENCE_S), str(control_end)),
                *("shared" if signals.is_shared else "group", *arguments),
                env=dict(environment),
                pass_fds=(report_end, control_end),
                start_new_session=not signals.is_shared,
            )
        finally:
            os.close(report_end)
            os.close(control_end)
        signals.pass_on_to(control)
        content = await asyncio.to_thread(_all_of, report)
        await supervisor.wait()
    finally:
        signals.pass_on_to(None)
        os.close(report)
        os.close(control)
    return _ending(arguments, json.loads(content) if content else {}, environment.get("PATH"))


def _all_of(descriptor: int) -> bytes:
    """Read to the end: that of the supervisor."""
    return b"".join(iter(lambda: os.read(descriptor, 4096), b""))


def _ending(arguments: Sequence[str], report: Mapping[str, Any], path: str | None) -> Ending:
    number = report.get("errno")
    if number is not None:
        problem = start_problem(arguments, path)
        if problem is not None:
            return problem
        # It was found: what was not is the program in its first line.
        why = "the program that its first line names was not found" if number == errno.ENOENT else os.strerror(number)
        return Ending(NOT_EXECUTABLE, f"{arguments[0]} cannot be run: {why}")
    code = report.get("code")
    if code is None:
        return Ending(BY_SIGNAL + signal.SIGKILL, "the supervisor of the command was killed, and the command with it")
    return Ending(BY_SIGNAL - code if code < 0 else code, left=tuple(report["left"]))
