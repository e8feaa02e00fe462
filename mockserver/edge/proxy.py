"""The server as its clients' proxy: CONNECT, and requests in absolute form for other hosts.

A tunnel to a mocked host, or to this server itself, ends here: what comes through it is served as if it had come
directly. A host that is allowed is really connected to. With `--passthrough`, only public addresses are: whoever can
reach this server could otherwise reach what it alone can.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import cast

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from mockserver.edge.addressing import ElsewhereError
from mockserver.edge.arrival import Arrival
from mockserver.edge.connection import Connection
from mockserver.edge.hosts import Hosts, Verdict, host_port_of, without_user
from mockserver.edge.http_bytes import WireResponse
from mockserver.edge.relay import Relay
from mockserver.edge.request_body import send_continue
from mockserver.edge.resolver import BlockedAddressError, CheckingResolver
from mockserver.engine.targets import Address, is_internal, literal_address

CONNECT_S = 10.0
#: How long a host may be silent: its client may have gone, which is not seen before the next byte.
SILENCE_S = 600.0
_TLS_PORT = 443
#: Headers of one connection, not of the message (RFC 9110, 7.6.1); `Expect` is answered here.
_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te"),
        *("trailer", "transfer-encoding", "upgrade", "expect"),
    )
)
#: Writes down that a client was kept from a host: the request, its target, the status, a name of the problem, a line.
Refuse = Callable[[web.BaseRequest, str, int, str, str], None]
#: Goes on with the transport of a connection, and with what has arrived on it.
GoOn = Callable[[asyncio.Transport, bytes], None]


def _not_public(address: Address) -> str | None:
    return "has no public address" if is_internal(address) else None


class Proxy:
    """What one server does for clients that use it as their proxy."""

    def __init__(self, http: Callable[[Arrival], Connection], hosts: Hosts) -> None:
        self._http = http
        self._hosts = hosts
        self._relays: set[Relay] = set()
        self._sessions: dict[Verdict, aiohttp.ClientSession] = {}
        self._closing = False

    async def close(self) -> None:
        """Cut all tunnels; no other begins."""
        self._closing = True
        for relay in list(self._relays):
            relay.abort()
        for session in self._sessions.values():
            await session.close()

    async def connect(self, request: web.BaseRequest, connection: Connection, refuse: Refuse) -> web.StreamResponse:
        """Answer CONNECT."""
        target = without_user(request.raw_path)
        asked = host_port_of(request.raw_path.lower())
        if asked is None:
            return _refused(
                request, target, 400, "bad_target", f"CONNECT needs a host and a port, not {target[:100]!r}", refuse
            )
        verdict, name = self._hosts.judge(asked, _TLS_PORT), asked.with_port(_TLS_PORT)
        if verdict == "refused":
            return _refused(request, target, 403, "host_not_mocked", self._hosts.refuse(name), refuse)
        if verdict in ("mocked", "ours"):
            return _established(
                connection, partial(self._serve, connection.arrival._replace(secure=False, tunnel=name))
            )
        try:
            relay = await self._dial(asked.host, asked.port or _TLS_PORT, verdict)
        except (OSError, ValueError) as error:
            return self._not_reached(request, target, name, error, refuse)
        return _established(connection, relay.join, relay.abort)

    def _not_reached(
        self, request: web.BaseRequest, target: str, name: str, error: Exception, refuse: Refuse
    ) -> web.StreamResponse:
        """Answer that a host which is allowed was not reached."""
        cause = getattr(error, "os_error", error)
        if isinstance(cause, BlockedAddressError):
            line = self._hosts.refuse(name, why="has no public address")
            return _refused(request, target, 403, "host_not_mocked", line, refuse)
        line = f"mockserver cannot connect to {name}: {words_of(cause)}"
        return _refused(request, target, 502, "host_unreachable", line, refuse)

    def _serve(self, arrival: Arrival, transport: asyncio.Transport, early: bytes) -> None:
        """Serve what comes through a tunnel."""
        if self._closing:
            transport.abort()
            return
        connection = self._http(arrival)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        transport.resume_reading()
        if early:
            connection.data_received(early)

    async def _dial(self, host: str, port: int, verdict: Verdict) -> Relay:
        """Connect to a host.

        Raises:
            BlockedAddressError: it is not allowed by name, and has no public address.
            OSError: that is not possible.
            ValueError: it is no host name.
        """
        loop, relay = asyncio.get_running_loop(), Relay(self._relays)
        problem = OSError("no address")
        async with asyncio.timeout(CONNECT_S):
            for found in await _resolver(verdict).resolve(host, port, socket.AF_UNSPEC):
                try:
                    await loop.create_connection(lambda: relay.far, found["host"], port)
                except OSError as error:
                    problem = error
                else:
                    break
            else:
                raise problem
        if self._closing:
            relay.abort()
            raise ConnectionAbortedError("the server is being stopped")
        return relay

    async def forward(self, request: web.BaseRequest, elsewhere: ElsewhereError, refuse: Refuse) -> web.StreamResponse:
        """Answer a request in absolute form for a host that is not served here."""
        asked, url = elsewhere.asked, elsewhere.url
        if asked is None:
            line = f"no host, perhaps with a port, between // and the path: {url[:100]!r}"
            return _refused(request, url, 400, "bad_target", line, refuse)
        port = _TLS_PORT if url.lower().startswith("https:") else 80
        verdict, name = self._hosts.judge(asked, port), asked.with_port(port)
        if verdict == "refused":
            return _refused(request, url, 403, "host_not_mocked", self._hosts.refuse(name), refuse)
        try:
            answer = await self._asked(request, asked.host, url, verdict)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return self._not_reached(request, url, name, error, refuse)
        async with answer:
            return await _passed_on(request, answer)

    async def _asked(self, request: web.BaseRequest, host: str, url: str, verdict: Verdict) -> aiohttp.ClientResponse:
        """Send a request on; return the response, whose body is to be read.

        Raises:
            BlockedAddressError: the host is not allowed by name, and has no public address.
            OSError, aiohttp.ClientError: that is not possible.
            ValueError: it is no host name.
        """
        literal = literal_address(host)  # aiohttp does not resolve one
        if verdict == "passed" and literal is not None and (problem := _not_public(literal)):
            raise BlockedAddressError(problem)
        session = self._sessions.get(verdict)
        if session is None:
            session = self._sessions[verdict] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_resolver(verdict), use_dns_cache=False, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S),
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            )
        headers = forwardable(request.headers)
        headers.popall(hdrs.HOST, None)  # the URL says it (RFC 9112, 3.2.2): this one might name a host of another site
        send_continue(request)
        return await session.request(
            request.method,
            URL(url, encoded=True),
            headers=headers,
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
        )


async def _passed_on(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Send a response back as it comes; cut it off where it is cut off."""
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=forwardable(answer.headers))
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (aiohttp.ClientError, OSError):
        if request.transport is not None:
            request.transport.abort()
    return response


