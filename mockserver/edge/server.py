"""The HTTP server: finds the provider a request is for, asks the engine, writes the answer.

Addressing, in this order: a provider's real host in `Host`, with its real paths; the control plane under
/__admin/; a provider's name as the first segment of the path; with `--only`, that provider at the root.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from mockserver.edge.admin import Admin
from mockserver.edge.bodies import Body, read_body, read_form
from mockserver.edge.connection import HttpServer
from mockserver.edge.media import MediaShelf, ShelfClosedError, shape_of
from mockserver.edge.runtime import Runtime
from mockserver.edge.wire import DateHeader, wire_bytes, wire_response
from mockserver.engine.operations import FileWanted, Reply
from mockserver.engine.scope import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage

    from mockserver.config import Settings
    from mockserver.engine.routes import Match
    from mockserver.engine.space import Space
    from mockserver.provider import Provider

_ADMIN = "/__admin"
_KEEPALIVE_S = 75.0
_FILE_ROLES = frozenset(("result", "file", "upload"))
_NO_CLIENT_BODY = Body()
_LOG = logging.getLogger("mockserver")
_QUIET = logging.getLogger("mockserver.http")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class PortInUseError(OSError):
    """The port to listen on is taken."""


class Server:
    """A mock server on one socket.

    Args:
        settings: what the user has set.
        providers: what is to be served.
    """

    def __init__(self, settings: Settings, providers: Sequence[Provider]) -> None:
        self.settings = settings
        self.providers = providers
        self._date = DateHeader()
        self._listening: asyncio.Server | None = None
        self._flusher: asyncio.Task[None] | None = None
        self._shelf: MediaShelf
        self.runtime: Runtime
        self.port = 0

    async def start(self) -> None:
        """Listen, and begin to keep time.

        Raises:
            PortInUseError: the port is taken.
            OSError: the host cannot be listened on.
        """
        listener = _listener(self.settings.host, self.settings.port)
        try:
            self.port = listener.getsockname()[1]
            self.runtime = Runtime(self.settings, self.providers, self._base_urls())
        except BaseException:
            listener.close()
            raise
        self._spaces_by_host = self._hosts()
        self._admin = Admin(self)
        self._http = HttpServer(
            self._handle,
            self._answer_now,
            access_log=None,
            logger=_QUIET,
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=2.0,
            auto_decompress=False,
        )
        self._listening = await asyncio.get_running_loop().create_server(self._http, sock=listener, backlog=1024)
        self._shelf = MediaShelf()
        self.runtime.start()
        if self.settings.journal is not None:
            self._flusher = asyncio.create_task(self._flush_journal(), name="journal")

    async def close(self) -> None:
        """Stop listening, let what is being answered be answered for a moment, and let go of everything."""
        if self._listening is None:
            return
        self._listening.close()
        if self._flusher is not None:
            self._flusher.cancel()
        self._http.pre_shutdown()
        await self._http.shutdown(timeout=0.5)
        await self.runtime.close()
        await asyncio.to_thread(self._shelf.close)
        self._listening = None

    @property
    def admin_token(self) -> str | None:
        """Token of the control plane; None where none is asked for."""
        return self._admin.token

    @property
    def root_url(self) -> str:
        """Address of the server itself, without a slash at the end."""
        if self.settings.public_url is not None:
            return self.settings.public_url.rstrip("/")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.settings.host, self.settings.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def base_url(self, name: str) -> str:
        """Address under which a provider's paths begin."""
        return self.root_url if self.settings.only == name else f"{self.root_url}/{name}"

    def _base_urls(self) -> dict[str, str]:
        return {provider.name: self.base_url(provider.name) for provider in self.providers}

    def _hosts(self) -> dict[str, str]:
        """Map every spelling of a provider's real host to the provider's name."""
        return {
            spelling: provider.name
            for provider in self.providers
            for host in provider.hosts
            for spelling in (host, f"{host}:80", f"{host}:443", f"{host}:{self.port}")
        }

    async def _flush_journal(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            self.runtime.journal.flush()

    # -- one request ----------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches a client
            content = self._failure(request.method, request.raw_path, error)
            return wire_response(request, 500, (), "application/json", content, "")

    @staticmethod
    def _failure(method: str, target: str, error: Exception) -> bytes:
        _LOG.error("cannot answer %s %s: %r", method, target[:200], error)
        _LOG.debug("while answering", exc_info=error)
        return orjson.dumps({"error": "the mock server itself failed; please report this"})

    def _provider_of(self, target: str, host: str) -> tuple[Space | None, str, str]:
        """Find whose request this is; return the provider's space, its own path, and the query string.

        No space is the control plane's, with a path that starts with /__admin, or nobody's.
        """
        path, _, query = target.partition("?")
        if not path.startswith("/"):
            absolute = urlsplit(path)
            path, host = absolute.path or "/", absolute.netloc or host
        spaces = self.runtime.world.spaces
        name = self._spaces_by_host.get(host) or self._spaces_by_host.get(host.lower())
        if name is not None:
            return spaces[name], path, query
        if path.startswith(_ADMIN) and path[len(_ADMIN) : len(_ADMIN) + 1] in ("", "/"):
            return None, path, query
        if self.settings.only is not None:
            return spaces[self.settings.only], path, query
        first, slash, rest = path[1:].partition("/")
        space = spaces.get(first)
        return (None, path, query) if space is None else (space, f"/{rest}" if slash else "/", query)

    def _answer_now(self, message: RawRequestMessage, body: bytes) -> bytes | None:
        """Answer what needs no waiting: requests to a provider that move no files."""
        method, target, headers = message.method, message.path, message.headers
        space, path, query = self._provider_of(target, headers.get("Host", ""))
        if space is None:
            return None
        match = space.router.find(method, path)
        operation = match.operation
        if operation is not None and operation.role in _FILE_ROLES:
            return None
        if operation is None or method == "GET":
            body = b""
        call = Call(method, path, headers, body, query)
        if operation is not None and len(body) > operation.max_body_bytes:
            call.body, call.oversized = b"", True
        try:
            reply, now_ms = self._exchange(space, match, call, target)
        except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches a client
            content = self._failure(method, target, error)
            return wire_bytes(500, (), "application/json", content, "")
        return wire_bytes(
            reply.status,
            reply.headers,
            reply.content_type,
            reply.body,
            self._date.line(now_ms),
            with_body=method != "HEAD",
        )

    def _exchange(self, space: Space, match: Match, call: Call, target: str) -> tuple[Reply, int]:
        """Ask the engine, and write the exchange down; a file that is still to be served is written down later."""
        runtime = self.runtime
        now_ms = runtime.clock.now_ms()
        reply = runtime.world.handle(space, match, call, now_ms)
        if reply.task_id is not None and runtime.world.agenda:
            runtime.courier.kick()
        if not isinstance(reply.file, FileWanted):
            content = reply.file.content if reply.file is not None else reply.body
            runtime.journal.exchange(
                now_ms,
                space.provider.name,
                reply if len(content) <= runtime.journal.body_limit else replace(reply, body=b"", file=None),
                call.method,
                target,
                call.headers,
                call.body,
                reply.status,
                reply.headers,
                content,
                len(content),
            )
        return reply, now_ms

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        space, path, query = self._provider_of(request.raw_path, request.headers.get("Host", ""))
        if space is not None:
            return await self._provide(request, space, path, query)
        if path.startswith(_ADMIN) and path[len(_ADMIN) : len(_ADMIN) + 1] in ("", "/"):
            return await self._admin.handle(request, path[len(_ADMIN) :] or "/", query)
        return self._index(request) if path == "/" else self._nowhere(request)

    async def _provide(self, request: web.BaseRequest, space: Space, path: str, query: str) -> web.StreamResponse:
        match = space.router.find(request.method, path)
        operation = match.operation
        body = _NO_CLIENT_BODY
        if operation is not None and operation.max_body_bytes and request.method != "GET":
            body = await read_body(request, operation.max_body_bytes, self.settings.request_timeout_s)
        call = Call(
            request.method,
            path,
            request.headers,
            body.content,
            query,
            oversized=body.oversized,
            stalled=body.stalled,
            broken=body.broken or body.unreadable,
        )
        if operation is not None and operation.role == "upload" and space.provider.uploads is not None:
            uploads = space.provider.uploads
            call.form = await read_form(body.content, request.headers, uploads.field, uploads.max_bytes)
        space = self.runtime.world.spaces[space.provider.name]  # a reset may have come while the body did
        reply, now_ms = self._exchange(space, match, call, request.raw_path)
        if isinstance(reply.file, FileWanted):
            return await self._serve_file(request, space, reply, reply.file, now_ms)
        content = reply.file.content if reply.file is not None else reply.body
        date = self._date.line(now_ms)
        return wire_response(
            request, reply.status, reply.headers, reply.content_type, content, date, close=body.cut_short
        )

    async def _serve_file(
        self, request: web.BaseRequest, space: Space, reply: Reply, wanted: FileWanted, now_ms: int
    ) -> web.StreamResponse:
        shape = shape_of(wanted.media, wanted.duration_s, wanted.short_side_px, wanted.ratio)
        try:
            path = await self._shelf.file(shape)
        except ShelfClosedError:
            raise ConnectionResetError("the server is being closed") from None
        headers = {
            "Content-Type": reply.content_type,
            **dict(reply.headers),
            "Date": formatdate(now_ms // 1000, usegmt=True),
            "Server": "mockserver",
        }

        def known(response: web.StreamResponse) -> None:
            self.runtime.journal.exchange(
                now_ms,
                space.provider.name,
                reply,
                request.method,
                request.raw_path,
                request.headers,
                b"",
                response.status,
                response.headers.copy(),
                None,
                response.content_length or 0,
            )

        response = _JournaledFile(path, headers=headers)
        response.when_known = known
        return response

    def _index(self, request: web.BaseRequest) -> web.StreamResponse:
        index = {"mockserver": "an offline stand-in; these providers are served", "providers": self._base_urls()}
        return self._plain(request, 200, {**index, "control_plane": f"{self.root_url}/__admin/health"})

    def _nowhere(self, request: web.BaseRequest) -> web.StreamResponse:
        body = {"error": "no provider is served under this path", "providers": self._base_urls()}
        return self._plain(request, 404, body)

    def _plain(self, request: web.BaseRequest, status: int, body: Mapping[str, object]) -> web.StreamResponse:
        date = self._date.line(self.runtime.clock.now_ms())
        return wire_response(request, status, (), "application/json", orjson.dumps(body), date)


class _JournaledFile(web.FileResponse):
    """A file with Range, ETag and conditions by aiohttp, written down once it is known what will be sent."""

    when_known: Callable[[web.StreamResponse], None]

    async def _start(self, request: web.BaseRequest) -> AbstractStreamWriter:
        self.when_known(self)
        return await super()._start(request)


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024, reuse_port=False)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(f"port {port} on {host} is already in use") from None
        raise
