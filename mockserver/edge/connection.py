"""Connections: aiohttp's own, with a fast path for requests that can be answered at once.

Most requests arrive whole on an idle connection, and their response takes no waiting. For those, aiohttp's
machinery (a task, two turns of the loop and a writer for each request) costs more than all of our own work. So
the fast path asks the server first, and leaves to aiohttp what the server cannot answer at once. aiohttp parses
either way.

The fast path uses private names of aiohttp, all listed in `_PRIVATE_NAMES`, and only in the versions of aiohttp
that it was tested with. Where a name is missing, or with another version, aiohttp serves every request: slower,
with the same bytes (tests/edge/test_connection.py).
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import aiohttp
import orjson
from aiohttp import HttpVersion11, web
from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING
from aiohttp.http import RawRequestMessage

from mockserver.edge.arrival import DIRECT, Arrival
from mockserver.edge.http_bytes import wire_response

_LOG = logging.getLogger("mockserver")

#: The series of aiohttp in which the private names mean what the fast path takes them to mean.
_TESTED_SERIES = ("3.14",)
#: What the fast path uses of a connection, and of the parser of a connection.
_PRIVATE_NAMES = (
    "_close",
    "_force_close",
    "_keepalive_timeout",
    "_loop",
    "_messages",
    "_next_keepalive_close_time",
    "_parser",
    "_waiter",
    "writing_paused",
)
_PARSER_NAMES = ("message_consumed",)

#: The first byte of a TLS connection: the record type of a handshake (RFC 8446, 5.1). No HTTP begins with it.
_TLS_HANDSHAKE = b"\x16"
#: Longer bodies may have made the reader pause; aiohttp lets it go on.
_BODY_BYTES_AT_ONCE = 16_384


#: How long a connection is kept that the client has closed on its side, and perhaps altogether: it cannot be seen.
_HALF_CLOSED_S = 10.0
#: Descriptors are said to be used up when so few are left: the server needs some for files and callbacks.
_DESCRIPTORS_SPARE = 16
_SAID_AGAIN_S = 60.0


@functools.cache
def _most_descriptors() -> float:
    """Return how many file descriptors this process may have open."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return float("inf")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return float("inf") if most == resource.RLIM_INFINITY else most


class AnswersNow(Protocol):
    """Returns the bytes of a response; None, or what it has begun with, where that takes longer."""

    def __call__(self, message: RawRequestMessage, body: bytes, arrival: Arrival) -> object:
        """Answer a request whose body has arrived."""


class SpeaksTls(Protocol):
    """Goes on encrypted with a connection whose first bytes are those of TLS."""

    def __call__(self, connection: Connection, first: bytes) -> None:
        """Go on."""


class HttpServer(web.Server):
    """aiohttp's server, with our own connections. `speak_tls` is to be set before the first of them."""

    speak_tls: SpeaksTls

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        answer_now: AnswersNow,
        **options: Any,
    ) -> None:
        super().__init__(handler, **options)
        self.answer_now = answer_now
        #: How many connections were open at once at most.
        self.most_open = 0
        self._options = options
        problem = fast_path_problem(super().__call__())
        self._fast = problem is None
        self._said_again_s = 0.0
        if problem is not None:
            _warn_once(problem)

    def descriptors_used_up(self, now_s: float) -> None:
        """Say that the file descriptors are used up; once a minute."""
        if now_s >= self._said_again_s:
            self._said_again_s = now_s + _SAID_AGAIN_S
            most = _most_descriptors()
            _LOG.error(
                "file descriptors are used up (%g): connections may be refused; raise the limit (ulimit -n)", most
            )

    def encrypted(self) -> list[asyncio.Transport]:
        """Return the transports of the open connections that are encrypted."""
        # A transport of TLS that has ended cannot be asked.
        secure = [each for each in self.connections if isinstance(each, Connection) and each.arrival.secure]
        return [each.transport for each in secure if each.transport is not None]

    def __call__(self, arrival: Arrival = DIRECT) -> Connection:
        """Make the protocol of a new connection, or of one that goes on as a tunnel."""
        if not arrival.tunnel:
            self.most_open = max(self.most_open, len(self.connections) + 1)
        kind = FastConnection if self._fast else Connection
        connection = kind(self, loop=asyncio.get_running_loop(), **self._options)
        connection.arrival = arrival
        return connection


def fast_path_problem(connection: web.RequestHandler, version: str = aiohttp.__version__) -> str | None:
    """Say why the fast path cannot be used on such connections; None where it can."""
    if ".".join(version.split(".")[:2]) not in _TESTED_SERIES:
        return f"the fast path is for aiohttp {', '.join(_TESTED_SERIES)}; this is {version}"
    missing = [name for name in _PRIVATE_NAMES if not hasattr(connection, name)]
    parser = getattr(connection, "_parser", None)
    missing += [name for name in _PARSER_NAMES if not hasattr(parser, name)]
    return f"aiohttp {version} has no {', '.join(missing)}" if missing else None


@functools.cache
def _warn_once(problem: str) -> None:
    _LOG.warning("requests are served by aiohttp's own, slower path: %s", problem)


