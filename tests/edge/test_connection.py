"""The short way and aiohttp's own give the same answers, however a request is cut into packets."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from mockserver.edge import connection as edge_connection
from mockserver.testing.running import AsyncRunningServer, MockServer

KEY = b"Authorization: Bearer sk-x\r\n"
BODY = b'{"model": "gemini-omni-flash-text-to-video", "prompt": "a kite"}'
HEAD = b"POST /evolink/v1/videos/generations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + KEY

#: Requests as they go over the wire, by what is special about them.
REQUESTS = {
    "a submit": HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "a body that ends like a head": HEAD + b"Content-Length: %d\r\n\r\n" % (len(BODY) + 4) + BODY + b"\r\n\r\n",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    "a query": b"GET /evolink/v1/credits HTTP/1.1\r\nHost: x\r\n" + KEY + b"\r\n",
    "no key": b"GET /evolink/v1/credits HTTP/1.1\r\nHost: x\r\n\r\n",
    "a wrong method": b"DELETE /evolink/v1/credits HTTP/1.1\r\nHost: x\r\n\r\n",
    "a head alone": b"HEAD /evolink/v1/credits HTTP/1.1\r\nHost: x\r\n" + KEY + b"\r\n",
}


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        """Nothing reads here."""

    def resume_reading(self) -> None:
        """Nothing reads here."""


async def answer_to(mock: AsyncRunningServer, pieces: list[bytes]) -> bytes:
    """Give a server that starts over a request in these pieces; return all that it writes."""
    await mock.reset()
    connection = cast("Any", mock.server)._http()
    wire = Wire()
    connection.connection_made(wire)
    for piece in pieces:
        for _ in range(3):  # let aiohttp's task come to its wait, or take up what came
            await asyncio.sleep(0)
        connection.data_received(piece)
    for _ in range(200):
        if b"\r\n\r\n" in wire.written:
            break
        await asyncio.sleep(0)
    connection.connection_lost(None)
    for _ in range(3):
        await asyncio.sleep(0)
    return wire.written


@pytest.mark.parametrize("name", REQUESTS)
async def test_every_cut_gives_the_same_answer(name: str) -> None:
    """A request in one piece, and cut in two at any place, gets the same bytes."""
    request = REQUESTS[name]

    async def answers() -> list[bytes]:
        async with MockServer() as mock:
            cuts = [[request], *([request[:cut], request[cut:]] for cut in range(1, len(request)))]
            return [await answer_to(mock, pieces) for pieces in cuts]

    whole, *others = await answers()
    assert whole.startswith(b"HTTP/1.1 ")
    assert len(others) == len(request) - 1
    assert set(others) == {whole}


async def test_a_piece_more_is_the_next_request() -> None:
    """Two requests in one piece are answered in their order, and the beginning of a third waits for its end."""
    query = REQUESTS["a query"]

    async def run() -> bytes:
        async with MockServer() as mock:
            return await answer_to(mock, [query + query + query[:30], query[30:]])

    written = await run()
    assert written.count(b"HTTP/1.1 200 OK") >= 1
    assert b"HTTP/1.1 4" not in written


@pytest.mark.parametrize("cause", ["a name of the connection", "a name of the parser", "an untested version"])
async def test_another_aiohttp_drops_no_request(
    cause: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where aiohttp lacks a name or is untested, it serves the same bytes by itself; one warning says why."""
    setting, value, named = {
        "a name of the connection": ("_PRIVATE_NAMES", ("_waiter", "_renamed"), "has no _renamed"),
        "a name of the parser": ("_PARSER_NAMES", ("message_gone",), "has no message_gone"),
        "an untested version": ("_TESTED_SERIES", ("3.99",), "is for aiohttp 3.99"),
    }[cause]

    async def served() -> tuple[list[bytes], bytes, bytes]:
        async with MockServer() as mock:
            whole = [await answer_to(mock, [request]) for request in REQUESTS.values()]
            await mock.reset()
            reader, writer = await asyncio.open_connection("127.0.0.1", mock.server.port)
            query = REQUESTS["a query"]
            kept_alive = b""
            for _ in range(20):
                writer.write(query)
                kept_alive += await one_response(reader)
            writer.write(query * 5)
            pipelined = b"".join([await one_response(reader) for _ in range(5)])
            writer.close()
            await writer.wait_closed()
            return whole, kept_alive, pipelined

    fast = await served()
    edge_connection._warn_once.cache_clear()
    monkeypatch.setattr(edge_connection, setting, value)
    with caplog.at_level("WARNING", "mockserver"):
        assert await served() == fast
        await served()
    (warning,) = caplog.messages
    assert named in warning
    assert fast[1].count(b"HTTP/1.1 200 OK") == 20
    assert fast[2].count(b"HTTP/1.1 200 OK") == 5


async def one_response(reader: asyncio.StreamReader) -> bytes:
    """Read one response that has a length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


async def test_the_fast_path_is_on() -> None:
    """With the aiohttp that is installed, the fast path serves; a version it does not know is served by aiohttp."""
    async with MockServer() as mock:
        http = cast("Any", mock.server)._http
        connection = http()
        assert isinstance(connection, edge_connection.FastConnection)
        assert edge_connection.fast_path_problem(connection) is None
        assert "3.98.1" in (edge_connection.fast_path_problem(connection, "3.98.1") or "")


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("behind", [b"", BODY[:10], BODY])
async def test_a_head_that_ends_in_the_next_piece(cut: int, behind: bytes) -> None:
    """Where the end of a head comes in a second piece, the beginning of the next request is not its body."""
    query, submit = REQUESTS["a query"], REQUESTS["a submit"].removesuffix(BODY)

    async def run() -> tuple[bytes, bytes]:
        async with MockServer() as mock:
            whole = await answer_to(mock, [query])
            return whole, await answer_to(mock, [query[:-cut], query[-cut:] + submit + behind])

    whole, written = await run()
    assert written.startswith(whole)


async def test_a_client_that_closed_its_side_gets_its_answer() -> None:
    """A client that sends a request and closes its own side reads the answer, then the end."""
    async with MockServer(clock="real") as mock:
        mock.evolink.inject("latency", seconds=0.1, spread_s=0)
        for name in ("a query", "a submit", "a body that ends like a head"):
            reader, writer = await asyncio.open_connection("127.0.0.1", mock.server.port)
            writer.write(REQUESTS[name])
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), 10)
            assert answer.startswith(b"HTTP/1.1 "), name
            writer.close()
            await writer.wait_closed()
        assert mock.server.connections == 0


async def test_a_client_that_closed_its_side_amid_a_body_is_let_go() -> None:
    """A body that can no longer arrive is not waited for."""
    async with MockServer() as mock:
        reader, writer = await asyncio.open_connection("127.0.0.1", mock.server.port)
        writer.write(REQUESTS["a submit"][:-5])
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await writer.wait_closed()


async def test_descriptors_used_up_are_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that gets one of the last file descriptors is said in the log, once a minute."""
    async with MockServer() as mock:
        monkeypatch.setattr(edge_connection, "_most_descriptors", lambda: 10)
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", mock.server.port)
            writer.write(REQUESTS["a query"])
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        for _ in range(1000):
            await asyncio.sleep(0)
    (said,) = caplog.messages
    assert "file descriptors are used up (10)" in said
