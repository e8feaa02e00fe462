"""The live page's files and its stream of events, over HTTP: who gets them, what they contain, when they end."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import jsonschema
import orjson
import pytest
from support.edge import PATIENCE_S, PROVIDERS, Edge, nothing_logged, receiving, request_bytes, serving

from mockserver.clock import MANUAL_START_MS
from mockserver.edge.admin.api import control_plane
from mockserver.edge.live import feed, page
from mockserver.engine.task import end_now, hold, release, status_at
from mockserver.spec.vocabulary import builtin_specs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from mockserver.engine.task import Task

DOCUMENT = control_plane().document
JOURNAL = orjson.loads((builtin_specs()[0].parent / "journal.schema.json").read_bytes())
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
EVENTS = {"snapshot": "LiveSnapshot", "update": "LiveUpdate", "reset": "LiveReset"}
KINDS = ("tasks", "accounts", "deliveries", "faults")


def validate(name: str, data: Any) -> None:
    """Hold an event to its schema in the document, and its records to the journal's."""
    schema = {**DOCUMENT.data["components"]["schemas"][EVENTS[name]], "components": DOCUMENT.data["components"]}
    jsonschema.Draft202012Validator(schema).validate(data)
    records = jsonschema.Draft202012Validator(JOURNAL)
    for record in data.get("records", ()):
        records.validate(record)


@dataclass
class Watcher:
    """A reader of the stream that puts together what it is told, as the page does."""

    response: aiohttp.ClientResponse
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    skipped: int = 0
    names: list[str] = field(default_factory=list)
    now_ms: int = 0

    async def piece(self) -> bytes:
        """Read up to the next blank line."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.response.content.readuntil(b"\n\n")

    async def next(self) -> tuple[str, Any]:
        """Take in the next event."""
        while not (piece := await self.piece()).startswith(b"event: "):
            pass
        line, data, _, _ = piece.split(b"\n")
        name, value = line.removeprefix(b"event: ").decode(), orjson.loads(data.removeprefix(b"data: "))
        validate(name, value)
        self.names.append(name)
        self._take(name, value)
        return name, value

    def _take(self, name: str, value: Any) -> None:
        if name == "reset":
            self.records.clear()
            return
        if name == "snapshot":
            self.known = {kind: {} for kind in KINDS}
            self.records.clear()
        self.now_ms = value["now_ms"]
        for kind in KINDS:
            for patch in value.get(kind, ()):
                self.known[kind][patch["id"]] = {**self.known[kind].get(patch["id"], {}), **patch}
            for gone in value.get("gone", {}).get(kind, ()):
                del self.known[kind][gone]
        self.records += value.get("records", ())
        self.skipped += value.get("skipped", 0)

    async def until_seq(self, seq: int) -> None:
        """Read on until a record has been told or skipped."""
        while not self.records or self.records[-1]["seq"] < seq:
            await self.next()


@asynccontextmanager
async def watching(edge: Edge, query: str = "") -> AsyncIterator[Watcher]:
    """Open a stream."""
    async with edge.http.get(f"{edge.root}/__admin/events{query}") as response:
        assert response.status == 200, await response.text()
        yield Watcher(response)


async def snapshot(edge: Edge, query: str = "") -> Any:
    """Return what a page would be told that came now."""
    async with watching(edge, f"?once=true{query}") as watcher:
        assert (await watcher.next())[0] == "snapshot"
        assert await watcher.response.content.read() == b""
        return watcher


# -- the files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/__admin/ui", "/__admin/ui/"])
async def test_page_and_its_files(path: str) -> None:
    """The page and all that it refers to, and that that refers to, are there, each with its type and the policy."""
    async with serving() as edge:
        seen: dict[str, str] = {}
        waiting = [edge.root + path]
        while waiting:
            url = waiting.pop()
            reply = await edge.call("GET", url)
            assert reply.status == 200, url
            assert reply.headers["Content-Security-Policy"] == POLICY
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            assert reply.headers["Referrer-Policy"] == "no-referrer"
            assert reply.headers["Cache-Control"] == "no-store"
            seen[url] = reply.headers["Content-Type"]
            found = re.findall(r'(?:src|href|from) ?=? ?"(\./[^"]+)"', reply.body.decode())
            waiting += {urljoin(url, each) for each in found} - seen.keys() - set(waiting)
        kinds = {url.rpartition(".")[2]: kind for url, kind in seen.items() if url != edge.root + path}
        assert kinds == {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
        assert seen[edge.root + path] == "text/html; charset=utf-8"
        assert {url.rpartition("/")[2] for url in seen} - {"", "ui"} == set(page.page_files()) - {"index.html"}


def test_page_keeps_its_own_rules() -> None:
    """No script or style stands in the markup, none makes markup from text, and nothing comes from elsewhere."""
    for name, (_, content, *_) in page.page_files().items():
        text = content.decode()
        outside = set(re.findall(r"(?:https?:)?//[\w.]+\.\w+", text)) - {"http://www.w3.org"}
        assert not outside, name
        if name.endswith(".html"):
            assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
            assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(", text), name


@pytest.mark.parametrize("name", ["nothing.js", "index.html", "..%2Fadmin.py", "%2e%2e", "app.js%00", "APP.JS"])
async def test_no_other_files(name: str) -> None:
    """Nothing but the page's own files is served."""
    async with serving() as edge:
        reply = await edge.call("GET", f"/__admin/ui/{name}")
        assert (reply.status, reply.json["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/ui", "/ui/", "/ui/app.js", "/events"])
