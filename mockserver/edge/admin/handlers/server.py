"""The server: health, version, providers, reset; its clock, sessions and journal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mockserver import __version__
from mockserver.clock import instant_of, iso_of
from mockserver.edge.access import RefusedError
from mockserver.edge.admin.api import AdminRequest, Content, control_plane, or_not_found
from mockserver.edge.dispatcher import Report
from mockserver.edge.records import provider_record
from mockserver.journal.har import har


async def health(request: AdminRequest) -> Any:
    """Return status, mock time, and the number of connections and background tasks."""
    return {
        "status": "ok",
        "now": iso_of(request.now_ms),
        "connections": request.connections,
        "background_tasks": len(asyncio.all_tasks()) - request.connections,
    }


async def root(request: AdminRequest) -> Any:
    """Lead a browser to the live page."""
    path, _, query = request.http.raw_path.partition("?")
    place = f"{path.rstrip('/')}/ui" + (f"?{query}" if query else "")
    return Content("text/plain; charset=utf-8", f"the live page is at {place}\n".encode(), (("Location", place),), 302)


async def ready(request: AdminRequest) -> Any:
    """Tell whether the server takes requests: until it begins to stop."""
    if request.sessions.closing:
        raise RefusedError(503, "stopping", "the server is being stopped")
    return {"status": "ready"}


async def version(request: AdminRequest) -> Any:
    """Return name, version and seed."""
    return {"name": "mockserver", "version": __version__, "seed": request.runtime.world.chance.seed}


async def document(_request: AdminRequest) -> Any:
    """Return the OpenAPI document of the control plane."""
    return control_plane().document.data


async def providers(request: AdminRequest) -> Any:
    """List the providers."""
    runtime = request.runtime
    return {"providers": [provider_record(each, runtime.base_urls[each.name]) for each in runtime.providers]}


async def reset(request: AdminRequest) -> Any:
    """Reset everything, or the journal only."""
    if request.body["what"] == "all":
        await request.runtime.reset()
    else:
        request.runtime.journal.clear()
    return await clock(request)


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
    except ValueError as error:
        raise RefusedError(400, "invalid_time", str(error)) from None
    if runtime.clock is not clock_before:
        raise RefusedError(409, "reset", "the server was reset while the clock was advancing")
    if runtime.closed:
        raise RefusedError(409, "dropped", "the session was dropped while the clock was advancing")
    return {**await clock(request), **report._asdict()}


async def list_sessions(request: AdminRequest) -> Any:
    """List the named sessions."""
    return {
        "sessions": [
            {
                "name": name,
                "now": iso_of(runtime.clock.now_ms()),
                "idle_s": round(request.sessions.idle_s(name), 3),
                "tasks": sum(len(state.tasks) for state in runtime.world.providers.values()),
            }
            for name in request.sessions
            if (runtime := request.sessions.known(name)) is not None
        ]
    }


async def drop_session(request: AdminRequest) -> Any:
    """Drop a session."""
    name = request.parameters["session"]
    with or_not_found("session", name):
        await request.sessions.drop(name)
    return {"dropped": name}


def _records(request: AdminRequest) -> Iterator[dict[str, Any]]:
    return request.runtime.journal.records(
        **{name: value for name, value in request.parameters.items() if name != "limit"}
    )


async def requests(request: AdminRequest) -> Any:
    """Find records of the journal."""
    return {"records": list(islice(_records(request), int(request.parameters["limit"] or 1000)))}


async def count_requests(request: AdminRequest) -> Any:
    """Count records of the journal."""
    return {"count": sum(1 for _ in _records(request))}


async def export_requests(request: AdminRequest) -> Any:
    """Export the journal as NDJSON or HAR."""
    journal = request.runtime.journal
    if request.parameters["format"] == "har":
        return har(journal.records(), __version__, request.runtime.clock.speed)
    return Content("application/x-ndjson", journal.ndjson())
