"""A tunnel: two connections, of which each is sent what arrives on the other.

Each direction ends for itself: when one side has sent everything, the other may still answer. A side that reads
slowly slows the other down.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import cast


class _Side(asyncio.Protocol):
    """One of the two connections."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.transport: asyncio.Transport | None = None
        #: The other side.
        self.other: _Side = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.pause_reading()  # until the other side is there
        self._relay.began()

    def data_received(self, data: bytes) -> None:
        if self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        own, other = self.transport, self.other.transport
        if own is None or other is None or not (own.can_write_eof() and other.can_write_eof()):
            return False  # a client that speaks TLS to its proxy: that has no half-closed state
        with contextlib.suppress(OSError, RuntimeError):
            other.write_eof()
        return self._relay.ended_one()

    def pause_writing(self) -> None:
        if self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._relay.lost(self, exc)


class Relay:
    """A tunnel; it is in `relays` while it is open."""

    def __init__(self, relays: set[Relay]) -> None:
        self._relays = relays
        self._ended = 0
        self.near, self.far = _Side(self), _Side(self)
        self.near.other, self.far.other = self.far, self.near

    def began(self) -> None:
        """Note that the far side is connected."""
        self._relays.add(self)

    def join(self, transport: asyncio.Transport, early: bytes) -> None:
        """Begin: the far side is connected, this is the near one; `early` has arrived from it."""
        far = self.far.transport
        if far is None or far.is_closing():  # meanwhile
            transport.close()
            return
        self.near.transport = transport
        transport.set_protocol(self.near)
        if early:
            far.write(early)
        far.resume_reading()
        transport.resume_reading()

    def ended_one(self) -> bool:
        """Note that one direction has ended; tell whether the other goes on."""
        self._ended += 1
        return self._ended == 1

    def lost(self, side: _Side, exc: Exception | None) -> None:
        """Close the other side as well: with an error where this one has ended with one."""
        other = side.other.transport
        if other is not None:
            if exc is None:
                other.close()
            else:
                other.abort()
        if self.near.transport is None and self.far.transport is None:
            self._relays.discard(self)

    def abort(self) -> None:
        """Cut both connections."""
        for side in (self.near, self.far):
            if side.transport is not None:
                side.transport.abort()
