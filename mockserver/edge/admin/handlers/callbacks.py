"""Callbacks: list deliveries, send one again."""

from __future__ import annotations

from typing import Any

from mockserver.edge.admin.api import AdminRequest, not_found
from mockserver.edge.records import delivery_record


async def callbacks(request: AdminRequest) -> Any:
    """List deliveries: finished ones, then the others."""
    return {
        "callbacks": [
            delivery_record(each)
            for each in request.runtime.world.deliveries()
            if request.parameters["task"] in (None, each.task_id)
        ]
    }


async def redeliver(request: AdminRequest) -> Any:
    """Send a finished delivery again."""
    try:
        return delivery_record(await request.runtime.redeliver(request.parameters["delivery_id"]))
    except KeyError:
        raise not_found("finished callback", request.parameters["delivery_id"]) from None


HANDLERS = {"callbacks": callbacks, "redeliver": redeliver}
