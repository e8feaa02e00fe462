"""A server that is stopped finishes what is under way; a receiver that hangs holds an advance up for a bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import time

import pytest
from support.edge import PATIENCE_S, receiving, serving

from mockserver import MockServer
from mockserver.edge import dispatcher
from mockserver.edge.arrival import DIRECT
from mockserver.settings import Settings

REQUEST = b"GET /evolink/v1/credits HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-x\r\n\r\n"


@pytest.mark.parametrize(("drain_s", "whole"), [(10.0, True), (0.05, False)])
async def test_an_answer_under_way_is_finished(drain_s: float, whole: bool) -> None:
    """An answer that is under way when the server is stopped is sent whole within `drain_s`; then it is cut."""
    async with serving(drain_s=drain_s) as edge:
        edge.mock.evolink.inject("latency", seconds=0.5, spread_s=0)
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(REQUEST)
        await writer.drain()
        while not edge.mock.journal:
            await edge.admin("GET", "/health")
        began_s = time.monotonic()
        await edge.mock.server.close()
        try:
            answer = await reader.read()
        except ConnectionError:
            answer = b""
        assert answer.startswith(b"HTTP/1.1 200") is whole
        assert time.monotonic() - began_s < drain_s + 5
        writer.close()


def test_the_drain_is_five_seconds() -> None:
    """By default."""
    assert Settings().drain_s == 5.0


async def test_a_hanging_receiver_holds_an_advance_up_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many callbacks a receiver leaves unanswered, an advance ends; the attempts are timeouts that say why."""
    monkeypatch.setattr(dispatcher, "ADVANCE_S", 0.3)
    let_go = asyncio.Event()

    async def hang(_request: object) -> int:
        await let_go.wait()
        return 200

    async with receiving(hang) as receiver, serving() as edge:
        for _ in range(5):
            await edge.submit("evolink", callback_url=receiver.url())
        began_s = time.monotonic()
        await edge.mock.clock.advance(7200)
        assert time.monotonic() - began_s < 5
        deliveries = edge.mock.runtime.world.deliveries()
        assert len(deliveries) == 5
        details = {attempt.detail for each in deliveries for attempt in each.attempts}
        assert any("an advance of the clock waits 0.3 s" in detail for detail in details)
        let_go.set()


@pytest.mark.parametrize("turns", range(5))
async def test_a_connection_that_was_just_accepted_is_ended(turns: int) -> None:
    """Whenever the server stops listening, connections are ended with it: none is lost and left open."""
    async with MockServer() as mock:
        other = socket.create_server(("127.0.0.1", 0))
        listening = await mock.server.also_listen(other)
        clients = [socket.create_connection(other.getsockname()) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await mock.server.stop_listening(listening, DIRECT)
        gc.collect()
        for client in clients:
            client.settimeout(PATIENCE_S)
            with client, contextlib.suppress(ConnectionResetError):
                assert await asyncio.to_thread(client.recv, 1) == b""
