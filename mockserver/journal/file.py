"""The journal's file: NDJSON, appended to; it survives a full disk, and a file that is rotated or deleted."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

_LOG = logging.getLogger("mockserver")
#: How long a file that cannot be written is left alone, and how often that is said again, in wall seconds.
RETRY_S = 1.0
SAID_AGAIN_S = 60.0
#: What waits to be written while it cannot be; beyond that the oldest is lost, which is said.
MOST_WAITING_BYTES = 64_000_000


def _is_torn(path: Path) -> bool:
    """Tell whether a file ends within a line, as after a crash."""
    try:
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END) > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
    except OSError:  # a pipe or a device has no end to look at
        return False


class JournalFile:
    """Appends to a file; what cannot be written waits."""

    def __init__(self, path: Path, wall_s: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._wall_s = wall_s
        self._file = path.open("ab", buffering=0)
        self._waiting = bytearray(b"\n" if _is_torn(path) else b"")
        self._retry_s = self._said_again_s = float("-inf")
        self._lost_bytes = 0
        #: What was lost from the beginning.
        self.lost_bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """How many bytes could not be written yet."""
        return len(self._waiting)

    def append(self, content: bytes) -> None:
        """Append whole lines, after those that wait."""
        self._waiting += content
        if len(self._waiting) > MOST_WAITING_BYTES:
            self._drop_oldest()
        if self._wall_s() >= self._retry_s:
            self._write()

    def _drop_oldest(self) -> None:
        too_many = len(self._waiting) - MOST_WAITING_BYTES
        end = self._waiting.find(b"\n", too_many) + 1 or len(self._waiting)
        self._lost_bytes += end
        self.lost_bytes += end
        del self._waiting[:end]

    def _write(self) -> None:
        try:
            self._follow()
            while self._waiting:
                written = self._file.write(self._waiting)
                del self._waiting[: written or 0]
        except OSError as error:
            self._retry_s = self._wall_s() + RETRY_S
            self._say(error)
            return
        if self._said_again_s != float("-inf"):
            self._said_again_s = float("-inf")
            lost = f"; {self._lost_bytes} bytes are lost" if self._lost_bytes else ""
            _LOG.warning("the journal file is written again%s", lost)
            self._lost_bytes = 0

    def _say(self, error: OSError) -> None:
        if self._wall_s() >= self._said_again_s + SAID_AGAIN_S:
            self._said_again_s = self._wall_s()
            _LOG.error("cannot write the journal file (%s); %d bytes wait", error.strerror, len(self._waiting))

    def _follow(self) -> None:
        """Open the file again where its name stands for another file, or for none."""
        own = os.fstat(self._file.fileno())
        try:
            there = self._path.stat()
        except FileNotFoundError:
            self.reopen()
            return
        if (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino):
            self.reopen()

    def reopen(self) -> None:
        """Open the file again.

        Raises:
            OSError: it cannot be opened; the old one is still open.
        """
        new = self._path.open("ab", buffering=0)
        old, self._file = self._file, new
        with contextlib.suppress(OSError):
            old.close()

    def close(self) -> None:
        """Try once more what waits, and close."""
        self._write()
        with contextlib.suppress(OSError):
            self._file.close()
