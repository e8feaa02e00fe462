"""What becomes of requests in `record` where the provider, the client or the recording ends early."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from support.recorder import BODIES, KEYS, PATHS, answering, recording

from contracts import of_records
from contracts.drift import differences, documented
from mockserver.recording.courses import read_recordings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def speaking(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Stand for a server that answers each head with these bytes, and closes where it has none; give its URL."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        while answer and await reader.read(65_536):  # or the answer is lost with what nobody has read
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


@pytest.mark.parametrize(("method", "headers"), [("PUT", {}), ("DELETE", {}), ("GET", {"X-HTTP-Method": "POST"})])
async def test_a_request_is_sent_once(method: str, headers: dict[str, str], tmp_path: Path) -> None:
    """Though the connection breaks, and the method is one that aiohttp would send again: it may have made a task."""
    async with speaking(b"") as (url, heads), recording("evolink", tmp_path, most_submits=1) as made:
        made.recorder.upstream = url
        address = f"{made.server.base_url('evolink')}/v1/videos/generations"
        async with made.http.request(method, address, json={}, headers=headers) as answer:
            assert (answer.status, "it may have accepted the request" in await answer.text()) == (502, True)
        assert (len(heads), made.recorder.submits) == (1, 1)


async def test_sessions_share_one_recording(tmp_path: Path) -> None:
    """A session in the path or a header is the recorder's: the provider does not see it, the journal has it all."""
    async with recording("evolink", tmp_path, most_submits=1) as made:
        headers = made.provider.key.header_with(KEYS["evolink"])
        root = made.server.root_url
        for url, session in ((f"{root}/~one/evolink", {}), (f"{root}/evolink", {"X-Mock-Session": "two"})):
            async with made.http.post(
                url + PATHS["evolink"][0], json=BODIES["evolink"], headers={**headers, **session}
            ) as answer:
                await answer.read()
        assert made.real.mock.journal.count(operation="createVideo") == 1
        records = await made.records()
    assert [each["error"] for each in records] == [None, "max_submits"]


async def test_a_submit_under_way_when_the_recording_ends(tmp_path: Path) -> None:
    """It may have cost money: it is written down, without an answer, and is nothing for drift and replay."""
    asked = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with answering(handler) as url, recording("evolink", tmp_path) as made:
        await made.submit()
        made.recorder.upstream = url
        client = asyncio.create_task(made.ask("POST", PATHS["evolink"][0], BODIES["evolink"]))
        await asked.wait()
        records = await made.records()
        client.cancel()
    assert [(each["error"], each["response"] is None) for each in records] == [(None, False), ("cut", True)]
    assert records[1]["request"]["body"]
    (spec,) = documented((), (), "evolink")
    (journal,) = of_records(records, [made.provider])
    assert differences(journal, spec).all() == []
    assert list(read_recordings(made.file, [made.provider])) == ["evolink"]


async def test_a_stream_under_way_when_the_recording_ends(tmp_path: Path) -> None:
    """What has come of it is written down."""
    sent = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: 1\n\n")
        sent.set()
        await asyncio.Event().wait()
        return answer

    async with answering(handler) as url, recording("evolink", tmp_path) as made:
        made.recorder.upstream = url
        async with made.http.get(f"{made.server.base_url('evolink')}/v1/events") as answer:
            assert await answer.content.readany() == b"data: 1\n\n"
            (record,) = await made.records()
    assert (record["error"], record["response"]["body"]) == ("cut", "data: 1\n\n")


async def test_a_long_upload_and_an_answer_before_its_end(tmp_path: Path) -> None:
    """The first arrives whole; of the other the client gets the answer."""
    got: list[int] = []

    async def handler(request: web.Request) -> web.Response:
        got.append(sum([len(chunk) async for chunk in request.content.iter_any()]))
        return web.json_response({"code": 1})

    early = (
        b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
    )
    async with (
        answering(handler) as url,
        speaking(early) as (early_url, _),
        recording("googlegeminiomni", tmp_path) as made,
    ):
        address = f"{made.server.base_url(made.name)}/api/v1/upload"
        for upstream, status in ((url, 200), (early_url, 413)):
            made.recorder.upstream = upstream
            async with made.http.post(address, data=BytesIO(b"x" * 3_000_000)) as answer:
                assert answer.status == status
        assert got == [3_000_000]
        assert [each["request"]["body_bytes"] for each in await made.records()] == [3_000_000] * 2
