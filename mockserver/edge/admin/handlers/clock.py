"""The clock: read it, advance it, change its speed."""

from __future__ import annotations

from typing import Any

from mockserver.clock import TimeWouldGoBackError, instant_of, iso_of
from mockserver.edge.admin.api import AdminRequest
from mockserver.edge.admin.auth import RefusedError
from mockserver.edge.dispatcher import AdvanceUnderWayError, Report


async def clock(request: AdminRequest) -> dict[str, Any]:
    """Return mock time, speed, and when the next callback is due."""
    runtime, now_ms = request.runtime, request.now_ms
    due_ms = runtime.world.next_due_ms()
    return {
        "now": iso_of(now_ms),
        "now_ms": now_ms,
        "speed": runtime.clock.speed,
        "next_due": None if due_ms is None else iso_of(due_ms),
    }


async def move_clock(request: AdminRequest) -> Any:
    """Advance the clock, or change its speed; return when every callback that fell due has been attempted."""
    runtime, body = request.runtime, request.body
    clock_before = runtime.clock
    report = Report(0, 0, 0)
    try:
        if "speed" in body:
            clock_before.set_speed(body["speed"])
            runtime.dispatcher.wake()
        elif "advance_s" in body:
            report = await runtime.advance_to(clock_before.now_ms() + round(body["advance_s"] * 1000))
        else:
            report = await runtime.advance_to(instant_of(body["set"]))
    except (TimeWouldGoBackError, ValueError) as error:
        raise RefusedError(400, "invalid_time", str(error)) from None
    except AdvanceUnderWayError:
        raise RefusedError(
            409, "advance_under_way", "another request is moving the clock or a task; wait for its response"
        ) from None
    if runtime.clock is not clock_before:
        raise RefusedError(409, "reset", "the server was reset while the clock was advancing")
    if runtime.closed:
        raise RefusedError(409, "dropped", "the session was dropped while the clock was advancing")
    return {**await clock(request), **report._asdict()}


HANDLERS = {"clock": clock, "moveClock": move_clock}
