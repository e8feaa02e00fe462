"""What a client printed: its end, by job, and the line that tells the error."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: How many lines of a job's output are shown.
MOST_LINES = 20
#: Lines of a stack trace, and others that say nothing about the error.
_FRAMES = re.compile(
    r"^\s*(at .+|File \".+\", line \d+.*|[~^]+|[{}\]),;]+|Node\.js v[\d.]+|goroutine \d+ .*|exit status \d+"
    r"|Traceback \(most recent call last\):|\S+\.go:\d+.*|npm (ERR!|error).*)\s*$"
)


def telling_lines(text: str) -> list[str]:
    """Return the lines that tell something, or all lines if none does; the last one tells the most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [line for line in lines if not _FRAMES.match(line)] or lines


def ends_of(output: Mapping[int, str]) -> tuple[tuple[int, str], ...]:
    """Return the last lines of each job's output; job 0 is what belongs to none."""
    cut = ((job, "\n".join(text.rstrip().splitlines()[-MOST_LINES:])) for job, text in sorted(output.items()))
    return tuple((job, text) for job, text in cut if text)
