"""Rate limits, exact to the millisecond: a log of what was counted, over a window that slides.

A limit of n in a window of w lets a request pass at t when fewer than n were counted in (t - w, t].
What is refused is not counted.
"""

from __future__ import annotations

from collections import deque

from mockserver.provider import Plan

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


class RateLog:
    """The instants at which an account's requests were counted, as far back as the plan looks."""

    __slots__ = ("_counted_ms",)

    def __init__(self) -> None:
        self._counted_ms: deque[int] = deque()

    def wait_ms(self, plan: Plan, now_ms: int) -> int:
        """Return how long until the plan lets a request pass; 0 is now."""
        return max(
            self._wait_for(plan.requests_per_minute, MINUTE_MS, now_ms),
            self._wait_for(plan.requests_per_hour, HOUR_MS, now_ms),
        )

    def _wait_for(self, limit: int | None, window_ms: int, now_ms: int) -> int:
        if limit is None or len(self._counted_ms) < limit:
            return 0
        return max(0, self._counted_ms[-limit] + window_ms - now_ms)

    def count(self, plan: Plan, now_ms: int) -> None:
        """Count a request that passed."""
        keep = max(plan.requests_per_minute or 0, plan.requests_per_hour or 0)
        if not keep:
            return
        log = self._counted_ms
        log.append(now_ms)
        while len(log) > keep:
            log.popleft()

    def left(self, plan: Plan, now_ms: int) -> dict[str, int]:
        """Return what is left of each limit now, by the limit's name."""
        out = {}
        for name, limit, window_ms in (
            ("requests_per_minute", plan.requests_per_minute, MINUTE_MS),
            ("requests_per_hour", plan.requests_per_hour, HOUR_MS),
        ):
            if limit is not None:
                used = sum(1 for at in self._counted_ms if at > now_ms - window_ms)
                out[name] = max(0, limit - used)
        return out
