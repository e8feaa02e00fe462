"""Connections within one event loop: what one end writes, the other end receives at the loop's next turn.

No kernel is involved, so the same run gives the same order of events.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio import AbstractEventLoop
from typing import Any

from mockserver.edge.tls import feed

_HIGH_BYTES = 1 << 16


class _Options:
    """The server's end of a socket: options may be set, and SO_LINGER 0 means a reset."""

    family = socket.AF_INET
    resets = False

    def fileno(self) -> int:
        """Return -1: there is no file."""
        return -1

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Set an option."""
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER) and isinstance(value, bytes):
            self.resets = True


class MemoryTransport(asyncio.Transport):
    """One end of a connection."""

    #: Tells asyncio's `sendfile` to read and write.
    _sendfile_compatible = "fallback"
    #: Tells asyncio's `start_tls` that it may go on encrypted.
    _start_tls_compatible = True

    def __init__(
        self, loop: AbstractEventLoop, protocol: asyncio.BaseProtocol, raw: Any, own: Any, peer_name: Any
    ) -> None:
        super().__init__({"socket": raw, "sockname": own, "peername": peer_name})
        self._loop = loop
        self._protocol = protocol
        self._raw = raw
        self._peer: MemoryTransport
        self._coming: list[bytes] = []
        self._coming_bytes = 0
        self._paused = False
        self._peer_held = False
        self._eof_coming = self._eof_told = False
        self._closing = self._gone = False

    # -- sending --------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send."""
        if data and not self._closing:
            self._peer._arrive(bytes(data))  # noqa: SLF001 - the other end

    def can_write_eof(self) -> bool:
        """Return True: one direction of the connection can be closed."""
        return True

    def write_eof(self) -> None:
        """Close the direction to the peer."""
        if not self._closing:
            self._peer._end()  # noqa: SLF001 - the other end

    def is_closing(self) -> bool:
        """Tell whether this end has been closed."""
        return self._closing

    def close(self) -> None:
        """Close; data already written still arrives."""
        if not self._closing:
            self._closing = True
            self._peer._end()  # noqa: SLF001 - the other end
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """Close at once."""
        if not self._closing:
            self._closing = True
            resets = isinstance(self._raw, _Options) and self._raw.resets
            self._peer._cut(ConnectionResetError("Connection reset by peer") if resets else None)  # noqa: SLF001
            self._loop.call_soon(self._lose, None)

    def _force_close(self, _error: BaseException | None) -> None:
        """Close at once; asyncio's TLS calls this after an error."""
        self.abort()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Set the protocol that receives data."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that receives data."""
        return self._protocol

    def is_reading(self) -> bool:
        """Tell whether data is passed to the protocol."""
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        """Hold back received data."""
        self._paused = True

    def resume_reading(self) -> None:
        """Pass held-back data to the protocol."""
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._give)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the other end has not processed."""
        return self._peer._coming_bytes  # noqa: SLF001 - the other end

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: the limits are fixed."""

    # -- receiving ------------------------------------------------------------------------------

    def _arrive(self, data: bytes) -> None:
        if self._closing:
            self._refuse()
            return
        if not self._coming:
            self._loop.call_soon(self._give)
        self._coming.append(data)
        self._coming_bytes += len(data)
        if self._coming_bytes > _HIGH_BYTES and not self._peer_held:
            self._peer_held = True
            self._peer._protocol.pause_writing()  # noqa: SLF001 - the other end

    def _give(self) -> None:
        if self._paused or self._gone:
            return
        if self._coming:
            data = b"".join(self._coming) if len(self._coming) > 1 else self._coming[0]
            self._coming.clear()
            self._coming_bytes = 0
            if self._peer_held:
                self._peer_held = False
                if not self._peer._gone:  # noqa: SLF001 - the other end
                    self._peer._protocol.resume_writing()  # noqa: SLF001 - the other end
            if not self._closing:
                self._deliver(data)
        if self._eof_coming and not self._eof_told and not self._closing and not self._coming:
            self._eof_told = True
            if not self._protocol.eof_received():  # type: ignore[attr-defined]
                self.close()

    def _deliver(self, data: bytes) -> None:
        if isinstance(self._protocol, asyncio.BufferedProtocol):  # as that of TLS is
            feed(self._protocol, data)
        else:
            self._protocol.data_received(data)  # type: ignore[attr-defined]

    def _end(self) -> None:
        self._eof_coming = True
        self._loop.call_soon(self._give)

    def _cut(self, error: Exception | None) -> None:
        """Handle an abort of the other end; data written before still arrives."""
        self._paused = False
        if error is None:
            self._end()
        else:
            self._loop.call_soon(self._cut_now, error)

    def _cut_now(self, error: Exception) -> None:
        if not self._closing:
            self._give()
            self._closing = True
            self._lose(error)

    def _refuse(self) -> None:
        """Reset the other end, which writes although this end is closed."""
        self._peer._cut(ConnectionResetError("Connection reset by peer"))  # noqa: SLF001 - the other end

    def _lose(self, error: Exception | None) -> None:
        if not self._gone:
            self._gone = True
            if self._peer_held:
                self._refuse()
            self._coming.clear()
            self._coming_bytes = 0
            self._protocol.connection_lost(error)
            if isinstance(self._raw, socket.socket):
                self._raw.close()


def connect(
    loop: AbstractEventLoop,
    client: asyncio.BaseProtocol,
    server: asyncio.BaseProtocol,
    raw: socket.socket,
    address: Any,
    port: int,
) -> MemoryTransport:
    """Connect a client's protocol to a server's, and return the client's end."""
    own = ("127.0.0.1", port)
    near = MemoryTransport(loop, client, raw, own, address)
    far = MemoryTransport(loop, server, _Options(), address, own)
    near._peer, far._peer = far, near  # noqa: SLF001 - created here
    loop.call_soon(server.connection_made, far)
    return near