async def test_not_for_foreigners(path: str) -> None:
    """Page, files and events are refused to a foreign Host and a foreign Origin, like the rest of the control plane."""
    async with serving() as edge:
        assert (await edge.admin("GET", path, Origin="https://evil.example")).status == 403
        async with edge.raw() as wire:
            await wire.send(request_bytes("GET", f"/__admin{path}", host="evil.example"))
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 403


async def test_token() -> None:
    """Where a token is asked for, page and events take it from the query, and nothing else does."""
    async with serving(host="0.0.0.0", admin_token="a token+of/mine") as edge:
        good, bad = "token=a%20token%2Bof%2Fmine", "token=another"
        for path in ("/ui", "/ui/"):
            assert (await edge.admin("GET", f"{path}?{good}")).status == 200
            for query in ("", f"?{bad}", "?token="):
                reply = await edge.admin("GET", path + query)
                assert reply.status == 401
                assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
                assert reply.headers["Content-Security-Policy"] == POLICY
        assert (await edge.admin("GET", "/ui/app.js")).status == 200
        for query in ("", f"?{bad}"):
            reply = await edge.admin("GET", f"/events{query}")
            assert (reply.status, reply.json["error"]["code"]) == (401, "token_required")
        assert (await snapshot(edge, f"&{good}")).names == ["snapshot"]
        assert (await edge.admin("GET", "/events?once=true", Authorization="Bearer a token+of/mine")).status == 200
        for path in (f"/health?{good}", f"/tasks?{good}"):
            assert (await edge.admin("GET", path)).status == 401, "nowhere else does a token belong into an address"


# -- the events -----------------------------------------------------------------------------------


async def test_headers_of_the_stream() -> None:
    """The stream is one that no cache keeps and no browser guesses at, and tells when to come back."""
    async with serving() as edge, watching(edge) as watcher:
        headers = watcher.response.headers
        assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert await watcher.piece() == b"retry: 1000\n\n"


async def test_snapshot() -> None:
    """A page that comes late is told what there is: tasks with their course, accounts, callbacks, faults, records."""
    async with serving() as edge, receiving() as receiver:
        await edge.admin("POST", "/faults", {"fault": "error", "where": {"operation": "balance"}})
        ids = [await edge.submit(name) for name in PROVIDERS]
        done = await edge.submit("evolink", callback_url=receiver.url(), prompt="x" * 900)
        await edge.admin("POST", f"/tasks/{done}/complete")
        await edge.advance(3)
        told = await snapshot(edge)
        assert set(told.known["tasks"]) == {*ids, done}
        task = told.known["tasks"][done]
        assert (task["status"], task["prompt"]) == ("completed", "x" * 200)
        assert "request" not in task
        assert [each["kind"] for each in task["course"]] == ["waiting", "success"]
        assert {each["provider"] for each in told.known["accounts"].values()} == set(PROVIDERS)
        assert [each["task"] for each in told.known["deliveries"].values()] == [done]
        assert [each["fault"] for each in told.known["faults"].values()] == ["error"]
        assert [each["seq"] for each in told.records] == list(range(1, 7))


