"""How a job ended: whether the command made its video, and if not why, from its exit code and output."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from contracts.client.output import telling_lines
from contracts.client.subprocess.supervise import KEPT_BYTES, Ending, Output

_MOST_LINES = 12
_MOST_CHARACTERS = 2000
_LONGEST_PATH = 4096
#: A shell reports a program that was ended by a signal with an exit code above this.
_SHELL_SIGNALS = 128
_UNPRINTABLE = re.compile(r"[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\U0010fffe]")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job, in the terms of `contracts.journal.Job`."""

    ended: str
    said: str
    size_bytes: int | None


def outcome_of(ending: Ending, limit: str, cwd: Path, output: Path) -> Outcome:
    """Turn the end of a command into an outcome.

    Args:
        ending: how the command ended.
        limit: the limit that stopped it, if it was stopped.
        cwd: the directory that a printed file name is relative to.
        output: the path that was offered for its file.
    """
    ended, reason = _how(ending, limit)
    size = _size(ending.out, cwd, output) if ended == "returned" else None
    parts = [reason]
    if ended != "returned":
        parts.append(_last_lines(ending.err) or _last_lines(ending.out))
    elif size is None:
        parts.append("standard output does not end with a file name")
    parts.append(_unreadable(ending.out, "standard output"))
    if ending.left:
        names = ", ".join(ending.left[:3]) + (" and others" if len(ending.left) > 3 else "")
        parts.append(f"it left processes running, which were killed: {names}")
    return Outcome(ended, "; ".join(filter(None, parts)), size)


def _how(ending: Ending, limit: str) -> tuple[str, str]:
    if ending.not_started:
        return "raised", f"cannot be started: {ending.not_started}"
    if ending.unsupervised:
        return "raised", "killed together with its supervisor"
    if ending.stopped:
        killed = " with KILL, because it ignored TERM" if ending.killed else ""
        return "never", f"had not ended after {limit}, and was stopped{killed}"
    code = ending.code or 0
    if code < 0:
        return "raised", f"crashed: ended by {_signal_name(-code)}"
    if code > 0:
        by_signal = _signal_name(code - _SHELL_SIGNALS) if code > _SHELL_SIGNALS else ""
        crashed = f" (a shell's code for {by_signal})" if by_signal.startswith("SIG") else ""
        return "raised", f"exit code {code}{crashed}"
    return "returned", ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def text_of(output: Output) -> str:
    """Return the end of an output, without colours."""
    return _COLOURS.sub("", output.end.decode(errors="replace"))


def _last_lines(output: Output) -> str:
    """Return the last line that tells the error, and then those before it."""
    *before, last = telling_lines(text_of(output))[-_MOST_LINES:] or [""]
    text = last[:_MOST_CHARACTERS]
    if before:
        text += f" (before it: {' / '.join(before)[-_MOST_CHARACTERS:]})"
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _unreadable(output: Output, name: str) -> str:
    """Say so if an output is too long, or not text."""
    text = text_of(output)
    if output.size > KEPT_BYTES:
        return f"{name} was {output.size:,} bytes, of which the last {KEPT_BYTES:,} were read"
    if "\N{REPLACEMENT CHARACTER}" in text or _UNPRINTABLE.search(text):
        return f"{name} is not text: {output.size:,} bytes"
    return ""


def _size(out: Output, cwd: Path, output: Path) -> int | None:
    """Find the file that was made, and its size: named in the last line, or at the path that was offered."""
    lines = text_of(out).rstrip().splitlines()
    for place in (lines[-1].strip() if lines else "", str(output)):
        try:
            if place and len(place) < _LONGEST_PATH and (cwd / place).is_file():
                return (cwd / place).stat().st_size
        except (OSError, ValueError):
            continue
    return None
