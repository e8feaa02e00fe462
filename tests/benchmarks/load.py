"""A load generator that costs little: raw HTTP/1.1 over kept-alive connections, prepared bytes, counted answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast


class _Connection(asyncio.Protocol):
    """Sends one request after another and counts whole answers."""

    def __init__(self, next_request: Callable[[], bytes | None], done: Callable[[], None]) -> None:
        self._next_request = next_request
        self._done = done
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.statuses: dict[bytes, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        request = self._next_request()
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
        status = buffer[9:12]
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self._buffer = b""
        self._send()


async def load(
    port: int, requests: int, next_request: Callable[[], bytes], connections: int = 16
) -> tuple[float, dict[str, int]]:
    """Send requests; return the seconds it took and the answers by status."""
    left = requests
    open_connections = connections
    finished = asyncio.get_running_loop().create_future()

    def take() -> bytes | None:
        nonlocal left
        if left == 0:
            return None
        left -= 1
        return next_request()

    def done() -> None:
        nonlocal open_connections
        open_connections -= 1
        if not open_connections and not finished.done():
            finished.set_result(None)

    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Connection(take, done), "127.0.0.1", port) for _ in range(connections)
    ]
    await asyncio.wait_for(finished, 120)
    elapsed = time.perf_counter() - started
    statuses: dict[str, int] = {}
    for _, protocol in made:
        for status, count in protocol.statuses.items():
            statuses[status.decode()] = statuses.get(status.decode(), 0) + count
    return elapsed, statuses


def request_bytes(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Write a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
