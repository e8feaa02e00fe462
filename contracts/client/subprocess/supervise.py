"""Runs a command under the eyes of a warden, and reads what it prints, as far as that can be kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The variable by which the processes of one run can be told.
RUN_ID = "CONTRACT_RUN_ID"
#: How much of an output is kept: its end.
KEPT_BYTES = 65_536
_CHUNK_BYTES = 65_536
#: How long a command that is asked to end has for it.
PATIENCE_S = 2.0
#: What the warden needs besides, to end whom it must and to report.
_SUPERVISOR_S = 15.0
_SUPERVISOR = Path(__file__).with_name("supervisor.py")


@dataclass(slots=True)
class Output:
    """What was printed: how much, and its end."""

    size: int = 0
    end: bytearray = field(default_factory=bytearray)

    async def take(self, stream: asyncio.StreamReader) -> None:
        """Read to the end, whatever comes, so that nobody who writes ever has to wait."""
        while chunk := await stream.read(_CHUNK_BYTES):
            self.size += len(chunk)
            self.end += chunk
            del self.end[:-KEPT_BYTES]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended.

    `code` is its exit code, negative for a signal, None where it had to be killed or never ran; `hindered` says
    why it could not be started. `left` names the processes that it left behind, which have been ended.
    """

    out: Output
    err: Output
    code: int | None = None
    hindered: str = ""
    stopped: bool = False
    killed: bool = False
    left: tuple[str, ...] = ()
    unwatched: bool = False


async def supervise(
    words: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path | None,
    report: Path,
    *,
    time_limit_s: float,
    enough: asyncio.Event,
) -> Ending:
    """Run a command until it ends, its time is up, or it is `enough`. Nothing of it is left when this returns."""
    if not (cwd or Path()).is_dir():
        return Ending(Output(), Output(), hindered=f"there is no directory {cwd}")
    try:
        supervisor = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_SUPERVISOR), str(report), str(PATIENCE_S)),
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        return Ending(Output(), Output(), hindered=f"{words[0]}: {error.strerror}")
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
        if gone.done() and _ending(report, out, err).unwatched:  # the command has ended its warden
            _end_all_with(f"{RUN_ID}={environment.get(RUN_ID)}")
        supervisor.stdin.close()
        await asyncio.wait((at_work,), timeout=PATIENCE_S + _SUPERVISOR_S)
        if not at_work.done():
            at_work.cancel()
            with contextlib.suppress(ProcessLookupError):
                supervisor.kill()
            supervisor._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else lets go of its pipes
            await asyncio.gather(at_work, gone, return_exceptions=True)
    return _ending(report, out, err)


async def _closed(pipe: asyncio.StreamWriter) -> None:
    """Wait until whoever reads from a pipe is gone."""
    with contextlib.suppress(ConnectionError):
        await pipe.wait_closed()


def _end_all_with(mark: str) -> None:
    """End the processes that have something in their environment: those of a command that nobody watches over."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


def _ending(report: Path, out: Output, err: Output) -> Ending:
    try:
        told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Ending(out, err, unwatched=True)
    return Ending(out, err, **{**told, "left": tuple(told.get("left", ()))})
