"""Renewal: puts the ids, links, times and texts of a task of today into what was recorded of another.

Replaced wherever they occur, in values, keys and headers:

    ids      of the task, its account and the request
    links    to files and to the API: by links of this server
    texts    of the submit body, where an answer repeats them
    times    within 400 days of the recorded submit: Unix seconds and milliseconds, ISO 8601, dates as in HTTP

Ids and links are replaced as whole words: `task-1` stays in `task-10`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from email.utils import formatdate, parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import orjson

from mockserver.clock import instant_of, iso_of
from mockserver.engine.context import RequestContext
from mockserver.engine.course import Identity, Pairs, Shown
from mockserver.engine.leaves import leaves
from mockserver.engine.messages import Response

#: What is further from the recorded submit than this is no time of its task.
NEAR_MS = 400 * 86_400_000
_SHORTEST_TEXT = 2
_ISO = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?P<gap>[T ])(?P<time>\d\d:\d\d:\d\d)(?P<rest>\.\d{1,9})?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d|)"
)
_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
#: Where a word begins, also after an escaped character of a URL.
_BEGINS = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2}))"
_ENDS = r"(?![A-Za-z0-9])"
_UNIX = re.compile(r"[0-9]{10}(?:[0-9]{3})?")


def recorded_response(context: RequestContext, operation: str) -> Response | None:
    """Return what was recorded for an operation at this time of a task; None where nothing was, or faults show more."""
    task = context.task
    course = None if task is None else task.course
    if task is None or course is None or task.revision != course.revision or context.view is not None:
        return None
    shown = course.shown(operation, context.now_ms - task.submitted_ms)
    return None if shown is None else response_of(context, course.recorded, shown)


def response_of(context: RequestContext, recorded: Identity, shown: Shown) -> Response:
    """Render a recorded answer."""
    renewal = Renewal(context, recorded, shown.request_id)
    headers = tuple((name, renewal.text(value)) for name, value in shown.headers)
    body = renewal.bytes(shown.body, is_json=shown.is_json)
    return Response(shown.status, body, shown.content_type, headers, error=shown.error)


def recorded_callbacks(context: RequestContext) -> list[tuple[int, str, bytes, Pairs]] | None:
    """Render the recorded callbacks of a task: due time, event, body and headers of each; None if it has no course."""
    task = context.task
    assert task is not None
    course = task.course
    if course is None or task.revision != course.revision or course.callbacks is None:
        return None
    renewal = Renewal(context, course.recorded, "")
    return [
        (
            task.submitted_ms + each.delay_ms,
            each.event,
            renewal.bytes(each.body, is_json=each.is_json),
            tuple((name, renewal.text(value)) for name, value in each.headers),
        )
        for each in course.callbacks
    ]


class Renewal:
    """Renews the answers about one task."""

    __slots__ = (
        "_cancelled_later_ms",
        "_cancelled_ms",
        "_exact",
        "_new_id",
        "_numbers",
        "_old_id",
        "_old_ms",
        "_old_s",
        "_parts",
        "_pattern",
        "_shift_ms",
        "_shift_s",
    )

    def __init__(self, context: RequestContext, recorded: Identity, request_id: str) -> None:
        task = context.task
        new_ms = context.now_ms if task is None else task.submitted_ms
        self._old_ms, self._old_s = recorded.at_ms, recorded.at_ms // 1000
        self._shift_ms, self._shift_s = new_ms - recorded.at_ms, new_ms // 1000 - self._old_s
        self._cancelled_ms = recorded.at_ms + recorded.cancelled_ms
        self._cancelled_later_ms = recorded.cancelled_later_ms
        new_id = "" if task is None else task.id
        account = context.account if task is None else task.account
        ids = {recorded.task_id: new_id, recorded.account_id: "" if account is None else account.id}
        ids[request_id] = context.request_id
        parts = {form: new for old, new in ids.items() if old and new for form in (old, quote(old, safe=""))}
        urls = context.task_result_urls if recorded.links and task is not None else []
        root = context.server_url
        links = {url: urls[min(number, len(urls) - 1)] if urls else root for url, number in recorded.links}
        links |= {url: root + _replaced(path, parts, _words(parts)) for url, path in recorded.api_links}
        self._old_id, self._new_id = recorded.task_id, new_id
        if recorded.task_id.isdecimal():  # a number in a text is no id
            del parts[recorded.task_id]
        body = context.body if task is None else task.body
        self._numbers = {each for _, each in leaves(recorded.body) if isinstance(each, int | float)}
        lifecycle = context.state.provider.lifecycle
        states = {each.name for each in lifecycle.states} | set(lifecycle.ends)
        repeated = {old: new for old, new in _repeated(recorded.body, body) if old not in states}
        self._exact = {**repeated, **links}
        for old, new in links.items():  # a text may hold a link without its query
            parts |= {old: new, old.partition("?")[0]: new.partition("?")[0]}
        self._parts, self._pattern = parts, _words(parts)

    def bytes(self, body: Any, *, is_json: bool) -> bytes:
        """Write a body with everything renewed."""
        return dumped(self.value(body)) if is_json else self.text(str(body)).encode("utf-8", "replace")

    def value(self, value: Any) -> Any:
        """Renew JSON."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {_replaced(key, self._parts, self._pattern): self._under(key, each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, bool) or not isinstance(value, int | float) or value in self._numbers:
            return value
        return self._number(value)

    def _under(self, key: str, value: Any) -> Any:
        """Renew what stands under a key: an id may be a number there."""
        is_id = self._new_id and key.lower().endswith("id") and str(value) == self._old_id
        return self._new_id if is_id else self.value(value)

    def text(self, text: str) -> str:
        """Renew a text."""
        if text in self._exact:
            return self._exact[text]
        if _UNIX.fullmatch(text):
            return str(self._number(int(text)))
        at_ms = told_instant(text)
        if at_ms is None:  # without its time zone, it moves as far
            at_ms = told_instant(f"{text}Z")
        if at_ms is not None and abs(at_ms - self._old_ms) < NEAR_MS:
            return self._instant(text, at_ms)
        return _replaced(text, self._parts, self._pattern)

    def _number(self, value: float) -> float:
        if abs(value * 1000 - self._old_ms) < NEAR_MS:
            later_s = self._later_ms(value * 1000) / 1000
            return value + (
                self._shift_s + round(later_s) if isinstance(value, int) else self._shift_ms / 1000 + later_s
            )
        return value + self._shift_ms + self._later_ms(value) if abs(value - self._old_ms) < NEAR_MS else value

    def _later_ms(self, at_ms: float) -> int:
        """Return how much later an instant is for being that of the cancellation, or after it."""
        return self._cancelled_later_ms if at_ms > self._cancelled_ms - 1000 else 0

    def _instant(self, text: str, at_ms: int) -> str:
        """Shift an instant; its notation stays."""
        found = _ISO.fullmatch(text)
        at_ms += self._later_ms(at_ms)
        if found is None:
            return formatdate(at_ms // 1000 + self._shift_s, usegmt=True)
        zone, rest = found["zone"], found["rest"]
        at_ms += self._shift_ms if rest else self._shift_s * 1000
        if zone not in ("", "Z"):
            away_min = int(zone[1:3]) * 60 + int(zone[-2:])
            at_ms += (away_min if zone[0] == "+" else -away_min) * 60_000
        new = iso_of(at_ms)
        fraction = "" if not rest else f".{new[20:23]}{rest[4:]}"[: max(2, len(rest))]
        return f"{new[:10]}{found['gap']}{new[11:19]}{fraction}{zone}"


def _words(parts: Mapping[str, str]) -> re.Pattern[str] | None:
    """Return what finds texts as whole words, the longest first; None if there are none."""
    longest_first = sorted(map(re.escape, parts), key=len, reverse=True)
    return re.compile(f"{_BEGINS}(?:{'|'.join(longest_first)}){_ENDS}") if parts else None


def _replaced(text: str, parts: Mapping[str, str], words: re.Pattern[str] | None) -> str:
    return text if words is None else words.sub(lambda found: parts[found[0]], text)


def told_instant(text: str) -> int | None:
    """Return the instant that a text is; None if it is none, or has no time zone."""
    try:
        if (found := _ISO.fullmatch(text)) is not None:
            return instant_of(text) if found["zone"] else None
        if _HTTP_DATE.fullmatch(text):
            return round(parsedate_to_datetime(text).timestamp() * 1000)
    except ValueError:
        pass  # no such day
    return None


def dumped(value: Any) -> bytes:
    """Write JSON, also with what orjson refuses: integers of more than 64 bits, halves of surrogate pairs."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def _repeated(old: Any, new: Any) -> Iterator[tuple[str, str]]:
    """Yield the texts of the recorded submit body, and those at the same places of the new one."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() & new.keys():
            yield from _repeated(old[key], new[key])
    elif isinstance(old, list) and isinstance(new, list):
        for before, after in zip(old, new, strict=False):
            yield from _repeated(before, after)
    elif isinstance(old, str) and isinstance(new, str) and len(old) >= _SHORTEST_TEXT:
        yield old, new
