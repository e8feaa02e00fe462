"""One clock for everything: lifecycles, limits, link expiry, callback retries, the ledger.

Its rule: mock time never goes back. It is counted in whole milliseconds since 1970 (UTC) and runs at
`speed` times real time; at speed 0 it is manual and moves only on command.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache

#: Where the manual clock starts, so that two runs produce the same bytes: 2026-06-05T00:00:00Z.
MANUAL_START_MS = 1_780_617_600_000
#: The end of mock time: 9000-01-01T00:00:00Z. Dates beyond 9999 cannot be formatted.
LAST_MS = 221_845_392_000_000
#: The last second that can be written as a date; later ones are written as this one.
_LAST_S = 253_402_300_799


class TimeWouldGoBackError(ValueError):
    """The requested instant has passed."""

    def __init__(self, asked_ms: int, now_ms: int) -> None:
        super().__init__(
            f"time never goes back: it is {iso_of(now_ms)}, the request was for {iso_of(asked_ms)}; "
            "reset the server to start over"
        )


@dataclass(frozen=True, slots=True)
class Wall:
    """The wall clock: monotonic seconds, and seconds since 1970."""

    monotonic_s: Callable[[], float] = time.monotonic
    unix_s: Callable[[], float] = time.time


class Clock:
    """Mock time; `wall_s` is any monotonic source of seconds."""

    __slots__ = ("_base_ms", "_base_wall_s", "_speed", "_wall_s")

    def __init__(self, start_ms: int, speed: float, wall_s: Callable[[], float] = time.monotonic) -> None:
        self._wall_s = wall_s
        self._base_ms, self._base_wall_s, self._speed = start_ms, wall_s(), _not_negative(speed)

    @property
    def speed(self) -> float:
        """Mock seconds per wall second; 0 when manual."""
        return self._speed

    def now_ms(self) -> int:
        """Return the current mock time."""
        if self._speed == 0:
            return self._base_ms
        return self._base_ms + int((self._wall_s() - self._base_wall_s) * self._speed * 1000)

    def reach(self, instant_ms: int) -> None:
        """Move on to an instant; if it has passed, the clock does not move."""
        self._base_ms, self._base_wall_s = max(instant_ms, self.now_ms()), self._wall_s()

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on; 0 stops the clock."""
        speed = _not_negative(speed)
        self._base_ms, self._base_wall_s, self._speed = self.now_ms(), self._wall_s(), speed

    def wall_wait_s(self, until_ms: int) -> float | None:
        """Return the wall seconds until an instant is reached; None on a manual clock."""
        if self._speed == 0:
            return None
        return max(0.0, (until_ms - self.now_ms()) / 1000 / self._speed)


def _not_negative(speed: float) -> float:
    if speed < 0:
        raise ValueError(f"speed must not be negative; got {speed}")
    return speed


def iso_of(instant_ms: int, *, digits: int = 3) -> str:
    """Write an instant as ISO 8601 in UTC, with 3 or 0 digits of a second's fraction."""
    text = _second(instant_ms // 1000)
    return f"{text}.{instant_ms % 1000:03d}Z" if digits else f"{text}Z"


@lru_cache(maxsize=1024)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(min(unix_s, _LAST_S), UTC).strftime("%Y-%m-%dT%H:%M:%S")


def http_date(unix_s: int) -> str:
    """Write a second as headers do."""
    return formatdate(min(unix_s, _LAST_S), usegmt=True)


@lru_cache(maxsize=1024)
def instant_of(text: str) -> int:
    """Read an ISO 8601 instant as milliseconds since 1970.

    Raises:
        ValueError: not ISO 8601, or without a time zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; end it with Z for UTC")
    return round(moment.timestamp() * 1000)
