"""Sends a response that faults have changed: slowly, in part, or not at all.

Waits are in wall time; they end as soon as the client disconnects.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, cast

from mockserver.edge.http_bytes import head_bytes
from mockserver.engine.transmission import Transmission

if TYPE_CHECKING:
    from aiohttp import web

_SLICE_S = 0.2
_LEAST_SLICES = 8
_NO_LINGER = struct.pack("ii", 1, 0)


class FaultyResponse:
    """A response that may be cut off, with what aiohttp's protocol needs."""

    __slots__ = ("_outgoing", "_says_keep_alive", "keep_alive", "status")

    def __init__(self, transmission: Transmission, *, keep_alive: bool) -> None:
        self.status = transmission.status
        self.keep_alive = keep_alive and transmission.ending == "keep"
        self._says_keep_alive = keep_alive  # a response that will be cut off does not announce it
        self._outgoing = transmission

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send the response; aiohttp calls this once."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        out = self._outgoing
        await _pause(transport, out.wait_s)
        head = head_bytes(out.status, out.headers, keep_alive=self._says_keep_alive)
        transport.write(head if out.head_bytes is None else head[: out.head_bytes])
        await self._send_body(request, transport)
        await _pause(transport, out.hold_s)
        if out.ending != "keep" and not transport.is_closing():
            if out.ending == "reset":
                _reset(transport)
            else:
                transport.close()

    async def _send_body(self, request: web.BaseRequest, transport: asyncio.Transport) -> None:
        body, pace = self._outgoing.sent_body(), self._outgoing.bytes_per_s
        if pace is None:
            transport.write(body)
        else:
            step = max(1, min(int(pace * _SLICE_S), len(body) // _LEAST_SLICES))
            for start in range(0, len(body), step):
                if start:
                    await _pause(transport, step / pace)
                transport.write(body[start : start + step])
        if request.protocol.writing_paused and not transport.is_closing():
            await request.writer.drain()

    async def write_eof(self) -> None:
        """Do nothing: everything has been written."""


async def _pause(transport: asyncio.Transport, seconds: float) -> None:
    """Wait, while the client is connected."""
    while seconds > 0:
        await asyncio.sleep(min(_SLICE_S, seconds))
        seconds -= _SLICE_S
        if transport.is_closing():
            raise ConnectionResetError("the client has gone")


def _reset(transport: asyncio.Transport) -> None:
    """Flush what was written, then end the connection with RST."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def faulty_response(transmission: Transmission, *, keep_alive: bool) -> web.StreamResponse:
    """Make a response from a transmission."""
    return cast("web.StreamResponse", FaultyResponse(transmission, keep_alive=keep_alive))
