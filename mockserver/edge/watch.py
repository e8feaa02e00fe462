"""Watching a scenario's file: what changes there is put in force; what is wrong there is told, and changes nothing."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from mockserver.scenarios import read
from mockserver.spec.document import SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from mockserver.edge.runtime import Runtime

_LOOKS_EVERY_S = 0.3
_LOG = logging.getLogger("mockserver")


async def watch(path: Path, runtime: Runtime) -> None:
    """Look at a file again and again, until cancelled."""
    seen = stamp(path)
    while True:
        await asyncio.sleep(_LOOKS_EVERY_S)
        now = stamp(path)
        if now != seen:
            seen = now
            look(path, runtime)


def look(path: Path, runtime: Runtime) -> bool:
    """Put what stands in the file in force; False, with the reason in the log, where that cannot be done."""
    try:
        scenario = read(path)
        runtime.change_scenario(scenario)
    except SpecError as error:
        _LOG.error("%s\nthe scenario that was in force stays in force", error)
        return False
    _LOG.warning("the scenario %r was read again and is in force", scenario.name)
    return True


def stamp(path: Path) -> tuple[int, int] | None:
    """Return what tells that a file has changed; None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
