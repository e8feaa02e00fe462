"""Requests that stay open while their task goes on, on the wire and on each clock."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from support.edge import PATIENCE_S, Edge, request_bytes, serving
from support.engine import KILN, START_MS
from support.kilns import EVENTS, PREFERS, kiln_text

from mockserver.clock import http_date

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

#: Events that have a name, and tell states alone.
STATES_ALONE = (
    ("        every_s: 25\n        last: '[DONE]'\n", ""),
    (", in: {glazed: {files: $task.result_urls}}", ""),
)
KEY = {"X-Kiln-Pass": "pass-0000"}
PIECE = {"glaze": "celadon", "wish": "A jug"}
DONE = b'event: glazed\ndata: {"percent":100}\n\n'
ALL = [
    b'event: drying\ndata: {"percent":0}\n\n',
    b'event: firing\ndata: {"percent":0}\n\n',
    b'event: cooling\ndata: {"percent":90}\n\n',
    DONE,
]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the kiln's spec, with a submit that waits and a stream of events."""
    file = tmp_path_factory.mktemp("following") / KILN.name
    file.write_text(kiln_text(PREFERS, EVENTS, *STATES_ALONE), encoding="utf-8")
    return file


@asynccontextmanager
async def kiln(spec: Path, **settings: Any) -> AsyncIterator[Edge]:
    """Serve the kiln alone."""
    async with serving(specs=spec, builtin=False, **settings) as edge:
        yield edge


async def submit(edge: Edge, prefer: str = "wait") -> Any:
    """Submit a piece, and wait as the client prefers."""
    return await edge.call("POST", "/kiln/pieces", headers={**KEY, "Prefer": prefer}, json=PIECE)


async def watched(edge: Edge, number: int = 1) -> None:
    """Wait until so many requests follow a task."""
    async with asyncio.timeout(PATIENCE_S):
        for _ in count():
            if sum(map(len, edge.state("kiln").watches.values())) == number:
                return
            await asyncio.sleep(0)


