"""What tests of the proxy share: requests on a bare connection, and a host that is not the mock."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from support.edge import Answer, Wire, request_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

#: The real host of a provider.
REAL = "api.evolink.ai"


async def asked(wire: Wire, method: str, target: str, **how: Any) -> Answer:
    """Send a request; return the response, which has to come."""
    await wire.send(request_bytes(method, target, **how))
    answer = await wire.answer(method)
    assert answer is not None
    return answer


async def connected(wire: Wire, target: str) -> Answer:
    """Ask for a tunnel."""
    await wire.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    return await wire.head()


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[int]:
    """Listen on a port of this machine that is not the mock's."""

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(whole, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read to the end, then send all of it back in capitals."""
    writer.write((await reader.read()).upper())
    await writer.drain()
