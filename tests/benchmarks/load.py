"""A load generator that costs little: raw HTTP/1.1 over kept-alive connections, prepared bytes, counted answers."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

_PATIENCE_S = 300.0


class _Connection(asyncio.Protocol):
    """Sends one request after another and counts whole answers."""

    def __init__(self, requests: Iterator[bytes], done: Callable[[], None]) -> None:
        self._requests = requests
        self._done = done
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.statuses: Counter[str] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            self._done()
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        head_end = buffer.find(b"\r\n\r\n")
        if head_end < 0:
            self._buffer = buffer
            return
        start = buffer.find(b"Content-Length: ", 0, head_end) + 16
        end = buffer.find(b"\r\n", start)
        if len(buffer) < head_end + 4 + int(buffer[start:end]):
            self._buffer = buffer
            return
        self.statuses[buffer[9:12].decode()] += 1
        self._buffer = b""
        self._send()


async def load(port: int, requests: int, raw: bytes, connections: int = 16) -> tuple[float, dict[str, int]]:
    """Send a request again and again; return the seconds it took and the answers by status."""
    return await load_each(port, itertools.repeat(raw, requests), connections)


async def load_each(
    port: int, requests: Iterator[bytes], connections: int = 16, trust: ssl.SSLContext | None = None
) -> tuple[float, dict[str, int]]:
    """Send requests, one after another on each connection; return the seconds and the answers by status.

    With what a client of TLS trusts, the requests go over TLS.
    """
    still_open = connections
    finished = asyncio.get_running_loop().create_future()

    def done() -> None:
        nonlocal still_open
        still_open -= 1
        if not still_open and not finished.done():
            finished.set_result(None)

    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    made = [
        await loop.create_connection(
            lambda: _Connection(requests, done),
            *("127.0.0.1", port),
            ssl=trust,
            server_hostname=None if trust is None else "localhost",
        )
        for _ in range(connections)
    ]
    await asyncio.wait_for(finished, _PATIENCE_S)
    elapsed_s = time.perf_counter() - started
    statuses: Counter[str] = Counter()
    for _, protocol in made:
        statuses.update(protocol.statuses)
    return elapsed_s, dict(statuses)
