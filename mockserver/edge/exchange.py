"""One exchange: a request to a provider goes through the engine, into the journal, and becomes bytes.

Most requests are answered at once, from the connection's callback: `RequestHandler.answer_now`. A request that has
to wait (for its body, for a file, for a callback, or because a fault sends its response slowly) takes aiohttp's way:
`RequestHandler.handle`. Both make an `Exchange`; the second goes on with what the first has begun.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, cast

import orjson

from mockserver.edge.access import RefusedError
from mockserver.edge.addressing import Address, Addresses, ElsewhereError
from mockserver.edge.admin.api import Admin
from mockserver.edge.arrival import DIRECT, Arrival
from mockserver.edge.connection import Connection, FastConnection
from mockserver.edge.faulty_response import faulty_response
from mockserver.edge.files import ResultFiles
from mockserver.edge.following import EventStream, answer_at_the_end
from mockserver.edge.http_bytes import DateHeader, WireResponse, answer_headers, wire_bytes, wire_response
from mockserver.edge.proxy import Proxy
from mockserver.edge.recorder import CALLBACKS_PATH, Recorder
from mockserver.edge.request_body import read_body, read_fields, read_form
from mockserver.edge.runtime import Runtime
from mockserver.edge.sessions import SessionError, Sessions
from mockserver.engine.messages import FileWanted, Request, Response, StoredFile
from mockserver.engine.routes import RouteMatch
from mockserver.engine.state import ProviderState
from mockserver.engine.transmission import Transmission
from mockserver.engine.watching import Following
from mockserver.engine.world import Outcome
from mockserver.journal.record import Exchange as JournalEntry
from mockserver.journal.redaction import without_secrets

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.http import RawRequestMessage

_FILE_ROLES = frozenset(("result", "file", "upload"))
_LOG = logging.getLogger("mockserver")


class Exchange:
    """A request and its outcome, on its way to bytes. Without a provider it was for nothing that is served."""

    __slots__ = (
        "_date",
        "answered_ms",
        "now_ms",
        "outcome",
        "provider",
        "request",
        "runtime",
        "target",
        "transmission",
    )

    def __init__(
        self,
        runtime: Runtime,
        provider: str | None,
        request: Request,
        target: str,
        date: DateHeader,
        now_ms: int,
        outcome: Outcome,
    ) -> None:
        self.runtime = runtime
        self.provider = provider
        self.request = request
        self.target = target
        self._date = date
        self.now_ms = now_ms
        #: When it is answered, which may be later than when it came.
        self.answered_ms = now_ms
        self.outcome = outcome
        #: How faults send the response; None until that is worked out.
        self.transmission: Transmission | None = None

    @classmethod
    def of_provider(
        cls, runtime: Runtime, state: ProviderState, match: RouteMatch, request: Request, target: str, date: DateHeader
    ) -> Exchange:
        """Let the engine handle a request."""
        now_ms = runtime.clock.now_ms()
        outcome = runtime.world.handle(state, match, request, now_ms, runtime.client_time())
        if outcome.books_callbacks:
            runtime.dispatcher.wake()
        if outcome.response.remarks is not None:
            runtime.tell(state.provider, outcome.response.remarks)
        if runtime.waiting is not None:
            is_query = match.operation is not None and match.operation.role == "query"
            runtime.waiting.answered(state, outcome.response, now_ms, runtime.advance_to, is_query=is_query)
        return cls(runtime, state.provider.name, request, target, date, now_ms, outcome)

    @property
    def delivers_first(self) -> bool:
        """Whether a callback is to be delivered before the response is sent."""
        return self.outcome.delivers_first and self.outcome.response.task_id is not None

    def journal(
        self, status: int, headers: object, content: bytes | None, size: int, response: Response | None = None
    ) -> None:
        """Write down what is sent."""
        request = self.request
        self.runtime.journal.exchange(
            JournalEntry(
                self.now_ms,
                self.provider,
                response or self.outcome.response,
                request.method,
                self.target,
                request.headers,
                request.body,
                status,
                headers,
                content,
                size,
            )
        )

    def journal_file(self, sent: web.StreamResponse) -> None:
        """Write down what aiohttp sends of a file."""
        self.journal(sent.status, sent.headers.copy(), None, sent.content_length or 0)

    def plain_bytes(self, *, keep_alive: bool = True) -> bytes:
        """Return the bytes of a response that no fault changes on its way, and write it down."""
        response = self.outcome.response
        content = _content_of(response)
        size = len(content)
        kept = response if size <= self.runtime.journal.body_limit else replace(response, body=b"", file=None)
        self.journal(response.status, response.headers, content, size, kept)
        return wire_bytes(
            response.status,
            response.headers,
            response.content_type,
            content,
            self._date.line(self.answered_ms),
            keep_alive=keep_alive,
            with_body=self.request.method != "HEAD",
        )

    def answer(self, now_ms: int, response: Response) -> None:
        """Take the answer that the request has waited for."""
        self.answered_ms = now_ms
        self.outcome = self.outcome._replace(response=response, follows=None)

    def event_stream(self, following: Following, *, keep_alive: bool) -> EventStream:
        """Return a response that is sent event by event, and is written down at its end."""
        response = self.outcome.response
        headers = [("Content-Type", response.content_type), *response.headers, self._date.pair(self.now_ms)]

        def journal(sent: bytes) -> None:
            response.body = sent
            self.journal(response.status, headers, sent, len(sent))

        return EventStream(self.runtime, following, response.status, headers, journal, keep_alive=keep_alive)

    def apply_faults(self, file: Transmission | None = None) -> Transmission:
        """Let faults change how the response, or this file, is sent; write down what is sent."""
        response = self.outcome.response
        out = file
        if out is None:
            content = _content_of(response)
            date = self._date.pair(self.answered_ms)
            headers = answer_headers(response.status, response.headers, response.content_type, content, date)
            out = Transmission(response.status, headers, content)
        out.with_body = self.request.method != "HEAD"
        for injection in self.outcome.injections:
            if injection.may_apply and injection.fault.alter_transmission(injection, out):
                injection.mark_applied()
                if injection.fault.name not in response.faults:
                    response.faults = (*response.faults, injection.fault.name)
        sent = out.sent_body()
        self.journal(out.status if out.head_bytes is None else 0, out.headers, sent, len(sent))
        self.transmission = out
        return out


def _content_of(response: Response) -> bytes:
    return response.file.content if isinstance(response.file, StoredFile) else response.body


class RequestHandler:
    """Answers the requests to one server.

    Args:
        main: the runtime of requests that name no session.
        timeout_s: how long a body may take to arrive, in wall time.
        recorder: sends requests on to the real providers, instead of the engine.
    """

    def __init__(
        self,
        addresses: Addresses,
        main: Runtime,
        sessions: Sessions,
        admin: Admin,
        files: ResultFiles,
        proxy: Proxy,
        timeout_s: float,
        recorder: Recorder | None = None,
    ) -> None:
        self._recorder = recorder
        self._addresses = addresses
        self._proxy = proxy
        self._main = main
        self._sessions = sessions
        self._admin = admin
        self._files = files
        self._timeout_s = timeout_s
        self._date = DateHeader()

    def answer_now(self, message: RawRequestMessage, body: bytes, arrival: Arrival) -> bytes | Exchange | None:
        """Answer a request whose body has arrived; return an exchange that has to wait, or None for aiohttp's way."""
        if self._recorder is not None:
            return None
        method, target, headers = message.method, message.path, message.headers
        try:
            runtime, state, path, query, base, _ = self._addresses.find(
                target, headers, self._main, self._sessions, arrival
            )
        except (SessionError, RefusedError, ElsewhereError, OSError):  # aiohttp's way reports what is wrong
            return None
        if state is None:
            return None
        match = state.router.find(method, path)
        operation = match.operation
        if operation is not None and operation.role in _FILE_ROLES:
            return None
        if operation is None or method == "GET":
            body = b""
        request = Request(method, path, headers, body, query, base)
        if operation is not None and len(body) > operation.max_body_bytes:
            request.body, request.oversized = b"", True
        if operation is not None and operation.bodies and operation.reads_parts:
            request.fields = read_fields(request.body, headers)
        began_s = perf_counter() if runtime.metrics is not None else 0.0
        try:
            exchange = Exchange.of_provider(runtime, state, match, request, target, self._date)
            if exchange.delivers_first or exchange.outcome.follows is not None:
                return exchange
            if exchange.outcome.injections:
                exchange.apply_faults()
                return exchange
            content = exchange.plain_bytes()
        except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches a client
            return wire_bytes(500, (), "application/json", _failure(method, target, error), "")
        if runtime.metrics is not None:
            runtime.metrics.answered(perf_counter() - began_s)
        return content

    async def handle(self, http_request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request by aiohttp's way."""
        try:
            connection = http_request.protocol
            begun = connection.take_begun() if isinstance(connection, FastConnection) else None
            if begun is not None:
                return await self._finish(http_request, begun)
            return await self._answer(http_request)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches a client
            content = _failure(http_request.method, http_request.raw_path, error)
            return wire_response(http_request, 500, (), "application/json", content, "")

    async def _answer(self, http_request: web.BaseRequest) -> web.StreamResponse:
        connection = http_request.protocol
        if http_request.method == "CONNECT" and isinstance(connection, Connection):
            return await self._proxy.connect(http_request, connection, self._refuse)
        arrival = connection.arrival if isinstance(connection, Connection) else DIRECT
        try:
            address = self._addresses.find(
                http_request.raw_path, http_request.headers, self._main, self._sessions, arrival
            )
        except (SessionError, RefusedError) as error:
            return self._no_session(http_request, error)
        except ElsewhereError as elsewhere:
            return await self._proxy.forward(http_request, elsewhere, self._refuse)
        if self._recorder is not None:
            if address.state is not None:
                return await self._recorder.provide(http_request, address, self._main, address.state.provider.name)
            if address.path.startswith(CALLBACKS_PATH):
                return await self._recorder.receive(http_request, self._main)
        if address.state is not None:
            return await self._provide(http_request, address, address.state)
        if (admin_path := address.admin_path) is not None:
            return await self._admin.handle(http_request, address, admin_path)
        if address.path == "/":
            return self._index(http_request, address.runtime)
        return await self._nowhere(http_request, address)

    async def _provide(
        self, http_request: web.BaseRequest, address: Address, state: ProviderState
    ) -> web.StreamResponse:
        """Read the request, let the engine handle it, and send the response."""
        runtime, method, headers = address.runtime, http_request.method, http_request.headers
        match = state.router.find(method, address.path)
        operation, uploads = match.operation, state.provider.uploads
        request, close = Request(method, address.path, headers, b"", address.query, address.base), False
        if operation is not None and operation.max_body_bytes and method != "GET":
            body = await read_body(http_request, operation.max_body_bytes, self._timeout_s)
            request.body, request.oversized, request.stalled = body.content, body.oversized, body.stalled
            request.broken, close = body.broken or body.unreadable, body.cut_short
        if operation is not None and operation.role == "upload" and uploads is not None:
            request.form = read_form(request.body, headers, uploads.field, uploads.max_bytes)
        if operation is not None and operation.reads_parts:
            request.fields = read_fields(request.body, headers)
        state = runtime.world.providers[state.provider.name]  # not before: a reset may have come while the body did
        exchange = Exchange.of_provider(runtime, state, match, request, http_request.raw_path, self._date)
        return await self._finish(http_request, exchange, close=close)

    async def _finish(
        self, http_request: web.BaseRequest, exchange: Exchange, *, close: bool = False
    ) -> web.StreamResponse:
        """Make the response to an exchange, after what it has to wait for."""
        following = exchange.outcome.follows
        if following is not None and not following.streams:
            exchange.answer(*await answer_at_the_end(http_request, exchange.runtime, following))
        outcome = exchange.outcome
        response = outcome.response
        keep_alive = http_request.keep_alive and http_request.version.minor == 1 and not close
        if following is not None and following.streams:
            return cast("web.StreamResponse", exchange.event_stream(following, keep_alive=keep_alive))
        if exchange.transmission is None:
            if exchange.delivers_first:
                await exchange.runtime.dispatcher.deliver_now(str(response.task_id))
            wanted = response.file if isinstance(response.file, FileWanted) else None
            if outcome.injections:
                file = None
                if wanted is not None:
                    file = await self._files.transmission(http_request, response, wanted, exchange.now_ms)
                exchange.apply_faults(file)
            elif wanted is not None:
                return await self._files.response(response, wanted, exchange.now_ms, exchange.journal_file)
            else:
                content = exchange.plain_bytes(keep_alive=keep_alive)
                return cast("web.StreamResponse", WireResponse(response.status, content, keep_alive=keep_alive))
        assert exchange.transmission is not None
        return faulty_response(exchange.transmission, keep_alive=keep_alive)

    def _index(self, http_request: web.BaseRequest, runtime: Runtime) -> web.StreamResponse:
        root = self._addresses.session_root_url(self._sessions.name_of(runtime))
        index = {
            "mockserver": "an offline stand-in; these providers are served",
            "providers": runtime.base_urls,
            "control_plane": f"{root}/__admin/health",
        }
        return self._plain(http_request, runtime, 200, index)

    async def _nowhere(self, http_request: web.BaseRequest, address: Address) -> web.StreamResponse:
        """Answer a request for nothing that is served, and write it down: the client's base URL may be wrong."""
        runtime = address.runtime
        said = {"error": "no provider is served under this path", "providers": runtime.base_urls}
        body = await read_body(http_request, runtime.journal.body_limit, self._timeout_s)
        request = Request(http_request.method, address.path, http_request.headers, body.content, address.query)
        outcome = Outcome(Response(404, orjson.dumps(said), gate="route"))
        now_ms, target = runtime.clock.now_ms(), http_request.raw_path
        exchange = Exchange(runtime, None, request, target, self._date, now_ms, outcome)
        return await self._finish(http_request, exchange, close=body.cut_short)

    def _refuse(self, http_request: web.BaseRequest, target: str, status: int, error: str, line: str) -> None:
        """Write down that a client was kept from another host."""
        runtime = self._main
        content = f"{line}\n".encode()
        response = Response(status, content, "text/plain", gate="proxy", error=error)
        request = Request(http_request.method, target, http_request.headers)
        exchange = Exchange(runtime, None, request, target, self._date, runtime.clock.now_ms(), Outcome(response))
        exchange.journal(status, (), content, len(content), response)

    def _no_session(self, http_request: web.BaseRequest, error: SessionError | RefusedError) -> web.StreamResponse:
        """Report why a session cannot be had, in the control plane's shape."""
        body = {"error": {"code": error.code, "message": str(error)}}
        headers = ("Cache-Control", "no-store")
        return self._plain(http_request, self._main, error.status, body, headers)

    def _plain(
        self,
        http_request: web.BaseRequest,
        runtime: Runtime,
        status: int,
        body: Mapping[str, object],
        *headers: tuple[str, str],
    ) -> web.StreamResponse:
        date = self._date.line(runtime.clock.now_ms())
        return wire_response(http_request, status, headers, "application/json", orjson.dumps(body), date)


def _failure(method: str, target: str, error: Exception) -> bytes:
    _LOG.error("cannot answer %s %s: %r", method, without_secrets(target)[:200], error)
    _LOG.debug("while answering", exc_info=error)
    return orjson.dumps({"error": "the mock server itself failed; please report this"})
