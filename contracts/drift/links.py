"""Holds the links to results against what the spec says of them: how long they last, what they lead to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from contracts.drift.differences import Differences
from contracts.drift.durations import ends_between
from contracts.drift.places import Edit
from contracts.drift.spec import DocumentedSpec
from contracts.drift.traces import Sight, Trace
from contracts.journal import Exchange
from mockserver.clock import instant_of
from mockserver.provider import ResultKind

_TOLERANCE_MS = 1000
_REFUSED = (401, 403, 404, 410)
_UNITS = {"unix_ms": 1, "unix_s": 1000}


def judge_links(documented: DocumentedSpec, traces: Iterable[Trace], found: Differences) -> None:
    """Report links that live longer or shorter than the spec says, by what answers tell and by downloads."""
    for trace in traces:
        kind = _kind_of(documented, trace)
        if kind is None or trace.end is None or trace.end.state != trace.lifecycle.success.name:
            continue
        bounds = list(ends_between(trace))
        told = [
            (each, bounds_ms)
            for each in _told(documented, trace, kind)
            for bounds_ms in _ends(documented, trace, bounds)
        ]
        for (sight, expires_ms), (earliest_ms, latest_ms) in told:
            found.tested["links"] += 1
            least, most = expires_ms - latest_ms, expires_ms - earliest_ms
            lifetime_ms = kind.lifetime_s * 1000
            if not least - _TOLERANCE_MS <= lifetime_ms <= most + _TOLERANCE_MS:
                _add(documented, kind, [sight.record], "a link expires", least, found)
        _downloads(documented, trace, kind, bounds, found)


def _add(
    documented: DocumentedSpec, kind: ResultKind, records: list[Any], what: str, lasted_ms: int, found: Differences
) -> None:
    place = documented.mock.at("results", kind.name, "lifetime_s")
    found.add(
        *("links", (), records),
        seen=f"{what} {round(lasted_ms / 1000)} s after the end of its task",
        asks=f"links last {kind.lifetime_s} s",
        place=place,
        edit=lambda values: Edit(place, max(1, round(max(values) / 1000))),
        value=lasted_ms,
    )


def _kind_of(documented: DocumentedSpec, trace: Trace) -> ResultKind | None:
    """Return the kind of file that a task made, if that is certain."""
    results = documented.provider.results
    if len({each.lifetime_s for each in results.values()}) == 1:
        return next(iter(results.values()))
    model = None if trace.model is None else documented.model_place(trace.model).mapping().get("result")
    return results.get(model) if isinstance(model, str) else None


def _ends(documented: DocumentedSpec, trace: Trace, bounds: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the bounds of a task's end: as its answers tell it, or else as it was seen."""
    for sight in trace.polled:
        for at_ms in _instants(documented, sight, "ended"):
            yield at_ms, at_ms + 999
            return
    yield from bounds


def _told(documented: DocumentedSpec, trace: Trace, kind: ResultKind) -> Iterator[tuple[Sight, int]]:
    """Yield when links expire, as answers or the links themselves tell it."""
    for sight in trace.polled:
        for at_ms in _instants(documented, sight, "expires"):
            yield sight, at_ms
        if kind.expires_parameter is None:
            continue
        for url in links_in(documented, sight):
            for value in parse_qs(urlsplit(url).query).get(kind.expires_parameter, ())[:1]:
                if value.isdecimal():
                    yield sight, int(value) * 1000


def _instants(documented: DocumentedSpec, sight: Sight, name: str) -> Iterator[int]:
    record = sight.record
    assert isinstance(record, Exchange)
    extractor = documented.replies[record.operation or ""]
    for notation in ("unix_ms", "unix_s", "iso"):
        value = extractor.read(f"$task.{name}_{notation}", record.answer)
        if notation in _UNITS and isinstance(value, int) and not isinstance(value, bool):
            yield value * _UNITS[notation]
        elif notation == "iso" and isinstance(value, str):
            try:
                yield instant_of(value)
            except ValueError:
                continue


def links_in(documented: DocumentedSpec, sight: Sight) -> list[str]:
    """Return the links to results that an answer shows."""
    record = sight.record
    if not isinstance(record, Exchange):
        return []
    extractor = documented.replies[record.operation or ""]
    found = [
        *extractor.all("$task.result_url", record.answer),
        *(
            each
            for urls in extractor.all("$task.result_urls", record.answer)
            if isinstance(urls, list)
            for each in urls
        ),
    ]
    return [each for each in dict.fromkeys(map(str, found)) if each.startswith("http")]


def _downloads(
    documented: DocumentedSpec, trace: Trace, kind: ResultKind, bounds: list[tuple[int, int]], found: Differences
) -> None:
    """Report files that were there after their time, and links refused before theirs."""
    links = [url for sight in trace.polled for url in links_in(documented, sight)]
    paths = {_target(urlsplit(url).path, urlsplit(url).query) for url in links}
    lifetime_ms = kind.lifetime_s * 1000
    for record in trace.records:
        if not isinstance(record, Exchange) or record.role != "result" or record.status is None:
            continue
        for earliest_ms, latest_ms in bounds:
            found.tested["links"] += 1
            if record.status < 300 and record.at_ms > latest_ms + lifetime_ms + _TOLERANCE_MS:
                _add(documented, kind, [record], "a file is there", record.at_ms - earliest_ms, found)
            refused = record.status in _REFUSED and _target(record.path, record.query) in paths
            if refused and record.at_ms < earliest_ms + lifetime_ms - _TOLERANCE_MS:
                _add(documented, kind, [record], "a link is refused", record.at_ms - latest_ms, found)
        _media(documented, record, found)


def _target(path: str, query: str) -> str:
    return f"{path}?{query}"


def _media(documented: DocumentedSpec, record: Exchange, found: Differences) -> None:
    """Hold the content type of a file against that of its kind, where its path or the spec tells the kind."""
    operation = documented.provider.operations.get(record.operation or "")
    kinds = [each for each in documented.provider.results.values() if operation is None or each.path == operation.path]
    if record.status != 200 or len({each.media for each in kinds}) != 1:
        return
    kind = kinds[0]
    found.tested["media"] += 1
    seen = (record.answer_header("Content-Type") or "missing").partition(";")[0].strip().lower()
    if seen != kind.media:
        place = documented.mock.at("results", kind.name, "media")
        found.add(
            *("media", (seen,), [record]),
            seen=f"a file has the content type {seen}",
            asks=f"files are {kind.media}",
            place=place,
            edit=lambda _: Edit(place, seen),
        )