def _resolver(verdict: Verdict) -> CheckingResolver:
    """Return what resolves hosts: those that are allowed by name may have any address."""
    return CheckingResolver(_not_public if verdict == "passed" else lambda _address: None)


def words_of(error: Exception) -> str:
    """Say what is wrong, in one line."""
    if isinstance(error, aiohttp.SocketTimeoutError):
        return f"no answer within {SILENCE_S:g} s"
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_S:g} s"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:200]


def forwardable(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return the headers of a message without those of its connection."""
    named = {name.strip().lower() for each in headers.getall(hdrs.CONNECTION, ()) for name in each.split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP | named)


def _refused(
    request: web.BaseRequest, target: str, status: int, error: str, line: str, refuse: Refuse
) -> web.StreamResponse:
    """Answer that a client was kept from a host, and write it down.

    The line is also in place of the status's phrase, because some clients show only that of a refused CONNECT.
    """
    refuse(request, target, status, error, line)
    phrase = "".join(character if " " <= character <= "~" else "?" for character in line)
    body = f"{line}\n".encode()
    head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    content = f"{head}Connection: close\r\n\r\n".encode() + (b"" if request.method == "HEAD" else body)
    return cast("web.StreamResponse", WireResponse(status, content, keep_alive=False))


def _established(connection: Connection, go_on: GoOn, give_up: Callable[[], None] = lambda: None) -> web.StreamResponse:
    return cast("web.StreamResponse", _Established(connection, go_on, give_up))


class _Established:
    """The answer to a CONNECT that is granted: what comes from now on is not for this connection."""

    keep_alive = False
    status = 200

    def __init__(self, connection: Connection, go_on: GoOn, give_up: Callable[[], None]) -> None:
        self._connection = connection
        self._go_on = go_on
        self._give_up = give_up
        self._early = connection.take_tail()

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write the response; aiohttp calls this once."""
        transport = request.transport
        if transport is None or transport.is_closing():
            self._give_up()
            raise ConnectionResetError("the client has gone")
        self._early = request.content.read_nowait() + self._early  # where aiohttp's parser is the one in Python
        transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def write_eof(self) -> None:
        """Hand the connection over."""
        transport = self._connection.release()
        self._go_on(transport, self._early)
        if self._connection.client_ended and not cast("asyncio.Protocol", transport.get_protocol()).eof_received():
            transport.close()
