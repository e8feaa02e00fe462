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
from mockserver.edge.hosts import Hosts, Verdict, authority_of
from mockserver.edge.http_bytes import WireResponse
from mockserver.edge.relay import Relay
from mockserver.edge.resolver import CheckingResolver
from mockserver.engine.targets import Address, is_internal, literal_address

CONNECT_S = 10.0
_TLS_PORT = 443
#: Headers of one connection, not of the message (RFC 9110, 7.6.1).
_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te"),
        *("trailer", "transfer-encoding", "upgrade"),
    )
)
#: Writes down that a client was kept from a host: the request, the status, a name of the problem, and a line.
Refuse = Callable[[web.BaseRequest, int, str, str], None]
#: Goes on with the transport of a connection, and with what has arrived on it.
GoOn = Callable[[asyncio.Transport, bytes], None]


class _UnreachableError(Exception):
    """A host that is allowed cannot be reached; the message says why."""


def _not_public(address: Address) -> str | None:
    return "has no public address (--allow-host lets it through)" if is_internal(address) else None


class Proxy:
    """What one server does for clients that use it as their proxy."""

    def __init__(self, http: Callable[[Arrival], Connection], hosts: Hosts) -> None:
        self._http = http
        self._hosts = hosts
        self._relays: set[Relay] = set()
        self._sessions: dict[Verdict, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Cut all tunnels."""
        for relay in list(self._relays):
            relay.abort()
        for session in self._sessions.values():
            await session.close()

    async def connect(self, request: web.BaseRequest, connection: Connection, refuse: Refuse) -> web.StreamResponse:
        """Answer CONNECT."""
        asked = authority_of(request.raw_path.lower())
        if asked is None:
            return _refused(request, 400, f"CONNECT needs a host and a port, not {request.raw_path[:100]!r}")
        verdict, name = self._hosts.judge(asked, _TLS_PORT), asked.with_port(_TLS_PORT)
        if verdict == "refused":
            line = self._hosts.refuse(name)
            refuse(request, 403, "host_not_mocked", line)
            return _refused(request, 403, line)
        if verdict in ("mocked", "ours"):
            go_on: GoOn = partial(self._serve, connection.arrival._replace(secure=False, tunnel=name))
        else:
            try:
                go_on = (await self._dial(asked.host, asked.port or _TLS_PORT, verdict)).join
            except _UnreachableError as error:
                line = f"mockserver cannot connect to {name}: {error}"
                refuse(request, 502, "host_unreachable", line)
                return _refused(request, 502, line)
        return cast("web.StreamResponse", _Established(connection, go_on))

    def _serve(self, arrival: Arrival, transport: asyncio.Transport, early: bytes) -> None:
        """Serve what comes through a tunnel."""
        connection = self._http(arrival)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        transport.resume_reading()
        if early:
            connection.data_received(early)

    async def _dial(self, host: str, port: int, verdict: Verdict) -> Relay:
        """Connect to a host.

        Raises:
            _UnreachableError: that is not possible.
        """
        loop, relay = asyncio.get_running_loop(), Relay(self._relays)
        problem: OSError | None = None
        try:
            async with asyncio.timeout(CONNECT_S):
                for found in await _resolver(verdict).resolve(host, port, socket.AF_UNSPEC):
                    try:
                        await loop.create_connection(lambda: relay.far, found["host"], port)
                    except OSError as error:
                        problem = error
                    else:
                        return relay
        except TimeoutError:
            raise _UnreachableError(f"no answer within {CONNECT_S:g} s") from None
        except (OSError, UnicodeError) as error:
            raise _UnreachableError(_words(error)) from None
        raise _UnreachableError("no address" if problem is None else _words(problem))

    async def forward(self, request: web.BaseRequest, elsewhere: ElsewhereError, refuse: Refuse) -> web.StreamResponse:
        """Answer a request in absolute form for a host that is not served here."""
        asked, is_tls = elsewhere.asked, elsewhere.url.lower().startswith("https:")
        port = _TLS_PORT if is_tls else 80
        verdict, name = self._hosts.judge(asked, port), asked.with_port(port)
        if verdict == "refused":
            line = self._hosts.refuse(name)
            refuse(request, 403, "host_not_mocked", line)
            return _refused(request, 403, line)
        try:
            return await self._forwarded(request, elsewhere, verdict)
        except (_UnreachableError, aiohttp.ClientError, TimeoutError, ValueError) as error:
            cause = getattr(error, "os_error", error)
            line = f"mockserver cannot get {name}: {_words(cause)}"
            refuse(request, 502, "host_unreachable", line)
            return _refused(request, 502, line)

    async def _forwarded(
        self, request: web.BaseRequest, elsewhere: ElsewhereError, verdict: Verdict
    ) -> web.StreamResponse:
        """Send a request on, and its response back, as they come.

        Raises:
            _UnreachableError: it is for an address that is not public.
        """
        literal = literal_address(elsewhere.asked.host)  # aiohttp does not resolve one
        if verdict == "passed" and literal is not None and (problem := _not_public(literal)):
            raise _UnreachableError(f"it {problem}")
        session = self._sessions.get(verdict)
        if session is None:
            session = self._sessions[verdict] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_resolver(verdict), use_dns_cache=False, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            )
        async with session.request(
            request.method,
            URL(elsewhere.url, encoded=True),
            headers=_forwardable(request.headers),
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
        ) as answer:
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=_forwardable(answer.headers)
            )
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


def _resolver(verdict: Verdict) -> CheckingResolver:
    """Return what resolves hosts: those that are allowed by name may have any address."""
    return CheckingResolver(_not_public if verdict == "passed" else lambda _address: None)


def _words(error: Exception) -> str:
    """Say what is wrong, in one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:200]


def _forwardable(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return the headers of a message without those of its connection."""
    named = {name.strip().lower() for each in headers.getall(hdrs.CONNECTION, ()) for name in each.split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP | named)


def _refused(request: web.BaseRequest, status: int, line: str) -> web.StreamResponse:
    """Answer with one line; also in place of the status's phrase, because clients show that of a refused CONNECT."""
    phrase = "".join(character if " " <= character <= "~" else "?" for character in line)
    body = f"{line}\n".encode()
    head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    content = f"{head}Connection: close\r\n\r\n".encode() + (b"" if request.method == "HEAD" else body)
    return cast("web.StreamResponse", WireResponse(status, content, keep_alive=False))


class _Established:
    """The answer to a CONNECT that is granted: what comes from now on is not for this connection."""

    keep_alive = False
    status = 200

    def __init__(self, connection: Connection, go_on: GoOn) -> None:
        self._connection = connection
        self._go_on = go_on
        self._early = connection.take_tail()

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write the response; aiohttp calls this once."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def write_eof(self) -> None:
        """Hand the connection over."""
        self._go_on(self._connection.release(), self._early)
