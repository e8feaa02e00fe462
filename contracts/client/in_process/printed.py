"""What a client prints: kept by job, and off the terminal."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from contextvars import ContextVar

#: The number of the job that runs here; 0 if none does.
JOB: ContextVar[int] = ContextVar("job", default=0)
#: How much of the end of a job's output is kept.
_KEPT_CHARACTERS = 20_000


class Printed(io.TextIOBase):
    """A stream that keeps what is written to it, by job."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[int, str] = {}

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Keep a text."""
        job = JOB.get()
        self._texts[job] = (self._texts.get(job, "") + text)[-_KEPT_CHARACTERS:]
        return len(text)

    def texts(self) -> dict[int, str]:
        """Return what was written, by job."""
        return dict(self._texts)


@contextlib.contextmanager
def captured() -> Iterator[Printed]:
    """Keep what is printed meanwhile."""
    printed = Printed()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        yield printed
