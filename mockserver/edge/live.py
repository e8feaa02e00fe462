"""The live page under /__admin/ui, and the events that tell it what is happening now.

A stream looks five times a second whether there is anything to tell, and tells it in one event. While nothing
happens it asks the journal for no more than its last number, and no request that is served does anything for it.
A page that lags behind is not caught up with: it gets the newest records, and is told how many it has missed.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import cache
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from aiohttp import web

from mockserver.edge.admin import account_record, delivery_record, newest_tasks, provider_record, task_record
from mockserver.edge.rule_codec import rule_record
from mockserver.engine.context import RequestContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mockserver.edge.runtime import Runtime
    from mockserver.engine.accounts import Account
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.state import ProviderState
    from mockserver.engine.task import Task

    Record = dict[str, Any]

PERIOD_S = 0.2
PING_AFTER_S = 15.0
TASKS_SHOWN = 60
ACCOUNTS_SHOWN = 60
DELIVERIES_SHOWN = 120
FAULTS_SHOWN = 100
RECORDS_AT_FIRST = 200
RECORDS_AT_ONCE = 100
_PROMPT_CHARACTERS = 200

_FOLDER = Path(__file__).with_name("ui")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
_STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Server": "mockserver",
}
_RECONNECT = b"retry: 1000\n\n"
_PING = b": ping\n\n"


class PageFile(NamedTuple):
    """A file of the page, as it is served."""

    content_type: str
    content: bytes
    headers: tuple[tuple[str, str], ...] = PAGE_HEADERS


@cache
def page_files() -> Mapping[str, PageFile]:
    """Return the files of the page by their names; read when the first is asked for."""
    return {
        path.name: PageFile(f"{_TYPES[path.suffix]}; charset=utf-8", path.read_bytes())
        for path in sorted(_FOLDER.iterdir())
        if path.suffix in _TYPES
    }


class Live:
    """The live page of one server, and the streams of events that are open."""

    def __init__(self, touch: Callable[[Runtime], None]) -> None:
        self._looked_at = touch
        self._closing = asyncio.Event()
        self._writing: set[asyncio.Transport] = set()

    def close(self) -> None:
        """Let every stream end at once; those whose readers do not read are cut off."""
        self._closing.set()
        for transport in list(self._writing):
            transport.abort()

    def page(self, *, in_folder: bool) -> PageFile:
        """Return the page for /ui/, or for /ui, from where its files are one level further down."""
        whole = page_files()["index.html"]
        return whole if in_folder else whole._replace(content=whole.content.replace(b'="./', b'="./ui/'))

    def file(self, name: str) -> PageFile | None:
        """Return what the page is made of beside itself."""
        return None if name == "index.html" else page_files().get(name)

    async def stream(self, request: web.BaseRequest, runtime: Runtime, *, once: bool) -> web.StreamResponse:
        """Tell a page what is there, then what changes, until it goes away or the server stops."""
        response = web.StreamResponse(headers=_STREAM_HEADERS)
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            await response.write(_RECONNECT)
            await self._tell(request, response, runtime, once=once)
        return response

    async def _tell(
        self, request: web.BaseRequest, response: web.StreamResponse, runtime: Runtime, *, once: bool
    ) -> None:
        told = ChangeFeed(runtime)
        seconds = asyncio.get_running_loop().time
        told_at_s = seconds()
        while not (self._closing.is_set() or runtime.closed or _has_gone(request)):
            news = b"".join(_event(name, data) for name, data in told.news())
            if not news and seconds() - told_at_s >= PING_AFTER_S:
                news = _PING
            if news:
                self._looked_at(runtime)
                await self._write(request, response, news)
                told_at_s = seconds()
            if once:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), PERIOD_S)

    async def _write(self, request: web.BaseRequest, response: web.StreamResponse, news: bytes) -> None:
        transport = request.transport
        assert transport is not None
        self._writing.add(transport)
        try:
            await response.write(news)
        finally:
            self._writing.discard(transport)


def _has_gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def _event(name: str, data: Record) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))


class ChangeFeed:
    """What one page has been told of a run, and so what is news to it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._world: object = None
        self._clock: tuple[int, float] = (0, 0.0)
        self._seq = 0
        self._forgotten_seq = 0
        self._followed: dict[str, _Followed] = {}

    def news(self) -> Iterator[tuple[str, Record]]:
        """Give the events that are due now, by name; none where nothing has changed."""
        runtime = self._runtime
        journal = runtime.journal
        if self._world is not runtime.world:
            if self._world is not None:
                yield "reset", {"what": "all"}
            yield "snapshot", self._snapshot()
            return
        if self._forgotten_seq != journal.forgotten_seq:
            self._forgotten_seq = journal.forgotten_seq
            yield "reset", {"what": "journal"}
        changes = self._changes()
        clock = runtime.clock.now_ms(), runtime.clock.speed
        if changes or clock != self._clock:
            self._clock = clock
            yield "update", {"now_ms": clock[0], "speed": clock[1], **changes}

    def _snapshot(self) -> Record:
        runtime = self._runtime
        self._world = runtime.world
        self._forgotten_seq = runtime.journal.forgotten_seq
        self._seq = runtime.journal.last_seq
        self._clock = runtime.clock.now_ms(), runtime.clock.speed
        found = _found(runtime, self._clock[0])
        self._followed = {kind: _Followed(records) for kind, records in found.items()}
        return {
            "now_ms": self._clock[0],
            "speed": self._clock[1],
            "providers": [
                provider_record(state.provider, runtime.base_urls[name])
                for name, state in runtime.world.providers.items()
            ],
            **found,
            "records": runtime.journal.newest(RECORDS_AT_FIRST),
        }

    def _changes(self) -> Record:
        runtime = self._runtime
        out: Record = {}
        last_seq = runtime.journal.last_seq
        if last_seq != self._seq:
            out["records"] = runtime.journal.newest(RECORDS_AT_ONCE, self._seq)
            out["skipped"] = last_seq - self._seq - len(out["records"])
            self._seq = last_seq
        gone = {}
        for kind, records in _found(runtime, runtime.clock.now_ms()).items():
            followed = self._followed[kind]
            changed, away = followed.compare(records)
            if changed:
                out[kind] = changed
            if away:
                gone[kind] = away
        if gone:
            out["gone"] = gone
        return out