class Connection(web.RequestHandler):
    """One connection, served by aiohttp. Where it begins as TLS does, `HttpServer.speak_tls` goes on."""

    __slots__ = ("_is_new", "_server", "arrival", "client_ended", "when_lost")

    def __init__(self, manager: HttpServer, **options: Any) -> None:
        super().__init__(manager, **options)
        self._server = manager
        self._is_new = True
        self.arrival = DIRECT
        #: The client has closed its side, and waits for what is under way.
        self.client_ended = False
        #: Called when the connection has ended, while a request on it stays open.
        self.when_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; say so where this connection has one of the last file descriptors."""
        super().connection_made(transport)
        own = transport.get_extra_info("socket")
        if own is not None and own.fileno() + _DESCRIPTORS_SPARE >= _most_descriptors():
            self._server.descriptors_used_up(self._loop.time())

    def connection_lost(self, exc: BaseException | None) -> None:
        """End, and tell a request that stays open."""
        super().connection_lost(exc)
        if self.when_lost is not None:
            self.when_lost()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        if not (self._is_new and self._is_tls(data)):
            super().data_received(data)

    def _is_tls(self, data: bytes) -> bool:
        """Look at the first bytes; go on encrypted where they are those of TLS."""
        self._is_new = False
        if data[:1] != _TLS_HANDSHAKE or self._force_close or self._close:
            return False
        self._server.speak_tls(self, data)
        return True

    def go_on_with(self, encrypted: asyncio.Transport) -> None:
        """Go on with the encrypted transport."""
        self.transport = encrypted
        self.arrival = self.arrival._replace(secure=True)
        encrypted.set_protocol(self)

    def take_tail(self) -> bytes:
        """Return what has arrived after a request that ends HTTP on this connection."""
        tail, self._message_tail = getattr(self, "_message_tail", b""), b""
        return tail

    def release(self) -> asyncio.Transport:
        """Let go of the transport, which lives on; this connection has ended."""
        transport, self.transport = self.transport, None
        assert transport is not None
        self.connection_lost(None)
        return transport

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - aiohttp's signature
        message: str | None = None,
    ) -> web.StreamResponse:
        """Report invalid HTTP briefly, without the library's name."""
        if request.transport is None:
            raise ConnectionResetError("the client has gone")
        what = " ".join((message or "").partition("\n\n")[0].partition(" when reading")[0].split()).rstrip(":")[:200]
        body = orjson.dumps({"error": f"the request is not well-formed HTTP: {what}" if what else "bad request"})
        return wire_response(request, status, (), "application/json", body, "", close=True)


class FastConnection(Connection):
    """A connection that answers at once where that takes no waiting."""

    __slots__ = ("_answer_now", "_arriving", "_begun")

    def __init__(self, manager: HttpServer, **options: Any) -> None:
        super().__init__(manager, **options)
        self._answer_now = manager.answer_now
        self._begun: object = None
        #: The body of the last request that was left to aiohttp.
        self._arriving: Any = None

    def take_begun(self) -> Any:
        """Return what `answer_now` has begun for the request that aiohttp handles now; None where it has not."""
        begun, self._begun = self._begun, None
        return begun

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks whether to keep it open
        """Keep a connection that the client has closed on its side alone until its request is answered, for a while."""
        super().eof_received()
        if self.arrival.secure:  # TLS has no such state
            return False
        arriving = self._arriving
        idle = self._waiter is not None and not self._waiter.done()
        if self.transport is None or idle or (arriving is not None and not arriving.is_eof()):
            return False
        self.client_ended = True
        self.close()
        self._loop.call_later(_HALF_CLOSED_S, self._abort)
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """End; the body refers to this connection."""
        super().connection_lost(exc)
        self._arriving = None

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; answer it at once where that is possible."""
        waiter = self._waiter
        if self._is_new and self._is_tls(data):
            return
        if waiter is None or waiter.done() or self._messages:
            super().data_received(data)
            if self._messages:
                self._arriving = self._messages[-1][1]
            return
        self._waiter = None  # so that aiohttp parses, but does not yet wake its task
        super().data_received(data)
        self._waiter = waiter
        if self._messages and not self._answered(data) and not waiter.done():
            self._arriving = self._messages[-1][1]
            waiter.set_result(None)

    def _answered(self, data: bytes) -> bool:
        """Answer the one request that this data contains, whole and alone; False leaves it to aiohttp."""
        message, payload = self._messages[0]
        if (
            len(self._messages) > 1
            or data[0] in b"\r\n"  # the end of a head that came in two pieces: the next head's end is not this one's
            or not isinstance(message, RawRequestMessage)
            or message.should_close
            or message.upgrade
            or message.version != HttpVersion11
            or not payload.is_eof()
            or self.writing_paused
            or self._force_close
            or self._close
            or self.transport is None
            or self._parser is None
        ):
            return False
        headers = message.headers
        head_bytes = data.find(b"\r\n\r\n") + 4
        length = len(data) - head_bytes
        if (
            length > _BODY_BYTES_AT_ONCE
            or headers.get(CONTENT_LENGTH, "0") != str(length)
            or CONTENT_ENCODING in headers
            or TRANSFER_ENCODING in headers
        ):
            return False
        answer = self._answer_now(message, data[head_bytes:], self.arrival)
        if not isinstance(answer, bytes):
            self._begun = answer
            return False
        self._messages.popleft()
        self._parser.message_consumed()
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        self.transport.write(answer)
        return True
