"""Requests: find, count and export what the journal holds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from mockserver import __version__
from mockserver.edge.admin.api import AdminRequest, Content
from mockserver.journal.har import har


def _records(request: AdminRequest) -> Iterator[dict[str, Any]]:
    return request.runtime.journal.records(
        **{name: value for name, value in request.parameters.items() if name != "limit"}
    )


async def requests(request: AdminRequest) -> Any:
    """Find records."""
    return {"records": list(islice(_records(request), int(request.parameters["limit"] or 1000)))}


async def count_requests(request: AdminRequest) -> Any:
    """Count records."""
    return {"count": sum(1 for _ in _records(request))}


async def export_requests(request: AdminRequest) -> Any:
    """Export the journal as NDJSON or HAR."""
    journal = request.runtime.journal
    if request.parameters["format"] == "har":
        return har(journal.records(), __version__)
    return Content("application/x-ndjson", journal.ndjson())


HANDLERS = {"requests": requests, "countRequests": count_requests, "exportRequests": export_requests}