class _Followed:
    """The things of one kind that a page knows, by their ids."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._known = {record["id"]: record for record in records}

    def compare(self, records: Iterable[Record]) -> tuple[list[Record], list[str]]:
        """Take in how things are now; return the fields that have changed, and the ids of what is gone."""
        before, self._known = self._known, {record["id"]: record for record in records}
        changed = []
        for name, record in self._known.items():
            old = before.get(name)
            if old is None:
                changed.append(record)
            elif old != record:
                fields = {field: value for field, value in record.items() if old.get(field) != value}
                changed.append({"id": name, **fields})
        return changed, [name for name in before if name not in self._known]


def _found(runtime: Runtime, now_ms: int) -> dict[str, list[Record]]:
    """Return what a page shows, beside the records: of each kind the newest, oldest first."""
    world = runtime.world
    tasks = list(islice(newest_tasks(world.providers.values()), TASKS_SHOWN))
    return {
        "tasks": [_task(state, task, now_ms) for state, task in reversed(tasks)],
        "accounts": [account_record(*each, now_ms) for each in _newest_accounts(world.providers.values())],
        "deliveries": [delivery_record(each) for each in _newest_deliveries(world.finished, world.under_way)],
        "faults": [rule_record(rule) for rule in list(world.faults.rules.values())[-FAULTS_SHOWN:]],
    }


def _newest_accounts(providers: Iterable[ProviderState]) -> list[tuple[ProviderState, Account]]:
    """Return the accounts opened last, as many of each provider's as there is room for, oldest first."""
    each_newest_first = (
        [(state, account) for account in islice(reversed(state.accounts.values()), ACCOUNTS_SHOWN)]
        for state in providers
    )
    in_turns = chain.from_iterable(zip_longest(*each_newest_first))
    return [each for each in in_turns if each is not None][:ACCOUNTS_SHOWN][::-1]


def _newest_deliveries(*by_id: dict[str, Delivery]) -> list[Delivery]:
    newest = [each for deliveries in by_id for each in islice(reversed(deliveries.values()), DELIVERIES_SHOWN)]
    return sorted(newest, key=lambda each: (len(each.id), each.id))[-DELIVERIES_SHOWN:]


def _task(state: ProviderState, task: Task, now_ms: int) -> Record:
    """Write a task down without its body, which may be large: the page asks for it when somebody looks."""
    record = task_record(state, task, now_ms)
    del record["request"]
    return {**record, "prompt": _prompt(state, task), "course": course(task, now_ms)}


def _prompt(state: ProviderState, task: Task) -> str:
    policy = state.provider.content_policy
    context = RequestContext(state, task.submitted_ms)
    context.task, context.body = task, task.body
    for value in () if policy is None else policy.texts:
        if isinstance(text := value(context), str):
            return text[:_PROMPT_CHARACTERS]
    return ""


def course(task: Task, now_ms: int) -> list[Record]:
    """Return the states a task has been in so far, each with its kind and the instant it was entered.

    The kinds are `waiting` (the first state), `working` (the other states on the way), `held`, and those of
    an end: success, failure, cancellation.
    """
    held_ms = task.held_ms if task.held_ms is not None and task.held_ms <= now_ms else None
    seen_ms = now_ms if held_ms is None else held_ms
    until_ms = min(seen_ms, task.ends_ms)
    out = [
        {"state": state.name, "kind": "working" if number else "waiting", "from_ms": entered_ms}
        for number, (state, entered_ms) in enumerate(
            zip(task.model.states, (task.submitted_ms, *task.entered_ms), strict=True)
        )
        if entered_ms <= until_ms and entered_ms < max(task.ends_ms, task.submitted_ms + 1)
    ]
    if seen_ms >= task.ends_ms:
        out.append({"state": task.end.name, "kind": task.end.kind, "from_ms": task.ends_ms})
    elif held_ms is not None:
        out.append({"state": out[-1]["state"], "kind": "held", "from_ms": held_ms})
    return out
