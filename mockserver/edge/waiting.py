"""Clients that wait while the clock stands still.

With the clock `auto`, time moves to what they wait for: after each answer to a poll, to the next change of that task;
after a refusal by a limit, to when that is over. So a poll sees every state once, whatever the client sleeps.
With the clock `manual`, a client that polls in vain is told of, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from mockserver.clock import Clock, TimeWouldGoBackError
from mockserver.edge.dispatcher import AdvanceUnderWayError
from mockserver.engine.messages import Response
from mockserver.engine.state import ProviderState
from mockserver.engine.task import next_change_ms

#: So many polls of one task at one instant are a client that waits in vain.
POLLS_IN_VAIN = 10
#: What to do about it, after "the clock is manual and nobody advanced it".
ADVICE = "use `clock.advance()`, or the clock `auto`, or the clock `real` at a higher speed"
_LOG = logging.getLogger("mockserver")
AdvanceTo = Callable[[int], Coroutine[Any, Any, Any]]


class Waiting:
    """Watches for clients that wait, in one session whose clock stands still."""

    def __init__(self, clock: Clock, *, moves: bool) -> None:
        self._clock = clock
        self._moves = moves
        self._moving: asyncio.Task[None] | None = None
        #: The task and instant of the last poll, and how many there were of it.
        self._polled: tuple[str | None, int] = (None, 0)
        self._times = 0

    def stop(self) -> None:
        """End a move under way."""
        if self._moving is not None:
            self._moving.cancel()

    def answered(
        self, state: ProviderState, response: Response, now_ms: int, advance_to: AdvanceTo, *, is_query: bool
    ) -> None:
        """Look at an answer that has been made; `advance_to` moves the clock."""
        if self._clock.speed:  # a scenario, or a command, has let it run
            return
        if is_query and response.gate is None and response.task_id is not None:
            task = state.tasks.get(response.task_id)
            change_ms = None if task is None else next_change_ms(task, now_ms)
            if change_ms is None:
                return
            if self._moves:
                self._move_to(change_ms, advance_to)
            else:
                self._count(response.task_id, now_ms)
        elif self._moves and response.wait_ms is not None:
            self._move_to(now_ms + response.wait_ms, advance_to)

    def _move_to(self, instant_ms: int, advance_to: AdvanceTo) -> None:
        if self._moving is None or self._moving.done():
            self._moving = asyncio.get_running_loop().create_task(_advance(instant_ms, advance_to), name="waiting")

    def _count(self, task_id: str, now_ms: int) -> None:
        polled = task_id, now_ms
        self._times = self._times + 1 if polled == self._polled else 1
        self._polled = polled
        if self._times == POLLS_IN_VAIN:
            _LOG.warning(
                "task %s was polled %d times at one instant: the clock is manual and nobody advanced it: %s",
                task_id,
                POLLS_IN_VAIN,
                ADVICE,
            )


async def _advance(instant_ms: int, advance_to: AdvanceTo) -> None:
    with contextlib.suppress(TimeWouldGoBackError, AdvanceUnderWayError, ValueError):  # time moves without us
        await advance_to(instant_ms)
