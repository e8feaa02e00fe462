"""Checks what a scenario expects of a client against the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any

from mockserver.clock import instant_of

Record = dict[str, Any]


def check_expectations(
    expectations: Iterable[Mapping[str, Any]], records: Sequence[Record], roles: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Check each expectation.

    Args:
        expectations: as in a scenario file.
        records: records of the journal, in any order.
        roles: the role of each operation, by its id.

    Returns:
        For each expectation: `that`, `kept`, `seen` (what was observed) and `records` (the numbers of the
        records that violate it).
    """
    in_order = sorted(records, key=itemgetter("at"))
    return [_check(each, in_order, roles) for each in expectations]


def _check(expectation: Mapping[str, Any], records: Sequence[Record], roles: Mapping[str, str]) -> dict[str, Any]:
    gap = "gap" in expectation
    wanted = expectation["gap" if gap else "count"]
    groups: dict[Any, list[Record]] = {}
    per = expectation.get("per", "everything")
    started: set[Any] = set()
    for record in records:
        group = None if per == "everything" else record.get(per)
        if per != "everything" and group is None:
            continue
        if "after" not in expectation and record["provider"] == wanted.get("provider", record["provider"]):
            groups.setdefault(group, [])
        if "after" not in expectation or group in started:
            if _fits(record, wanted, roles):
                groups[group].append(record)
        elif _fits(record, expectation["after"], roles):
            started.add(group)
            groups.setdefault(group, [])
    if not groups and per == "everything":
        groups[None] = []
    worst = [found for group in groups.values() for found in (_gaps if gap else _counts)(expectation, group)]
    seen = "; ".join(dict.fromkeys(text for text, _ in worst)) or "as expected"
    return {
        "that": expectation["that"],
        "kept": not worst,
        "seen": seen,
        "records": sorted({record["seq"] for _, found in worst for record in found}),
    }


def _counts(expectation: Mapping[str, Any], found: list[Record]) -> list[tuple[str, list[Record]]]:
    number = len(found)
    if number > expectation.get("at_most", number):
        return [(f"{number}, expected at most {expectation['at_most']}", found[expectation["at_most"] :])]
    if number < expectation.get("at_least", number):
        return [(f"{number}, expected at least {expectation['at_least']}", found)]
    return []


def _gaps(expectation: Mapping[str, Any], found: list[Record]) -> list[tuple[str, list[Record]]]:
    out = []
    for before, after in pairwise(found):
        gap_s = (instant_of(after["at"]) - instant_of(before["at"])) / 1000
        if gap_s < expectation.get("at_least_s", gap_s):
            out.append((f"{gap_s:g} s, expected at least {expectation['at_least_s']:g} s", [before, after]))
        elif gap_s > expectation.get("at_most_s", gap_s):
            out.append((f"{gap_s:g} s, expected at most {expectation['at_most_s']:g} s", [before, after]))
    return out[:5]


def _fits(record: Record, wanted: Mapping[str, Any], roles: Mapping[str, str]) -> bool:
    for name, value in wanted.items():
        if name == "status":
            right = (record["response"] or {}).get("status") == value
        elif name == "operation":
            operation = record.get("operation")
            right = operation is not None and value in (operation, roles.get(operation))
        elif name == "fault":
            right = value in record["faults"]
        else:
            right = record.get(name) == value
        if not right:
            return False
    return True