async def test_an_advance_of_the_clock_answers(spec: Path) -> None:
    """On a manual clock, a waiting submit is answered when time has come, and shows the task as of then."""
    async with kiln(spec) as edge:
        waiting = asyncio.create_task(submit(edge, "wait=90"))
        await watched(edge)
        await edge.advance(89)
        assert not waiting.done()
        await edge.advance(500)
        reply = await waiting
        assert (reply.status, reply.json["stage"]) == (201, "firing")
        assert reply.headers["Date"] == http_date(START_MS // 1000 + 90)
        assert edge.state("kiln").watches == {}
        (record,) = edge.mock.journal.find(operation="bringPiece")
        assert (record["at"], record["task"]) == ("2026-06-05T00:00:00.000Z", reply.json["ticket"])


async def test_the_clock_runs_at_its_speed(spec: Path) -> None:
    """On a running clock, waits and streams last as long as the task, at the speed of the clock."""
    async with kiln(spec, clock="real", speed=2000) as edge:
        reply = await submit(edge, "wait=200")
        assert reply.json["stage"] == "glazed"
        again = await submit(edge, "wait=0")
        stream = await edge.call("GET", f"/kiln/pieces/{again.json['ticket']}/course", headers=KEY)
        assert stream.body.endswith(DONE)
        assert stream.body.startswith(b"event: ")


async def test_a_command_answers(spec: Path) -> None:
    """A waiting submit is answered when a command ends its task."""
    async with kiln(spec) as edge:
        waiting = asyncio.create_task(submit(edge))
        await watched(edge)
        (task_id,) = edge.state("kiln").tasks
        await edge.admin("POST", f"/tasks/{task_id}/complete")
        assert (await waiting).json["stage"] == "glazed"


async def test_a_fault_changes_the_late_answer(spec: Path) -> None:
    """A fault of the transmission changes what is sent after the wait."""
    async with kiln(spec) as edge:
        headers = {**KEY, "Prefer": "wait", "X-Mock-Fault": "empty_body"}
        waiting = asyncio.create_task(edge.call("POST", "/kiln/pieces", headers=headers, json=PIECE))
        await watched(edge)
        await edge.advance(60)
        reply = await waiting
        assert (reply.status, reply.body) == (201, b"")
        (record,) = edge.mock.journal.find(operation="bringPiece")
        assert record["faults"] == ["empty_body"]


async def test_events_are_sent_as_time_goes_on(spec: Path) -> None:
    """Each event is sent at its instant; the stream ends with the task, and is in the journal as a whole."""
    async with kiln(spec) as edge:
        task_id = (await submit(edge, "wait=0")).json["ticket"]
        url = f"{edge.root}/kiln/pieces/{task_id}/course"
        async with edge.http.get(url, headers=KEY) as stream:
            assert (stream.status, stream.content_type) == (200, "text/event-stream")
            assert stream.headers["X-Kiln-Trace"].startswith("trace-")
            assert await stream.content.readuntil(b"\n\n") == ALL[0]
            for seconds, event in zip((10, 100, 10), ALL[1:], strict=True):
                await edge.advance(seconds)
                assert await stream.content.readuntil(b"\n\n") == event
            assert await stream.content.read() == b""
        (record,) = edge.mock.journal.find(operation="followPiece")
        assert record["response"]["body"].encode() == b"".join(ALL)
        assert record["task"] == task_id
        assert (await edge.call("GET", url, headers=KEY)).body == DONE


async def test_an_old_client_reads_to_the_end(spec: Path) -> None:
    """HTTP/1.0 knows no chunks: the events come as they are, and the connection is closed after the last."""
    async with kiln(spec) as edge:
        task_id = (await submit(edge, "wait=0")).json["ticket"]
        async with edge.raw() as wire:
            request = request_bytes("GET", f"/kiln/pieces/{task_id}/course", headers=KEY)
            await wire.send(request.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
            await watched(edge)
            await edge.advance(500)
            answer = await wire.answer()
            assert answer is not None
            assert (answer.header("Transfer-Encoding"), answer.body) == (None, b"".join(ALL))


@pytest.mark.parametrize("what", ["a wait", "a stream"])
async def test_a_client_that_leaves_is_forgotten(spec: Path, what: str) -> None:
    """When its connection is closed, nothing of its request is kept."""
    async with kiln(spec) as edge:
        task_id = (await submit(edge, "wait=0")).json["ticket"]
        async with edge.raw() as wire:
            if what == "a wait":
                body = orjson.dumps(PIECE)
                headers = {**KEY, "Prefer": "wait", "Content-Type": "application/json"}
                await wire.send(request_bytes("POST", "/kiln/pieces", headers=headers, body=body))
            else:
                await wire.send(request_bytes("GET", f"/kiln/pieces/{task_id}/course", headers=KEY))
            await watched(edge)
        await watched(edge, 0)
        assert edge.state("kiln").watches == {}


@pytest.mark.parametrize("what", ["a wait", "a stream"])
async def test_a_reset_closes_what_is_open(spec: Path, what: str) -> None:
    """What waits for a task that a reset has thrown away is closed; the server goes on."""
    async with kiln(spec) as edge:
        task_id = (await submit(edge, "wait=0")).json["ticket"]
        async with edge.raw() as wire:
            if what == "a wait":
                headers = {**KEY, "Prefer": "wait", "Content-Type": "application/json"}
                await wire.send(request_bytes("POST", "/kiln/pieces", headers=headers, body=orjson.dumps(PIECE)))
            else:
                await wire.send(request_bytes("GET", f"/kiln/pieces/{task_id}/course", headers=KEY))
            await watched(edge)
            assert (await edge.admin("POST", "/reset", {"what": "all"})).status == 200
            assert b"glazed" not in await wire.closed()
        assert (await submit(edge, "wait=0")).status == 201


async def test_a_server_stops_while_requests_are_open(spec: Path) -> None:
    """Closing the server does not wait for the end of the tasks."""
    async with kiln(spec) as edge:
        waiting = asyncio.create_task(submit(edge))
        await watched(edge)
    with pytest.raises(aiohttp.ClientError):
        await waiting
