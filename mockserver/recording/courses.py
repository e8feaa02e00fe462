"""Makes courses of recorded traffic: what each submit was answered, and how its task went on, for a replay.

An answer is shown from when it was recorded, or from the instant of the change of state that it tells itself, until
the next one. What was recorded before the journal begins, cut off or not answered makes no course.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from mockserver.engine.course import Course, Identity, Pairs, RecordedCallback, Recording, Shown
from mockserver.engine.leaves import leaves, links_in
from mockserver.engine.renewal import NEAR_MS, told_instant
from mockserver.engine.routes import Router
from mockserver.provider import End, Provider, State
from mockserver.recording.files import read_file
from mockserver.recording.headers import is_common
from mockserver.recording.records import by_provider, by_run
from mockserver.recording.values import REDACTED, Delivery, Exchange, JournalError, Record
from mockserver.spec.pointer import pointed

JSON = "application/json"
_ABOUT_TASKS = ("query", "cancel")
#: A refused submit is replayed if it did not depend on what was sent.
_TRANSIENT = frozenset((429, *range(500, 600)))
#: What refuses a key.
_ABOUT_KEYS = (401, 403)
_EXPIRES = re.compile(r"expir", re.IGNORECASE)
_DROPPED = frozenset(("content-type", "x-mock-evicted"))


def read_recordings(path: Path, providers: Iterable[Provider]) -> dict[str, Recording]:
    """Read a journal or a HAR file; return what was recorded of each provider.

    Raises:
        JournalError: the file cannot be read, is torn, or has no submit to one of the providers.
    """
    served = list(providers)
    file = read_file(path)
    if file.torn_line:
        raise JournalError(f"{path}:{file.torn_line}: the record is cut off; remove the line to replay the others")
    if not file.records:
        raise JournalError(f"{path}: has no records")
    try:
        found = by_provider(file.records, served)
    except JournalError as error:
        raise JournalError(f"{path}: {error}") from None
    recordings = {each.name: recording_of(each, found[each.name]) for each in served if each.name in found}
    recordings = {name: each for name, each in recordings.items() if each.courses}
    if not recordings:
        names = ", ".join(each.name for each in served)
        raise JournalError(f"{path}: has no answered submit to any of the providers served here: {names}")
    return recordings


def recording_of(provider: Provider, records: Sequence[Record]) -> Recording:
    """Return what was recorded of a provider."""
    about: dict[tuple[int, str], list[Record]] = defaultdict(list)
    submits: list[tuple[int, Exchange]] = []
    for run, record in by_run(records):
        if isinstance(record, Exchange) and record.gate == "proxy":
            continue  # what `mockserver record` has answered itself
        if isinstance(record, Exchange) and record.role == "submit":
            submits.append((run, record))
        elif record.task is not None:
            about[run, record.task].append(record)
    called_back = any(isinstance(each, Delivery) for each in records)
    made = (
        _course(provider, submit, about[run, submit.task or ""], called_back=called_back)
        for run, submit in submits
        if submit.body_whole and submit.json is not None
    )
    return Recording(tuple(each for each in made if each is not None))


def _course(provider: Provider, submit: Exchange, records: list[Record], *, called_back: bool) -> Course | None:
    answer = _shown(provider, submit, 0)
    if answer is None or submit.operation is None or answer.status in _ABOUT_KEYS:
        return None
    if submit.task is None or answer.status >= 300:
        if answer.status not in _TRANSIENT:
            return None
        return Course(
            submit.seq, submit.operation, Identity(submit.at_ms, "", submit.account or "", submit.json), answer
        )
    return _Telling(provider, submit, answer, records).course(called_back=called_back)


def _shown(provider: Provider, exchange: Exchange, from_ms: int) -> Shown | None:
    """Return a recorded answer; None if there was none, or if the journal has not kept it whole."""
    text = exchange.answer_body or ""
    if exchange.status is None or exchange.status < 200 or exchange.method == "HEAD":
        return None
    if len(text.encode("utf-8", "replace")) < exchange.answer_bytes:
        return None
    kept = tuple(
        (name, value)
        for name, value in exchange.answer_headers
        if not is_common(name.lower())
        and name.lower() not in _DROPPED
        and name.lower() != provider.request_id_header.lower()
        and not REDACTED.search(value)
    )
    answer, media = exchange.answer, exchange.answer_header("Content-Type")
    is_json = answer is not None or text.strip() == "null"
    request_id = exchange.answer_header(provider.request_id_header) or ""
    body = answer if is_json else text
    return Shown(from_ms, exchange.status, kept, media or JSON, body, is_json, request_id, exchange.error)


class _Sight(NamedTuple):
    """An answer about the task, with the state that it shows; None if it is an error or shows none."""

    operation: str
    at_ms: int
    state: str | None
    answer: Shown


class _Telling:
    """Tells the course of one task by its records."""

    def __init__(self, provider: Provider, submit: Exchange, answer: Shown, records: list[Record]) -> None:
        self._provider = provider
        self._submit = submit
        self._answer = answer
        self._deliveries = _first_attempts(
            each for each in records if isinstance(each, Delivery) and not each.commanded
        )
        exchanges = [
            each
            for each in records
            if isinstance(each, Exchange) and each.role in _ABOUT_TASKS and not self._is_of_another(each)
        ]
        self._sights = [
            _Sight(each.operation or "", at_ms, self._state(each), shown)
            for each in exchanges
            for at_ms in (each.at_ms - submit.at_ms,)
            if (shown := _shown(provider, each, at_ms)) is not None
        ]
        bodies = [answer.body, *(each.answer.body for each in self._sights), *(each.json for each in self._deliveries)]
        self._identity = _identity(provider, submit, bodies)
        cancelled = (number for number, each in enumerate(self._sights) if self._cancels(each))
        self._cancelled_at = next(cancelled, len(self._sights))

    def _is_of_another(self, exchange: Exchange) -> bool:
        """Tell whether an answer is about the key: it is refused, or another than that of the submit."""
        status, header = exchange.status or 0, self._provider.key.header
        own, other = (each.account or each.header(header) for each in (self._submit, exchange))
        return status in _ABOUT_KEYS or (status >= 400 and None not in (own, other) and own != other)

    def _cancels(self, sight: _Sight) -> bool:
        """Tell whether an answer is that of an accepted cancellation."""
        operation = self._provider.operations.get(sight.operation)
        return operation is not None and operation.role == "cancel" and sight.answer.status < 300

    def _cancelled(self) -> Course | None:
        """Return what followed a cancellation, beginning with its answer."""
        cancel, *later = self._sights[self._cancelled_at :] or (None,)
        if cancel is None:
            return None
        answers: dict[str, list[Shown]] = defaultdict(list)
        for each in later:
            answers[each.operation].append(each.answer._replace(from_ms=each.at_ms - cancel.at_ms))
        kept = {name: tuple(each) for name, each in answers.items()}
        identity = replace(self._identity, cancelled_ms=cancel.at_ms)
        return Course(self._submit.seq, "", identity, cancel.answer, kept)

    def _state(self, exchange: Exchange) -> str | None:
        operation = self._provider.operations.get(exchange.operation or "")
        if operation is None or exchange.status is None or exchange.status >= 300:
            return None
        words = (pointed(exchange.answer, keys) for keys in operation.status_at)
        word = next((each for each in words if isinstance(each, str)), None)
        return None if word is None else operation.status_words.get(word, word)

    def course(self, *, called_back: bool) -> Course:
        """Return the course."""
        submit, lifecycle = self._submit, self._provider.lifecycle
        states: list[tuple[str, int]] = [(self._state(submit) or lifecycle.states[0].name, 0)]
        answers: dict[str, list[Shown]] = defaultdict(list)
        end: tuple[End, int] | None = None
        before_ms, told = 0, set(_instants(self._answer.body, submit.at_ms))
        for sight in self._sights[: self._cancelled_at]:
            from_ms = sight.at_ms
            ends = None if sight.state is None else self._end(sight)
            if end is None and sight.state is not None and (ends is not None or sight.state != states[-1][0]):
                from_ms = self._changed_ms(sight, before_ms, told, is_end=ends is not None)
                if ends is not None:
                    end = ends, from_ms
                else:
                    states.append((sight.state, from_ms))
            elif sight.state is not None and not answers[sight.operation] and len(states) == 1 and end is None:
                from_ms = 0  # the state of the submit, which it is in from the beginning
            before_ms = sight.at_ms
            told |= set(_instants(sight.answer.body, submit.at_ms))
            answers[sight.operation].append(sight.answer._replace(from_ms=from_ms))
        cancelled = self._cancelled()
        end = end or (None if cancelled else self._end_called_back())
        return Course(
            submit.seq,
            submit.operation or "",
            self._identity,
            self._answer,
            {name: tuple(sorted(each, key=lambda shown: shown.from_ms)) for name, each in answers.items()},
            tuple(map(self._callback, self._deliveries)) if called_back else None,
            tuple(self._known(name) for name, _ in states),
            tuple(at_ms for _, at_ms in states[1:]),
            None if end is None else end[0],
            None if end is None else max(end[1], states[-1][1] + 1),
            None if end is None else self._lifetime_s(end[1]),
            cancelled,
        )

    def _known(self, name: str) -> State:
        found = next((each for each in self._provider.lifecycle.states if each.name == name), None)
        return found or State(name, 0, 0, 0, 100)

    def _end(self, sight: _Sight) -> End | None:
        """Return the end that an answer shows: by its state, or by its links."""
        lifecycle = self._provider.lifecycle
        known = lifecycle.ends.get(sight.state or "")
        files = {url for url, _ in self._identity.links}
        if known is None and any(url in files for url in links_in(sight.answer.body)):
            return lifecycle.success
        return known

    def _end_called_back(self) -> tuple[End, int] | None:
        """Return the end that a callback tells, where no query showed one."""
        ends = self._provider.lifecycle.ends
        return next(
            ((ends[each.event], each.at_ms - self._submit.at_ms) for each in self._deliveries if each.event in ends),
            None,
        )

    def _changed_ms(self, sight: _Sight, before_ms: int, known: set[int], *, is_end: bool) -> int:
        """Return when the task came into a state: as its answer or a callback tells it, or else when it was seen."""
        told = [each for each in _instants(sight.answer.body, self._submit.at_ms) if each not in known]
        told += [each.at_ms for each in self._deliveries] if is_end else []
        since_ms = [each - self._submit.at_ms for each in told]
        within = [each for each in since_ms if max(before_ms - 1000, 0) < each <= sight.at_ms]
        return max(max(within, default=sight.at_ms), before_ms + bool(before_ms))

    def _lifetime_s(self, ends_ms: int) -> int | None:
        """Return how long links last after the end, as answers or the links themselves tell it."""
        ends_s = (self._submit.at_ms + ends_ms) // 1000
        for sight in self._sights:
            for at_ms in _expiries(sight.answer.body, self._submit.at_ms):
                if at_ms // 1000 > ends_s:
                    return at_ms // 1000 - ends_s
        return None

    def _callback(self, delivery: Delivery) -> RecordedCallback:
        body = delivery.json
        headers = tuple(each for each in delivery.headers if not is_common(each[0].lower()) or _is_type(each[0]))
        is_json = body is not None
        shown = body if is_json else delivery.body or ""
        return RecordedCallback(delivery.at_ms - self._submit.at_ms, delivery.event, shown, is_json, headers)


def _is_type(name: str) -> bool:
    return name.lower() == "content-type"


def _first_attempts(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Return the first attempt of each callback that was sent, and those after an attempt that was acknowledged."""
    found: list[Delivery] = []
    before: dict[str, Delivery] = {}
    for each in deliveries:
        if each.outcome != "lost" and (each.delivery not in before or before[each.delivery].outcome == "acknowledged"):
            found.append(each)
        before[each.delivery] = each
    return found


