"""Rate limits and quotas, exact to the millisecond: a log of what was counted, over windows that slide or are fixed.

A limit of n in a sliding window of w lets a request pass at t when fewer than n were counted in (t - w, t]. A fixed
window begins at each whole multiple of w since 1970 (UTC), so that every minute, hour or day starts anew. What is
refused is not counted.
"""

from __future__ import annotations

from collections import deque

from mockserver.provider import Limit, Plan


class RateLog:
    """The instants at which an account's requests, or its tasks, were counted, as far back as the plan looks."""

    __slots__ = ("_counted_ms", "_tasks")

    def __init__(self, *, tasks: bool = False) -> None:
        self._counted_ms: deque[int] = deque()
        self._tasks = tasks

    def _limits(self, plan: Plan) -> tuple[Limit, ...]:
        return plan.task_limits if self._tasks else plan.request_limits

    def wait_ms(self, plan: Plan, now_ms: int) -> int:
        """Return how long until the plan lets one more pass; 0 is now."""
        log = self._counted_ms
        wait_ms = 0
        for _, most, window_ms in self._limits(plan):
            if len(log) >= most:
                first_ms = log[-most]
                if plan.fixed_windows:
                    first_ms -= first_ms % window_ms
                wait_ms = max(wait_ms, first_ms + window_ms - now_ms)
        return wait_ms

    def count(self, plan: Plan, now_ms: int) -> None:
        """Count one that passed."""
        keep = max((most for _, most, _ in self._limits(plan)), default=0)
        if not keep:
            return
        log = self._counted_ms
        log.append(now_ms)
        while len(log) > keep:
            log.popleft()

    def left(self, plan: Plan, now_ms: int) -> dict[str, int]:
        """Return what is left of each limit now, by the limit's name."""
        out = {}
        for name, most, window_ms in self._limits(plan):
            since_ms = now_ms - now_ms % window_ms if plan.fixed_windows else now_ms - window_ms + 1
            out[name] = max(0, most - sum(1 for at in self._counted_ms if at >= since_ms))
        return out
