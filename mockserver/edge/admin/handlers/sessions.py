"""Sessions: list and drop them."""

from __future__ import annotations

from typing import Any

from mockserver.clock import iso_of
from mockserver.edge.admin.api import AdminRequest, not_found


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
    try:
        await request.sessions.drop(name)
    except KeyError:
        raise not_found("session", name) from None
    return {"dropped": name}


HANDLERS = {"listSessions": list_sessions, "dropSession": drop_session}