async def test_updates_add_up() -> None:
    """Who has put together all updates knows the same as who comes now."""
    async with serving() as edge, receiving(503) as receiver, watching(edge) as watcher:
        assert (await watcher.next())[0] == "snapshot"
        first = await edge.submit("evolink", callback_url=receiver.url())
        other = await edge.submit("googlegeminiomni")
        await edge.advance(4)
        await edge.query("evolink", first)
        await edge.admin("POST", "/faults", {"fault": "error", "where": {"operation": "balance"}})
        await watcher.until_seq(3)
        await edge.admin("POST", f"/tasks/{other}/hold")
        await edge.admin("POST", f"/tasks/{first}/fail", {})
        await edge.advance(600)
        await edge.admin("DELETE", "/faults")
        await edge.query("googlegeminiomni", other)
        journal = edge.mock.server.runtime.journal
        await watcher.until_seq(journal.last_seq)
        now = await snapshot(edge)
        while watcher.known != now.known:
            await watcher.next()
        assert watcher.records == now.records
        assert watcher.now_ms == now.now_ms == MANUAL_START_MS + 604_000
        assert watcher.known["faults"] == {}
        assert [each["kind"] for each in watcher.known["tasks"][other]["course"]][-1] == "held"
        assert len(next(iter(watcher.known["deliveries"].values()))["attempts"]) > 1


async def test_an_update_tells_only_what_changed() -> None:
    """Of a thing that is known, only the fields that changed are told again."""
    async with serving() as edge:
        task_id = await edge.submit("evolink")
        async with watching(edge) as watcher:
            await watcher.next()
            await edge.advance(0.5)
            name, update = await watcher.next()
            assert (name, update) == ("update", {"now_ms": MANUAL_START_MS + 500, "speed": 0})
            await edge.admin("POST", f"/tasks/{task_id}/hold")
            _, update = await watcher.next()
            (task,) = update["tasks"]
            assert set(task) == {"id", "held", "ends_at", "course"}


async def test_many_requests_in_few_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst is told in a few events; what is too much for one is skipped, counted, and the newest is told."""
    monkeypatch.setattr(feed, "RECORDS_AT_ONCE", 10)  # so few come within a period on the slowest machine, too
    async with serving() as edge, watching(edge) as watcher:
        await watcher.next()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for _ in range(300):
            await edge.call("GET", "/evolink/v1/credits", headers=edge.key_headers("evolink"))
        await watcher.until_seq(300)
        assert len(watcher.names) <= 3 + (loop.time() - began_s) / page.PERIOD_S
        assert watcher.records[-1]["seq"] == 300
        assert len(watcher.records) + watcher.skipped == 300
        assert watcher.skipped > 0


async def test_the_newest_tasks() -> None:
    """No more tasks are followed than the page has lanes: the oldest make room, and that is told."""
    async with serving() as edge:
        for _ in range(feed.TASKS_SHOWN):
            await edge.submit("evolink")
        oldest = next(iter(edge.state("evolink").tasks))
        async with watching(edge) as watcher:
            await watcher.next()
            assert oldest in watcher.known["tasks"]
            await edge.submit("crun")
            _, update = await watcher.next()
            assert update["gone"] == {"tasks": [oldest]}
            assert len(watcher.known["tasks"]) == feed.TASKS_SHOWN


async def test_the_newest_accounts() -> None:
    """However many accounts one provider has, there is room for those of the others."""
    async with serving() as edge:
        for number in range(feed.ACCOUNTS_SHOWN + 20):
            body = {"provider": "evolink", "key": f"sk-evolink-{number:06}"}
            assert (await edge.admin("PUT", "/accounts", body)).status == 200
            newest = edge.state("evolink").accounts[body["key"]].id
        await edge.submit("crun")
        told = (await snapshot(edge)).known["accounts"]
        assert len(told) == feed.ACCOUNTS_SHOWN
        assert newest in told
        assert [each["provider"] for each in told.values()].count("crun") == 1


@pytest.mark.slow
async def test_a_reader_that_lags() -> None:
    """Who does not read is not waited for by anybody, and afterwards gets the newest and the number of the others."""
    async with serving() as edge, edge.raw() as wire:
        await wire.send(request_bytes("GET", "/__admin/events"))
        body = {"model": "gemini-omni-flash-text-to-video", "prompt": "x" * 9000, "duration": "no"}
        for _ in range(2500):
            await edge.call("POST", edge.path_of("evolink", "submit"), headers=edge.key_headers("evolink"), json=body)
        last_seq = edge.mock.server.runtime.journal.last_seq
        assert last_seq == 2500
        text = b""
        async with asyncio.timeout(PATIENCE_S):
            while f'"seq":{last_seq},'.encode() not in text or not text.endswith(b"\n\n\r\n"):
                text += await wire._reader.read(1 << 20)
        events = [orjson.loads(each) for each in re.findall(rb"^data: (.+)$", unchunked(text), re.MULTILINE)]
        seqs = [record["seq"] for event in events for record in event.get("records", ())]
        assert seqs == sorted(set(seqs))
        assert len(seqs) + sum(event.get("skipped", 0) for event in events) == last_seq
        assert len(seqs) < last_seq


def unchunked(text: bytes) -> bytes:
    """Take the chunks' sizes out of a body."""
    rest, out = text.partition(b"\r\n\r\n")[2], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        out, rest = out + rest[:length], rest[length + 2 :]
    return out


