"""Waiting: in real time, with a word about it, or by moving the clock of a mock server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class TimeIsUpError(Exception):
    """The time that the user gave is over."""


class Deadline:
    """How much of the user's real time is left."""

    def __init__(self, limit_s: float, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._ends_s = monotonic_s() + limit_s

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self._ends_s - self._monotonic_s()

    def check(self) -> None:
        """See that there is time left.

        Raises:
            TimeIsUpError: there is none.
        """
        if self.left_s <= 0:
            raise TimeIsUpError


class Pacing(Protocol):
    """How the judge waits."""

    #: Whether waiting costs nothing, so that days can be waited for.
    movable: bool

    def now_ms(self) -> int:
        """Return the server's present instant, as far as it is known."""

    def wait(self, seconds: float, why: str) -> None:
        """Let time pass.

        Raises:
            TimeIsUpError: it would take longer than the user lets it.
        """


class RealTimePacing:
    """Waits as long as it says, and says so."""

    movable = False

    def __init__(
        self,
        deadline: Deadline,
        say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._deadline = deadline
        self._say = say
        self._sleep = sleep
        self._wall_s = wall_s

    def now_ms(self) -> int:
        """Return this machine's time."""
        return int(self._wall_s() * 1000)

    def wait(self, seconds: float, why: str) -> None:
        """Sleep, unless the user's time would be over before that.

        Raises:
            TimeIsUpError: it would.
        """
        if seconds > self._deadline.left_s:
            raise TimeIsUpError
        self._say(f"waiting {seconds:g} s: {why}")
        self._sleep(seconds)


class ClockPacing:
    """Moves the clock of a mock server on instead of waiting."""

    movable = True

    def __init__(self, deadline: Deadline, ask: Callable[[str, Any], Any]) -> None:
        self._deadline = deadline
        self._ask = ask
        self._now_ms: int = ask("GET", None)["now_ms"]

    def now_ms(self) -> int:
        """Return the server's time as it was when it was last moved."""
        return self._now_ms

    def wait(self, seconds: float, why: str) -> None:  # noqa: ARG002 - nobody has to be told
        """Advance; returns when all that fell due has been done.

        Raises:
            TimeIsUpError: the user's real time is over.
        """
        self._deadline.check()
        self._now_ms = self._ask("POST", {"advance_s": seconds})["now_ms"]
