"""The journal in the report of a test that fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

_LINES_SHOWN = 60
_BODY_CHARACTERS = 300
#: So many equal polls at the end are a client that waits in vain.
_IN_VAIN = 3


def shown_journal(records: Iterable[dict[str, Any]], *, is_manual: bool) -> str:
    """Write the last records of a journal, and what to do where a client has waited in vain for a manual clock."""
    records = list(records)
    lines = journal_lines(records)
    if is_manual and (hint := waiting_hint(records)) is not None:
        lines.insert(0, hint)
    return "\n".join(lines)


def waiting_hint(records: Iterable[dict[str, Any]]) -> str | None:
    """Say what to do where a client has polled one task in vain, because nobody advanced the clock."""
    last, times = None, 0
    for record in records:
        if record["kind"] == "exchange":
            polled = record["task"], record["at"], record["request"]["method"], record["request"]["path"]
            times = times + 1 if polled == last else 1
            last = polled
    if last is None or last[0] is None or last[2] != "GET" or times < _IN_VAIN:
        return None
    return (
        f"the last {times} requests are the same poll at the same instant: the clock is manual and nobody advanced "
        "it: use `clock.advance()`, or @pytest.mark.mock_server(clock='auto'), with which time moves to what a "
        "client polls for, or @pytest.mark.mock_server(clock='real', speed=60)"
    )


def journal_lines(records: Iterable[dict[str, Any]]) -> list[str]:
    """Format the last records of a journal, one to three lines each; equal ones in a row once, with their number."""
    lines: list[str] = []
    for _, group in groupby(records, key=_what_shows):
        record, *others = group
        faults = f"  faults: {', '.join(record['faults'])}" if record["faults"] else ""
        times = f"  ({len(others) + 1} times)" if others else ""
        request, response = record["request"], record["response"]
        if record["kind"] == "exchange":
            status = "no answer" if response is None else response["status"]
            what = f"{request['method']} {record['provider'] or 'no provider'} {request['path']} -> {status}"
        else:
            what = f"callback {record['event']} to {request['url']} -> {record['outcome']} {record['detail']}".rstrip()
        lines.append(f"{record['seq']:>4} {record['at'][11:-1]} {what}{faults}{times}")
        lines += [f"       {label} {body}" for label, body in _bodies(request, response)]
    left_out = len(lines) - _LINES_SHOWN
    return lines if left_out <= 0 else [f"({left_out} earlier lines)", *lines[-_LINES_SHOWN:]]


def _what_shows(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a record has that is shown, but for its number."""
    request, response = record["request"], record["response"] or {}
    where = request.get("path") or request.get("url"), request.get("query")
    answer = response.get("status"), response.get("body"), record.get("outcome"), record.get("detail")
    return (record["at"], record["faults"], request["method"], *where, request["body"], *answer)


def _bodies(request: dict[str, Any], response: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    for label, message in (("sent", request), ("got", response)):
        body = None if message is None else message["body"]
        if body:
            yield label, body if len(body) <= _BODY_CHARACTERS else f"{body[:_BODY_CHARACTERS]}…"
