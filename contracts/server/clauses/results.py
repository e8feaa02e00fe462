"""Results: links that work, to the documented files, until the documented expiry."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

from contracts.server.clauses import Exercised, Finding, broken, check, server_clause
from contracts.server.evidence import Evidence, Fetch, Observation, TaskTrace
from mockserver.clock import instant_of, iso_of
from mockserver.media.shape import mp4_duration_s
from mockserver.provider import ResultKind

_TOLERANCE_S = 0.5
_STATED_WITHIN_MS = 60_000


def _done(evidence: Evidence) -> Iterator[tuple[TaskTrace, Observation, ResultKind]]:
    """Yield the tasks that succeeded, the answer that showed it, and the kind of file they make."""
    for trace, observation, _ in evidence.ended("success"):
        kind = evidence.kind_of(trace)
        if kind is not None:
            yield trace, observation, kind


def _fetched(evidence: Evidence, *when: str) -> Iterator[tuple[TaskTrace, Fetch, ResultKind]]:
    for trace, _, kind in _done(evidence):
        for fetch in trace.fetches:
            if fetch.when in when and fetch.call.transport_error is None:
                yield trace, fetch, kind


@server_clause(
    "results.given",
    "A task that succeeded has as many links as requested.",
    fix="return the links in the first answer that shows the success",
    covers=["*.job.done-has-output"],
)
def given(evidence: Evidence) -> Iterator[Finding]:
    """Count the links in the answer that showed the end."""
    for trace, observation, kind in _done(evidence):
        links, wanted = evidence.links_of(observation), kind.count(trace.scope)
        yield check(len(links) == wanted, [observation.call], f"{len(links)} links", f"{wanted}")


@server_clause(
    "results.link-works",
    "A result's link returns the whole file, without the key, as soon as the task has ended.",
    fix="return the link only when the file is available, and serve it without the API key",
    covers=["*.result.location", "*.result.signed"],
)
def link_works(evidence: Evidence) -> Iterator[Finding]:
    """Check the downloads made when the end was seen."""
    for _, fetch, _ in _fetched(evidence, "fresh"):
        call = fetch.call
        length = call.exchange.answer_header("Content-Length")
        if call.status != 200:
            yield broken([call], f"{call.status}", "200 and the file")
        elif length is not None and length != str(len(call.content)):
            yield broken([call], f"{len(call.content)} of {length} bytes", "the whole file")
        else:
            yield check(bool(call.content), [call], "an empty file", "the file")


@server_clause(
    "results.media-type",
    "A result has the documented media type.",
    fix="set Content-Type to the file's media type",
    covers=["*.result.media-type"],
)
def media_type(evidence: Evidence) -> Iterator[Finding]:
    """Compare the content types of whole downloads."""
    for _, fetch, kind in _fetched(evidence, "fresh"):
        if fetch.call.status != 200:
            continue
        found = (fetch.call.exchange.answer_header("Content-Type") or "none").partition(";")[0].strip().lower()
        yield check(found == kind.media, [fetch.call], f"Content-Type {found}", kind.media)


@server_clause(
    "results.length",
    "A result has the requested duration.",
    fix="make the file as long as the submit asks, or as the documented default",
    covers=["*.submit.duration-default"],
    severity="should",
)
def plays_as_long(evidence: Evidence) -> Iterator[Finding]:
    """Compare the duration of the files."""
    for trace, fetch, kind in _fetched(evidence, "fresh"):
        wanted = kind.duration_s(trace.scope)
        if fetch.call.status != 200 or not isinstance(wanted, int | float):
            continue
        found = _duration_s(fetch.call.content)
        if found is not None and abs(found - wanted) <= _TOLERANCE_S:
            yield Exercised()
        else:
            seen = "a file whose duration cannot be read" if found is None else f"{found:g} s"
            yield broken([trace.submit, fetch.call], seen, f"{wanted:g} s")


def _duration_s(content: bytes) -> float | None:
    """Return the duration of a video or sound; None if it cannot be read."""
    if content[:4] != b"RIFF":
        return mp4_duration_s(content)
    try:
        with wave.open(BytesIO(content)) as sound:
            return float(sound.getnframes() / sound.getframerate())
    except (wave.Error, EOFError, ZeroDivisionError):
        return None


@server_clause(
    "results.lasts",
    "A result's link works until just before it expires.",
    fix="keep files and links for the documented lifetime",
    covers=["*.result.expiry-*"],
)
def lasts(evidence: Evidence) -> Iterator[Finding]:
    """Check downloads shortly before the link expires, if the clock can be advanced."""
    for _, fetch, kind in _fetched(evidence, "before"):
        yield check(
            fetch.call.status in (200, 206),
            [fetch.call],
            f"{fetch.call.status} before the end of {kind.lifetime_s} s",
            "the file",
        )


@server_clause(
    "results.expires",
    "An expired link is refused with the documented answer.",
    fix="let links expire when the document says",
    covers=["*.result.expiry-*", "*.result.time-limited"],
)
def expires(evidence: Evidence) -> Iterator[Finding]:
    """Check downloads after the link has expired, if the clock can be advanced."""
    for _, fetch, kind in _fetched(evidence, "late"):
        yield check(
            fetch.call.status == kind.expired.status,
            [fetch.call],
            f"{fetch.call.status} after the end of {kind.lifetime_s} s",
            f"{kind.expired.status}",
        )


@server_clause(
    "results.stated-end",
    "A stated expiry of a link is the documented lifetime after the task's end.",
    fix="compute the stated expiry from the task's end and the documented lifetime",
    covers=["*.result.expiry-*"],
)
def stated_end(evidence: Evidence) -> Iterator[Finding]:
    """Compare stated expiries with the instants between which the task ended."""
    for trace, observation, kind in _done(evidence):
        stated_ms = _stated_ms(evidence, observation, kind)
        found = evidence.ending(trace)
        if stated_ms is None or found is None:
            continue
        before = trace.submit if found[0] is None else found[0].call
        earliest_ms = before.exchange.at_ms + kind.lifetime_s * 1000 - _STATED_WITHIN_MS
        latest_ms = observation.call.exchange.at_ms + kind.lifetime_s * 1000 + _STATED_WITHIN_MS
        yield check(
            earliest_ms <= stated_ms <= latest_ms,
            [before, observation.call],
            f"a link that expires at {iso_of(stated_ms, digits=0)}",
            f"{kind.lifetime_s} s after the task's end: {iso_of(latest_ms - _STATED_WITHIN_MS, digits=0)}",
        )


def _stated_ms(evidence: Evidence, observation: Observation, kind: ResultKind) -> int | None:
    """Read when a link expires, from the answer or from the link itself."""
    for fact, factor in (("$task.expires_unix_ms", 1), ("$task.expires_unix_s", 1000)):
        value = evidence.queried.read(fact, observation.call.json)
        if isinstance(value, int):
            return value * factor
    text = evidence.queried.read("$task.expires_iso", observation.call.json)
    if isinstance(text, str):
        try:
            return instant_of(text)
        except ValueError:
            return None
    if kind.expires_parameter is None:
        return None
    for url in evidence.links_of(observation):
        values = parse_qs(urlsplit(url).query).get(kind.expires_parameter, [])
        if values and values[0].isdecimal():
            return int(values[0]) * 1000
    return None


@server_clause(
    "results.signature-needed",
    "A signed link without its signature is refused.",
    fix="check the signature of signed links",
    applies=lambda provider: any(kind.signature_parameter for kind in provider.results.values()),
    covers=["*.result.signed"],
)
def signature_needed(evidence: Evidence) -> Iterator[Finding]:
    """Check downloads from links without their signature."""
    for _, fetch, kind in _fetched(evidence, "unsigned"):
        yield check(
            fetch.call.status == kind.unsigned.status,
            [fetch.call],
            f"{fetch.call.status} without the signature",
            f"{kind.unsigned.status}",
        )
