"""TLS on the port of plain HTTP: a connection whose first byte is that of TLS goes on encrypted.

The loop's own `start_tls` does the work. It cannot know of bytes that have been read, so they are given to its
protocol before it reads more. The certificate is that of the name which the client asks for (SNI); a client that
names none, because it has an address, gets that of the address it has come to, or has asked the proxy for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any, cast

from mockserver.certificates import LOOPBACK_NAMES, Authority, AuthorityError
from mockserver.edge.connection import Connection, HttpServer
from mockserver.edge.hosts import Hosts, host_port_of
from mockserver.engine.targets import is_loopback

HANDSHAKE_S = 10.0
_GOODBYE_S = 1.0
#: A fatal alert before any encryption, "unrecognized name" (RFC 8446, 6.2).
_REFUSED = b"\x15\x03\x03\x00\x02\x02" + bytes((ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME,))
#: The connection whose first bytes are being read.
_CURRENT: ContextVar[asyncio.Transport | None] = ContextVar("_CURRENT", default=None)
_LOG = logging.getLogger("mockserver")


class _EarlyBytes(asyncio.Protocol):
    """Keeps what arrives before its reader is there."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.ended = self.lost = False

    def data_received(self, data: bytes) -> None:
        self.content += data

    def eof_received(self) -> None:
        self.ended = True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.lost = True


class Tls:
    """The TLS of one server; its certificates are made when a client asks for them."""

    def __init__(self, http: HttpServer, hosts: Hosts, authority: Authority) -> None:
        self._hosts = hosts
        self._authority = authority
        self._working: set[asyncio.Task[None]] = set()
        http.speak_tls = self.speak

    async def close(self) -> None:
        """End the handshakes under way."""
        working = list(self._working)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    def speak(self, connection: Connection, first: bytes) -> None:
        """Go on encrypted with a connection; `first` is what has arrived."""
        transport = connection.transport
        assert transport is not None
        early = _EarlyBytes()
        transport.set_protocol(early)
        transport.pause_reading()
        task = asyncio.get_running_loop().create_task(self._speak(connection, transport, first, early))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _speak(
        self, connection: Connection, transport: asyncio.Transport, first: bytes, early: _EarlyBytes
    ) -> None:
        try:
            encrypted = await self._handshake(transport, first, early, connection.arrival.tunnel)
        except (OSError, ValueError, TypeError) as error:  # TypeError: a transport that cannot speak TLS
            if isinstance(error, AuthorityError):
                _LOG.error("no TLS: %s", error)
            elif _is_distrusted(error):
                ca = self._authority.certificate
                _LOG.warning("no TLS: a client does not trust the CA; `mockserver ca` prints the file it needs: %s", ca)
            else:  # no TLS at all, or a client that has gone; `_choose` tells of unknown names
                _LOG.debug("no TLS: %r", error)
            transport.abort()
            connection.connection_lost(error)
            return
        except BaseException:
            transport.abort()
            connection.connection_lost(None)
            raise
        connection.go_on_with(encrypted)
        if early.content:
            connection.data_received(bytes(early.content))
        if early.lost:
            connection.connection_lost(None)
        elif early.ended:
            encrypted.close()

    async def _handshake(
        self, transport: asyncio.Transport, first: bytes, early: _EarlyBytes, tunnel: str
    ) -> asyncio.Transport:
        if not self._authority.is_loaded:
            await asyncio.to_thread(self._authority.load)  # it reads files, and may make keys
        name = transport.get_extra_info("sockname")[0]
        if (asked := host_port_of(tunnel)) is not None:
            name = asked.host
        context = self._authority.context(name if name in LOOPBACK_NAMES or not is_loopback(name) else "localhost")
        context.sni_callback = self._choose
        return await _started(transport, first, early, context)

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        """Choose the certificate of the name that a client asks for; refuse a name that this server does not have."""
        name = (name or "").lower().rstrip(".")
        if not name:
            return None
        if not self._hosts.may_certify(name):
            _LOG.warning("%s", self._hosts.refuse(name))
            _send_alert(_REFUSED)
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        try:
            chosen = self._authority.context(name)
        except (OSError, ValueError) as error:
            _LOG.warning("no certificate for %s: %s", name, error)
            _send_alert(_REFUSED)
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if chosen is not context:
            connection.context = chosen
        return None


async def _started(
    transport: asyncio.Transport, first: bytes, protocol: asyncio.Protocol, context: ssl.SSLContext
) -> asyncio.Transport:
    """Start TLS on a connection whose first bytes have been read."""
    loop = asyncio.get_running_loop()
    before = transport.get_protocol()
    starting: Coroutine[Any, Any, asyncio.Transport | None] = loop.start_tls(
        transport,
        protocol,
        context,
        server_side=True,
        ssl_handshake_timeout=HANDSHAKE_S,
        ssl_shutdown_timeout=_GOODBYE_S,
    )
    task = asyncio.ensure_future(starting)
    try:
        await asyncio.sleep(0)  # it sets its protocol, and asks the loop to connect it …
        await asyncio.sleep(0)  # … and to read, which is done after this turn
        reader = transport.get_protocol()
        if reader is not before and not task.done():
            current = _CURRENT.set(transport)
            feed(cast("asyncio.BufferedProtocol", reader), first)
            _CURRENT.reset(current)
        encrypted = await task
    except BaseException:
        task.cancel()
        raise
    if encrypted is None:
        raise ConnectionResetError("the client has gone")
    return encrypted


def _send_alert(alert: bytes) -> None:
    """Send an alert: the loop's TLS closes the connection without one."""
    transport = _CURRENT.get()
    if transport is not None and transport.get_extra_info("sslcontext") is None:
        file = transport.get_extra_info("socket").fileno()
        if file < 0:  # a connection within one loop
            transport.write(alert)
            return
        with contextlib.suppress(OSError):
            os.write(file, alert)


def feed(reader: asyncio.BufferedProtocol, data: bytes) -> None:
    """Give bytes to a protocol, as a transport does."""
    rest = memoryview(data)
    while rest:
        buffer = memoryview(reader.get_buffer(len(rest)))
        count = min(len(buffer), len(rest))
        buffer[:count] = rest[:count]
        reader.buffer_updated(count)
        rest = rest[count:]


def _is_distrusted(error: Exception) -> bool:
    """Tell whether a handshake failed because the client does not trust the certificate."""
    reason = getattr(error, "reason", None) or ""
    return any(word in reason for word in ("UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "BAD_CERTIFICATE"))
