"""What the two runners (in process, subprocess) share: the result of a run, prompts, and the cache of result files."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from contracts.client.situations import Situation
from contracts.journal import Journal
from mockserver.certificates import Authority
from mockserver.media.cache import MediaCache

#: A client that has sent so many requests for one job is stopped.
MOST_REQUESTS_PER_JOB = 1000

_media_caches: dict[type[MediaCache], MediaCache] = {}
_lock = threading.Lock()


@cache
def local_authority() -> Authority:
    """Return this process's CA, of which clients in virtual time know; it is gone when the process ends."""
    directory = TemporaryDirectory(prefix="contracts-ca-")
    atexit.register(directory.cleanup)
    return Authority(Path(directory.name))


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a situation."""

    situation: Situation | None
    journal: Journal
    #: Addresses that the client tried to reach although nothing listens there.
    unknown_addresses: tuple[str, ...] = ()
    #: Whether the client can receive callbacks.
    takes_callbacks: bool = False
    #: Whether it was stopped because it hung, in real time.
    hangs: bool = False
    #: Why nothing can be said about the client: the runner could not follow it. Then nothing counts as tested.
    untested: str = ""
    #: What the client printed, by the number of the job; 0 is what belongs to none.
    output: Mapping[int, str] = field(default_factory=dict)


def prompt_of(number: int, more: str = "") -> str:
    """Return the prompt of a job; its first sentence identifies the job in the traffic."""
    return f"A red kite over the sea, take {number}.{' ' if more else ''}{more}"


def media_cache_of(kind: type[MediaCache]) -> MediaCache:
    """Return this process's cache of result files, for any thread; it is closed when the process ends."""
    with _lock:
        if kind not in _media_caches:
            _media_caches[kind] = kind()
            atexit.register(_media_caches[kind].close)
        return _media_caches[kind]
