"""Watches a scenario file: a valid change is put in force, an invalid one is logged and ignored."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from mockserver.edge.runtime import Runtime
from mockserver.scenarios.read import read
from mockserver.spec.document import SpecError

_PERIOD_S = 0.3
_LOG = logging.getLogger("mockserver")


async def watch(path: Path, runtime: Runtime) -> None:
    """Watch a file until cancelled."""
    seen = stamp(path)
    while True:
        await asyncio.sleep(_PERIOD_S)
        before, seen = seen, stamp(path)
        if seen != before:
            reload(path, runtime)


def reload(path: Path, runtime: Runtime) -> bool:
    """Put the scenario of a file in force; return False and log the reason if it is invalid."""
    try:
        scenario = read(path)
        runtime.change_scenario(scenario)
    except SpecError as error:
        _LOG.error("%s\nthe previous scenario stays in force", error)
        return False
    _LOG.warning("scenario %r reloaded", scenario.name)
    return True


def stamp(path: Path) -> tuple[int, int] | None:
    """Return the modification time and size of a file; None if it does not exist."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
