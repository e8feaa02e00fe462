"""Requests that stay open while their task goes on: one answer at the end, or a stream of events.

What is sent, and for which instant, the engine works out when the world's queue reaches it: so a request follows any
clock. A client that leaves is noticed, and nothing of its request is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from mockserver.edge.connection import Connection
from mockserver.edge.http_bytes import head_bytes
from mockserver.edge.runtime import Runtime
from mockserver.engine.watching import Following, Step, watch_of

if TYPE_CHECKING:
    from aiohttp import web

    from mockserver.engine.messages import Response


async def _steps(
    runtime: Runtime, following: Following, http_request: web.BaseRequest
) -> AsyncGenerator[tuple[int, Step], None]:
    """Yield what each look at the task leads to, with its instant.

    Raises:
        ConnectionResetError: the client has left, or the server was reset.
    """
    connection, world = http_request.protocol, runtime.world
    found: deque[tuple[int, Step] | None] = deque()
    woken = asyncio.Event()

    def add(step: tuple[int, Step] | None) -> None:
        found.append(step)
        woken.set()

    watch = watch_of(following, lambda now_ms, step: add((now_ms, step)), lambda: add(None))
    assert isinstance(connection, Connection)
    connection.when_lost = lambda: add(None)
    try:
        if http_request.transport is None:
            add(None)
        world.watches.add(watch, runtime.clock.now_ms())
        runtime.dispatcher.wake()
        while True:
            await woken.wait()
            while found:
                each = found.popleft()
                if each is None:
                    connection.force_close()
                    raise ConnectionResetError("the client has gone, or the server was reset")
                yield each
                if each[1].next_ms is None:
                    return
            woken.clear()
    finally:
        connection.when_lost = None
        world.watches.remove(watch)


async def answer_at_the_end(
    http_request: web.BaseRequest, runtime: Runtime, following: Following
) -> tuple[int, Response]:
    """Wait until a submit is to be answered; return the instant and the answer."""
    async with aclosing(_steps(runtime, following, http_request)) as steps:
        async for now_ms, step in steps:
            if step.next_ms is None:
                return now_ms, step.content
    raise ConnectionResetError("the task is no longer followed")


class EventStream:
    """A response that is sent event by event, with what aiohttp's protocol needs."""

    __slots__ = ("_following", "_head", "_runtime", "_when_sent", "keep_alive", "status")

    def __init__(
        self,
        runtime: Runtime,
        following: Following,
        status: int,
        headers: list[tuple[str, str]],
        when_sent: Callable[[bytes], None],
        *,
        keep_alive: bool,
    ) -> None:
        self.status = status
        self.keep_alive = keep_alive
        if keep_alive:
            headers = [*headers, ("Transfer-Encoding", "chunked")]
        self._head = head_bytes(status, headers, keep_alive=keep_alive)
        self._runtime = runtime
        self._following = following
        self._when_sent = when_sent

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send the response to its end; aiohttp calls this once."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        sent: list[bytes] = []
        transport.write(self._head)
        try:
            async with aclosing(_steps(self._runtime, self._following, request)) as steps:
                async for _, step in steps:
                    content: bytes = step.content
                    if content:
                        sent.append(content)
                        transport.write(b"%x\r\n%b\r\n" % (len(content), content) if self.keep_alive else content)
                    if request.protocol.writing_paused:
                        await request.writer.drain()
            if self.keep_alive:
                transport.write(b"0\r\n\r\n")
        finally:
            self._when_sent(b"".join(sent))

    async def write_eof(self) -> None:
        """Do nothing: everything has been written."""
