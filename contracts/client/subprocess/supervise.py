"""Run a command under the supervisor, and keep the end of its output."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mockserver.launch.process import SUPERVISOR

#: The environment variable that marks the processes of one run.
RUN_ID = "CONTRACT_RUN_ID"
#: How much of the end of an output is kept.
KEPT_BYTES = 65_536
_CHUNK_BYTES = 65_536
#: How long a command has to end after TERM.
PATIENCE_S = 2.0
#: How long the supervisor needs in addition, to kill processes and to report.
_SUPERVISOR_S = 15.0
#: The supervisor is told by its own input when to stop; the command is apart from all that is ours.
_CONTROL, _PLACE = "0", "apart"


@dataclass(slots=True)
class Output:
    """The size of an output, and its end."""

    size: int = 0
    end: bytearray = field(default_factory=bytearray)

    async def take(self, stream: asyncio.StreamReader) -> None:
        """Read to the end, so that the writer never blocks."""
        while chunk := await stream.read(_CHUNK_BYTES):
            self.size += len(chunk)
            self.end += chunk
            del self.end[:-KEPT_BYTES]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended.

    `code` is its exit code, negative for a signal, None if it was killed or never ran; `not_started` says why it
    could not be started. `left` names the processes that it left running, which have been killed.
    """

    out: Output
    err: Output
    code: int | None = None
    not_started: str = ""
    stopped: bool = False
    killed: bool = False
    left: tuple[str, ...] = ()
    unsupervised: bool = False


async def supervise(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path | None,
    report: Path,
    *,
    time_limit_s: float,
    enough: asyncio.Event,
) -> Ending:
    """Run a command until it ends, its time is up, or `enough` is set. None of its processes remain."""
    if not (cwd or Path()).is_dir():
        return Ending(Output(), Output(), not_started=f"no directory {cwd}")
    try:
        supervisor = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(SUPERVISOR), str(report), str(PATIENCE_S), _CONTROL, _PLACE),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        return Ending(Output(), Output(), not_started=f"{arguments[0]}: {error.strerror}")
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    assert supervisor.stderr is not None
    out, err = Output(), Output()
    at_work = asyncio.gather(supervisor.wait(), out.take(supervisor.stdout), err.take(supervisor.stderr))
    gone = asyncio.create_task(_closed(supervisor.stdin))
    stop = asyncio.create_task(enough.wait())
    try:
        await asyncio.wait((gone, stop), timeout=time_limit_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
        if gone.done() and _ending(report, out, err).unsupervised:  # the command has killed its supervisor
            _kill_all_with(f"{RUN_ID}={environment.get(RUN_ID)}")
        supervisor.stdin.close()
        await asyncio.wait((at_work,), timeout=PATIENCE_S + _SUPERVISOR_S)
        if not at_work.done():
            at_work.cancel()
            with contextlib.suppress(ProcessLookupError):
                supervisor.kill()
            supervisor._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else closes its pipes
            await asyncio.gather(at_work, gone, return_exceptions=True)
    return _ending(report, out, err)


async def _closed(pipe: asyncio.StreamWriter) -> None:
    """Wait until the reader of a pipe has closed it."""
    with contextlib.suppress(ConnectionError):
        await pipe.wait_closed()


def _kill_all_with(mark: str) -> None:
    """Kill the processes with a mark in their environment: those of a command without a supervisor."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


def _ending(report: Path, out: Output, err: Output) -> Ending:
    try:
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Ending(out, err, unsupervised=True)
    found.pop("errno", None)
    return Ending(out, err, **{**found, "left": tuple(found.get("left", ()))})