def _identity(provider: Provider, submit: Exchange, bodies: Iterable[Any]) -> Identity:
    """Find the links in all answers about a task, without those that repeat the submit."""
    router, repeated = Router(provider.routes), set(links_in(submit.json))
    numbers: dict[str, int] = {}
    files: dict[str, int] = {}
    api: list[tuple[str, str]] = []
    for url in (each for body in bodies for each in links_in(body)):
        if url in repeated or url in files:
            continue
        parts = urlsplit(url)
        own = (
            parts.path.removeprefix(f"/{provider.name}") if parts.path.startswith(f"/{provider.name}/") else parts.path
        )
        operation = router.find("GET", own).operation
        if operation is not None and operation.role not in ("result", "file"):
            api.append((url, f"{own}?{parts.query}" if parts.query else own))
            continue
        files[url] = numbers.setdefault(f"{parts.netloc}{parts.path}", len(numbers))
    pairs: Pairs = tuple(dict.fromkeys(api))
    return Identity(submit.at_ms, submit.task or "", submit.account or "", submit.json, tuple(files.items()), pairs)


def _instants(value: Any, near_ms: int) -> Iterator[int]:
    """Yield the instants in an answer, in milliseconds since 1970, but not those at which something expires."""
    for name, each in leaves(value):
        found = None if _EXPIRES.search(name) else _instant(each, near_ms)
        if found is not None:
            yield found


def _expiries(value: Any, near_ms: int) -> Iterator[int]:
    """Yield the instants at which links expire: under names that say so, and in the query of the links."""
    for name, each in leaves(value):
        named = parse_qsl(urlsplit(each).query) if isinstance(each, str) and "://" in each else [(name, each)]
        for key, told in named:
            found = _instant(told, near_ms) if _EXPIRES.search(key) else None
            if found is not None:
                yield found


def _instant(value: Any, near_ms: int) -> int | None:
    if isinstance(value, str):
        if value.isdecimal() and len(value) in (10, 13):
            return _instant(int(value), near_ms)
        return told_instant(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return next((int(each) for each in (value * 1000, value) if abs(each - near_ms) < NEAR_MS), None)
