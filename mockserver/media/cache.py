"""Keeps result files: each shape is encoded once, in a thread beside the event loop.

`MediaCache` is the main type.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from mockserver.media.encode import MediaCacheClosedError, encoder_folder, write_file
from mockserver.media.shape import Shape

#: Writes the file of a shape to a path; stops early once the event is set.
Encoder = Callable[[Shape, Path, threading.Event], None]

_MTIME_S: Final = 1_704_067_200  # 2024-01-01T00:00:00Z
_NAME: Final = re.compile(
    r"(?:(?:video-[0-9]+x[0-9]+|audio)-[0-9]+ms|image-[0-9]+x[0-9]+|file|content-[0-9a-f]+)\.[a-z0-9-]+"
)


class MediaCache:
    """The result files of a server, encoded one at a time by one thread.

    Safe in any event loop and thread. `_kept` lists names from the least to the most recently used. The lock
    guards `_kept` and `_encoding`; no file is written while it is held.
    """

    def __init__(self, directory: Path | None = None, *, most_kept: int = 64, encode: Encoder | None = None) -> None:
        """Keep files in `directory`, or in a temporary one that `close` removes.

        Files of an earlier run in `directory` are used again. They are kept in a folder named after the encoder,
        so that a new encoder does not serve old bytes.
        """
        if most_kept < 1:
            raise ValueError(f"most_kept must be at least 1, not {most_kept}")
        self._most_kept = most_kept
        self._encode = encode or write_file
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._kept: dict[str, None] = {}
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="mockserver-media-", ignore_cleanup_errors=True)
            self._directory = Path(self._temporary.name)
        else:
            self._directory = directory / encoder_folder()
            self._directory.mkdir(parents=True, exist_ok=True)
            names = sorted(path.name for path in self._directory.iterdir())
            self._kept.update((name, None) for name in names if _NAME.fullmatch(name))
        self._encoding: dict[str, Future[Path]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="media-cache")

    async def file(self, shape: Shape) -> Path:
        """Return the file of this shape; wait until it is encoded.

        Cancelling the wait does not cancel the encoding. An encoding error is raised to every waiting caller;
        the next call tries again.
        """
        found = self._find_or_encode(shape)
        if isinstance(found, Path):
            return found
        await _finished(found)
        return _result(found)

    def file_now(self, shape: Shape) -> Path:
        """Return the file of this shape; block until it is encoded."""
        found = self._find_or_encode(shape)
        return found if isinstance(found, Path) else _result(found)

    def _find_or_encode(self, shape: Shape) -> Path | Future[Path]:
        name = shape.file_name
        with self._lock:
            if self._closing.is_set():
                raise MediaCacheClosedError
            path = self._directory / name
            if name in self._kept:
                del self._kept[name]
                if path.is_file():
                    self._kept[name] = None
                    return path
            encoding = self._encoding.get(name)
            if encoding is None:
                encoding = self._encoding[name] = self._worker.submit(self._put_in_cache, shape)
            return encoding

    def close(self) -> None:
        """Stop the worker, wait for it, and remove the temporary directory.

        A running encoding stops at its next step. This blocks until then: call it through `asyncio.to_thread` in
        an event loop.
        """
        with self._lock:
            self._closing.set()
        self._worker.shutdown(wait=True, cancel_futures=True)
        if self._temporary is not None:
            self._temporary.cleanup()

    def _put_in_cache(self, shape: Shape) -> Path:
        """Encode the file in a separate folder, then move it into place (in the worker)."""
        name = shape.file_name
        path = self._directory / name
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may have been deleted
            with tempfile.TemporaryDirectory(dir=self._directory, prefix="encoding-") as folder:
                encoded = Path(folder) / name
                self._encode(shape, encoded, self._closing)
                os.utime(encoded, (_MTIME_S, _MTIME_S))
                self._make_room()
                encoded.replace(path)
        except BaseException:
            with self._lock:
                del self._encoding[name]
            raise
        with self._lock:
            del self._encoding[name]
            self._kept[name] = None
        return path

    def _make_room(self) -> None:
        """Delete the least recently used files until one more fits (in the worker).

        A deleted name that is requested meanwhile waits behind this job in the queue, so its new file is not
        deleted. A file that the system cannot delete counts as used.
        """
        with self._lock:
            oldest = list(self._kept)[: max(0, len(self._kept) - self._most_kept + 1)]
            for name in oldest:
                del self._kept[name]
        for name in oldest:
            try:
                (self._directory / name).unlink(missing_ok=True)
            except OSError:
                with self._lock:
                    self._kept[name] = None


def _result(encoding: Future[Path]) -> Path:
    """Return the encoded file; block until it is there."""
    try:
        return encoding.result()
    except CancelledError:
        raise MediaCacheClosedError from None


async def _finished(encoding: Future[Path]) -> None:
    """Wait until the encoding has ended; cancelling this does not cancel the encoding."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def tell(_: Future[Path]) -> None:
        with contextlib.suppress(RuntimeError):  # this loop may be closed by then
            loop.call_soon_threadsafe(ended.set)

    encoding.add_done_callback(tell)
    await ended.wait()
