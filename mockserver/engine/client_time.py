"""The client's seconds, which Retry-After counts: the client waits by a clock that is slower or faster than mock time.

All else in a response is in mock time. A wait is rounded up to whole seconds, so that after it enough mock time has
passed.
"""

from __future__ import annotations

import math
from email.utils import mktime_tz, parsedate_tz
from typing import NamedTuple

from mockserver.clock import http_date

_SECONDS = "retry-after"
_MILLISECONDS = "retry-after-ms"
#: What is less than this above a whole number comes from the division.
_SLACK = 1e-9


class ClientTime(NamedTuple):
    """The client's clock: the mock seconds in one of its seconds, and its present instant."""

    pace: float
    now_ms: int

    def seconds(self, mock_s: float) -> int:
        """Return how many of the client's seconds a wait takes: whole ones, at least 1 unless there is no wait."""
        return math.ceil(mock_s / self.pace - _SLACK) if mock_s > 0 else 0

    def retold(
        self, headers: tuple[tuple[str, str], ...], now_ms: int
    ) -> tuple[tuple[tuple[str, str], ...], float | None]:
        """Return headers with waits in the client's seconds, and the longest wait in mock seconds, if there is one.

        Args:
            headers: with waits in mock time: Retry-After as seconds or as a date, retry-after-ms.
            now_ms: the present mock time.
        """
        waits = [self._retold(name.lower(), value, now_ms) for name, value in headers]
        if not any(waits):
            return headers, None
        told = ((name, wait[1] if wait else value) for (name, value), wait in zip(headers, waits, strict=True))
        return tuple(told), max(wait[0] for wait in waits if wait)

    def _retold(self, name: str, value: str, now_ms: int) -> tuple[float, str] | None:
        """Return the mock seconds that a header asks to wait, and its value for the client; None if it does not."""
        if name == _MILLISECONDS and value.isdecimal():
            return int(value) / 1000, str(math.ceil(int(value) / self.pace - _SLACK))
        if name != _SECONDS:
            return None
        if value.isdecimal():
            return int(value), str(self.seconds(int(value)))
        date = parsedate_tz(value)
        if date is None:
            return None
        wait_s = mktime_tz(date) - now_ms / 1000
        return max(0.0, wait_s), http_date(math.ceil(self.now_ms / 1000 + wait_s / self.pace))
