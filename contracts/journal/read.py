"""Read journals: NDJSON in the shape of specs/journal.schema.json, or a HAR file of any tool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from contracts.journal.model import Journal
from mockserver.clock import instant_of
from mockserver.provider import Provider
from mockserver.recording.files import read_file
from mockserver.recording.records import by_provider

#: The clock's speed is computed from at least this many gaps, each at least this long in wall time.
_FEWEST_GAPS = 3
_SHORTEST_GAP_MS = 100


def read(path: Path, providers: Iterable[Provider], only: str | None = None) -> list[Journal]:
    """Read a file; return one journal for each provider in it.

    The journals' `speed` is computed from the two clocks (mock and wall) of our own records.

    Raises:
        JournalError: the file cannot be read, or is neither our NDJSON nor HAR.
    """
    file = read_file(path)
    speed = _speed_of(file.records, file.stated_speed)
    return [replace(each, speed=speed) for each in of_records(file.records, providers, only)]


def _speed_of(records: Iterable[Mapping[str, Any]], given: float) -> float:
    """Return how many times as fast as real time the mock clock ran; 1 if its speed was not constant.

    What is given counts where the records are too few to tell.
    """
    try:
        instants = [(instant_of(each["at"]), instant_of(each["wall"])) for each in records if "wall" in each]
    except (KeyError, TypeError, ValueError, AttributeError):
        return 1.0  # `of_records` reports what is wrong
    speeds = sorted(
        (at_ms - before_ms) / (wall_ms - earlier_ms)
        for (before_ms, earlier_ms), (at_ms, wall_ms) in pairwise(instants)
        if wall_ms - earlier_ms >= _SHORTEST_GAP_MS
    )
    if len(speeds) < _FEWEST_GAPS:
        return given
    median = speeds[len(speeds) // 2]
    steady = sum(abs(each - median) <= median / 10 for each in speeds)
    if median <= 0 or steady < len(speeds) * 0.9:
        return 1.0
    whole = max(1, round(median))
    return float(whole) if abs(median - whole) <= whole / 50 else round(median, 2)


def of_records(
    records: Iterable[Mapping[str, Any]], providers: Iterable[Provider], only: str | None = None
) -> list[Journal]:
    """Group records by provider, and return one journal for each.

    Raises:
        JournalError: a record lacks a required field.
    """
    known = {provider.name: provider for provider in providers}
    found = by_provider(records, known.values(), only)
    return [Journal(known[name], tuple(each)) for name, each in found.items()]
