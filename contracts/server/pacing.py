"""How to wait: in real time, or by advancing the clock of a mock server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol


class TimeIsUpError(Exception):
    """The time limit is reached."""


class Deadline:
    """How much real time is left."""

    def __init__(self, limit_s: float, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._ends_s = monotonic_s() + limit_s

    @property
    def left_s(self) -> float:
        """The seconds that are left."""
        return self._ends_s - self._monotonic_s()

    def check(self) -> None:
        """Check that there is time left.

        Raises:
            TimeIsUpError: the time limit is reached.
        """
        if self.left_s <= 0:
            raise TimeIsUpError


class Pacing(Protocol):
    """A way to wait."""

    #: Whether waiting takes no real time, so that waiting for days is possible.
    movable: bool

    def now_ms(self) -> int:
        """Return the server's current time, as far as it is known."""

    def wait(self, seconds: float, why: str) -> None:
        """Wait.

        Raises:
            TimeIsUpError: it would exceed the time limit.
        """


class RealTimePacing:
    """Waits in real time, and shows why."""

    movable = False

    def __init__(
        self,
        deadline: Deadline,
        show: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._deadline = deadline
        self._show = show
        self._sleep = sleep
        self._wall_s = wall_s

    def now_ms(self) -> int:
        """Return this machine's time."""
        return int(self._wall_s() * 1000)

    def wait(self, seconds: float, why: str) -> None:
        """Sleep.

        Raises:
            TimeIsUpError: it would exceed the time limit.
        """
        if seconds > self._deadline.left_s:
            raise TimeIsUpError
        self._show(f"waiting {seconds:g} s: {why}")
        self._sleep(seconds)


class ClockPacing:
    """Advances the clock of a mock server instead of waiting."""

    movable = True

    def __init__(self, deadline: Deadline, ask: Callable[[str, Any], Any]) -> None:
        self._deadline = deadline
        self._ask = ask
        self._now_ms: int = ask("GET", None)["now_ms"]

    def now_ms(self) -> int:
        """Return the server's time after the last advance."""
        return self._now_ms

    def wait(self, seconds: float, why: str) -> None:  # noqa: ARG002 - it takes no time
        """Advance the clock; return when all that fell due is done.

        Raises:
            TimeIsUpError: the time limit is reached.
        """
        self._deadline.check()
        self._now_ms = self._ask("POST", {"advance_s": seconds})["now_ms"]
