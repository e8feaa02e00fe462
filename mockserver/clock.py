"""One clock for everything: lifecycles, limits, link expiry, callback retries, the ledger.

Its rule: mock time never goes back. It is counted in whole milliseconds since 1970 (UTC) and runs at
`speed` times the wall's pace; at speed 0 it is manual and moves only when told to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

#: Where the manual clock starts, so that two runs give the same bytes: 2026-06-05T00:00:00Z.
MANUAL_START_MS = 1_780_617_600_000
#: Where a clock can no longer be moved to: 9000-01-01T00:00:00Z. Dates beyond 9999 cannot be written down.
LAST_MS = 221_845_392_000_000


class TimeWouldGoBackError(ValueError):
    """The clock was asked to go to an instant that has passed."""

    def __init__(self, asked_ms: int, now_ms: int) -> None:
        super().__init__(
            f"time never goes back: it is {iso_of(now_ms)} and was asked to be {iso_of(asked_ms)}; "
            "reset the server to start over"
        )


@dataclass(frozen=True, slots=True)
class Wall:
    """The wall clock: seconds that only go on, and seconds since 1970."""

    monotonic_s: Callable[[], float] = time.monotonic
    unix_s: Callable[[], float] = time.time


class Clock:
    """Mock time; `wall_s` is any monotonic source of seconds."""

    __slots__ = ("_base_ms", "_base_wall_s", "_speed", "_wall_s")

    def __init__(self, start_ms: int, speed: float, wall_s: Callable[[], float] = time.monotonic) -> None:
        if speed < 0:
            raise ValueError(f"speed is {speed}, but time cannot run backwards; 0 stops the clock")
        self._wall_s = wall_s
        self._speed = speed
        self._base_ms = start_ms
        self._base_wall_s = wall_s()

    @property
    def speed(self) -> float:
        """Mock seconds per wall second; 0 when manual."""
        return self._speed

    def now_ms(self) -> int:
        """Return the present instant of mock time."""
        if self._speed == 0:
            return self._base_ms
        return self._base_ms + int((self._wall_s() - self._base_wall_s) * self._speed * 1000)

    def jump_to(self, instant_ms: int) -> None:
        """Move on to an instant; a running clock goes on from there.

        Raises:
            TimeWouldGoBackError: the instant has passed.
            ValueError: the instant is thousands of years away.
        """
        now_ms = self.now_ms()
        if instant_ms < now_ms:
            raise TimeWouldGoBackError(instant_ms, now_ms)
        if instant_ms >= LAST_MS:
            raise ValueError(f"the clock goes no further than {iso_of(LAST_MS)}")
        self._base_ms, self._base_wall_s = instant_ms, self._wall_s()

    def reach(self, instant_ms: int) -> None:
        """Move on to an instant, or stay where time has come to if it has gone further."""
        self._base_ms, self._base_wall_s = max(instant_ms, self.now_ms()), self._wall_s()

    def set_speed(self, speed: float) -> None:
        """Change the pace from now on; 0 stops the clock."""
        if speed < 0:
            raise ValueError(f"speed is {speed}, but time cannot run backwards; 0 stops the clock")
        self._base_ms, self._base_wall_s, self._speed = self.now_ms(), self._wall_s(), speed

    def wall_wait_s(self, until_ms: int) -> float | None:
        """Return the wall seconds until an instant comes by itself; None when it never does."""
        if self._speed == 0:
            return None
        return max(0.0, (until_ms - self.now_ms()) / 1000 / self._speed)


def iso_of(instant_ms: int, *, digits: int = 3) -> str:
    """Write an instant as ISO 8601 in UTC, with 3 or 0 digits of a second's fraction."""
    text = _second(instant_ms // 1000)
    return f"{text}.{instant_ms % 1000:03d}Z" if digits else f"{text}Z"


@lru_cache(maxsize=1024)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=1024)
def instant_of(text: str) -> int:
    """Read an ISO 8601 instant as milliseconds since 1970.

    Raises:
        ValueError: it is no such instant, or it names no time zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone; end it with Z for UTC")
    return round(moment.timestamp() * 1000)