async def test_quiet() -> None:
    """Where nothing happens nothing is told, but for a comment now and then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "PING_AFTER_S", 0.3)
        async with serving() as edge, watching(edge) as watcher:
            await watcher.next()
            assert await watcher.piece() == b": ping\n\n"
            assert await watcher.piece() == b": ping\n\n"


async def test_a_running_clock() -> None:
    """While the clock runs its time is told, and when it has been stopped, that."""
    async with serving(clock="real", speed=50.0) as edge, watching(edge) as watcher:
        await watcher.next()
        _, first = await watcher.next()
        _, second = await watcher.next()
        assert second["now_ms"] > first["now_ms"]
        assert second["speed"] == 50
        await edge.admin("POST", "/clock", {"speed": 0})
        while (await watcher.next())[1]["speed"]:
            pass


@pytest.mark.parametrize("what", ["all", "journal"])
async def test_reset(what: str) -> None:
    """A reset is told, then what there is after it."""
    async with serving() as edge, watching(edge) as watcher:
        await watcher.next()
        task_id = await edge.submit("evolink")
        await watcher.until_seq(1)
        await edge.admin("POST", "/reset", {"what": what})
        assert await watcher.next() == ("reset", {"what": what})
        if what == "all":
            assert (await watcher.next())[0] == "snapshot"
        assert list(watcher.known["tasks"]) == ([] if what == "all" else [task_id])
        assert watcher.records == []
        await edge.submit("evolink")
        await watcher.until_seq(2)
        assert len(watcher.records) == 1


async def test_the_servers_end() -> None:
    """A server that stops ends its streams at once, and nothing is logged."""
    with nothing_logged():
        async with serving() as edge, edge.raw() as wire, watching(edge) as watcher:
            await wire.send(request_bytes("GET", "/__admin/events"))
            await wire._reader.readuntil(b"event: snapshot")
            await watcher.next()
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            await edge.mock.server.close()
            assert await watcher.response.content.read() == b""
            assert (await wire.closed()).endswith(b"\r\n0\r\n\r\n")
            assert loop.time() - began_s < 1.0


async def test_the_servers_end_for_a_reader_that_is_stuck() -> None:
    """A stream whose reader does not read keeps no server from stopping."""
    with nothing_logged(), socket.socket() as stuck:
        async with serving() as edge:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.connect(("127.0.0.1", edge.port))
            stuck.sendall(request_bytes("GET", "/__admin/events"))
            body = {"model": "gemini-omni-flash-text-to-video", "prompt": "x" * 15_000, "duration": "no"}
            path, headers = edge.path_of("evolink", "submit"), edge.key_headers("evolink")
            for _ in range(20_000):
                if edge.mock.server._live._writing:
                    break
                await edge.call("POST", path, headers=headers, json=body)
            assert edge.mock.server._live._writing
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            await edge.mock.server.close()
            assert loop.time() - began_s < 1.0


async def test_a_client_that_goes_away() -> None:
    """Nothing is left of a stream whose reader has gone, though nothing happens that could be told."""
    with nothing_logged():
        async with serving() as edge:
            before = asyncio.all_tasks()
            async with edge.raw() as wire:
                await wire.send(request_bytes("GET", "/__admin/events"))
                await wire._reader.readuntil(b"event: snapshot")
                streams = asyncio.all_tasks() - before
                assert streams
            _, left = await asyncio.wait(streams, timeout=PATIENCE_S)
            assert not left


async def test_sessions() -> None:
    """A stream shows the session that its query names; it ends with it, and keeps it from being dropped as idle."""
    async with serving() as edge, watching(edge, "?session=mine") as watcher:
        await watcher.next()
        await edge.call(
            "POST",
            edge.path_of("evolink", "submit"),
            headers={**edge.key_headers("evolink"), "X-Mock-Session": "mine"},
            json={"model": "gemini-omni-flash-text-to-video", "prompt": "a kite", "duration": 6},
        )
        await watcher.until_seq(1)
        assert len(watcher.known["tasks"]) == 1
        assert (await snapshot(edge)).known["tasks"] == {}
        sessions = edge.mock.server.sessions
        sessions._used_s["mine"] -= 10_000
        await edge.admin("POST", "/clock", {"advance_s": 1}, **{"X-Mock-Session": "mine"})
        sessions._used_s["mine"] -= 10_000
        await watcher.next()
        assert sessions.idle_s("mine") < 10
        assert (await edge.admin("DELETE", "/sessions/mine")).status == 200
        assert await watcher.response.content.read() == b""
        reply = await edge.admin("GET", "/events?session=%2F")
        assert (reply.status, reply.json["error"]["code"]) == (400, "invalid_parameter")


# -- the course of a task -------------------------------------------------------------------------


async def _task(edge: Edge) -> Task:
    return edge.state("evolink").tasks[await edge.submit("evolink")]


def kinds(task: Task, now_ms: int) -> list[tuple[str, str, int]]:
    """Return a course as tuples, in milliseconds since the submit."""
    return [
        (each["state"], each["kind"], each["from_ms"] - task.submitted_ms) for each in feed.state_history(task, now_ms)
    ]


async def test_course() -> None:
    """A course holds the states entered so far, never one that is still to come, and ends where the task stands."""
    async with serving() as edge:
        task = await _task(edge)
        (entered_ms,) = task.entered_ms
        for now_ms in (
            task.submitted_ms,
            entered_ms - 1,
            entered_ms,
            task.ends_ms - 1,
            task.ends_ms,
            task.ends_ms + 9,
        ):
            course = feed.state_history(task, now_ms)
            assert course[-1]["state"] == status_at(task, now_ms).status
            assert all(each["from_ms"] <= now_ms for each in course)
        assert kinds(task, task.ends_ms) == [
            ("pending", "waiting", 0),
            ("processing", "working", entered_ms - task.submitted_ms),
            ("completed", "success", task.ends_ms - task.submitted_ms),
        ]


async def test_course_of_one_that_is_steered() -> None:
    """Holding, releasing and ending early show in the course; what was to come then does not."""
    async with serving() as edge:
        task = await _task(edge)
        at_ms = task.submitted_ms + 1000
        held = hold(task, at_ms)
        assert kinds(held, at_ms + 99_000) == [("pending", "waiting", 0), ("pending", "held", 1000)]
        to_be_held = hold(task, task.ends_ms - 1)
        assert kinds(to_be_held, at_ms) == [("pending", "waiting", 0)]
        assert kinds(release(held, at_ms + 5000), at_ms + 5000) == [("pending", "waiting", 0)]
        failure = edge.provider("evolink").lifecycle.failure
        failed = end_now(task, at_ms, failure, None)
        assert kinds(failed, at_ms) == [("pending", "waiting", 0), ("failed", "failure", 1000)]
        at_once = end_now(task, task.submitted_ms, failure, None)
        assert kinds(at_once, task.submitted_ms) == [("pending", "waiting", 0), ("failed", "failure", 0)]
