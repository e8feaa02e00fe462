"""What is made of a command's end: whether it made its video, and why not, in words for its author."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts.client.subprocess.supervise import KEPT_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from contracts.client.subprocess.supervise import Ending, Output

_MOST_LINES = 12
_MOST_CHARACTERS = 2000
_LONGEST_PATH = 4096
#: An exit code above it is a shell's way to say that a signal ended what it ran.
_SHELL_SIGNALS = 128
_UNPRINTABLE = re.compile(r"[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\U0010fffe]")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job came to, as `contracts.journal.Job` has it."""

    ended: str
    said: str
    size_bytes: int | None


def told(ending: Ending, limit: str, cwd: Path, output: Path) -> Outcome:
    """Read an ending.

    Args:
        ending: how the command ended.
        limit: what it would have gone beyond if it was stopped.
        cwd: what the name of a file that it printed is relative to.
        output: the place that it was offered for its file.
    """
    ended, how = _how(ending, limit)
    size = _size(ending.out, cwd, output) if ended == "returned" else None
    parts = [how]
    if ended != "returned":
        parts.append(_last_words(ending.err) or _last_words(ending.out))
    elif size is None:
        parts.append("standard output does not end with the name of a file")
    parts.append(_garbage(ending.out, "standard output"))
    if ending.left:
        names = ", ".join(ending.left[:3]) + (" and others" if len(ending.left) > 3 else "")
        parts.append(f"it left processes behind, which were ended: {names}")
    return Outcome(ended, "; ".join(filter(None, parts)), size)


def _how(ending: Ending, limit: str) -> tuple[str, str]:
    if ending.hindered:
        return "raised", f"cannot be started: {ending.hindered}"
    if ending.unwatched:
        return "raised", "killed together with what watched over it"
    if ending.stopped:
        deaf = " with KILL, since it did not end when it was asked to (TERM)" if ending.killed else ""
        return "never", f"had not ended after {limit}, and was stopped{deaf}"
    code = ending.code or 0
    if code < 0:
        return "raised", f"crashed: ended by {_signal_name(-code)}"
    if code > 0:
        by_signal = _signal_name(code - _SHELL_SIGNALS) if code > _SHELL_SIGNALS else ""
        crashed = f" (which is what shells say after {by_signal})" if by_signal.startswith("SIG") else ""
        return "raised", f"exit code {code}{crashed}"
    return "returned", ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _text(output: Output) -> str:
    return _COLOURS.sub("", output.end.decode(errors="replace"))


def _last_words(output: Output) -> str:
    lines = [line.strip() for line in _text(output).splitlines() if line.strip()]
    text = " / ".join(lines[-_MOST_LINES:])
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)[-_MOST_CHARACTERS:]


def _garbage(output: Output, name: str) -> str:
    """Say so if what was printed is not for anybody to read."""
    text = _text(output)
    if output.size > KEPT_BYTES:
        return f"{name} was {output.size:,} bytes, of which the last {KEPT_BYTES:,} were looked at"
    if "\N{REPLACEMENT CHARACTER}" in text or _UNPRINTABLE.search(text):
        return f"{name} is garbage: {output.size:,} bytes that are no text"
    return ""


def _size(out: Output, cwd: Path, output: Path) -> int | None:
    """Find the file that was made, and its size: named in the last line, or put where it was offered a place."""
    lines = _text(out).rstrip().splitlines()
    for place in (lines[-1].strip() if lines else "", str(output)):
        try:
            if place and len(place) < _LONGEST_PATH and (cwd / place).is_file():
                return (cwd / place).stat().st_size
        except (OSError, ValueError):
            continue
    return None
