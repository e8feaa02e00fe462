"""The server itself: health, version, providers, reset."""

from __future__ import annotations

import asyncio
from typing import Any

from mockserver import __version__
from mockserver.clock import iso_of
from mockserver.edge.admin.api import AdminRequest, control_plane
from mockserver.edge.admin.handlers.clock import clock
from mockserver.edge.records import provider_record


async def health(request: AdminRequest) -> Any:
    """Return status, mock time, and how many connections and background tasks there are."""
    return {
        "status": "ok",
        "now": iso_of(request.now_ms),
        "connections": request.connections,
        "background_tasks": len(asyncio.all_tasks()) - request.connections,
    }


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


HANDLERS = {"health": health, "version": version, "document": document, "providers": providers, "reset": reset}
