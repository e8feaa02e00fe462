"""The HTTP server: finds the provider a request is for, asks the engine, writes the answer.

Addressing, in this order: a provider's real host in `Host`, with its real paths; the control plane under
/__admin/; a provider's name as the first segment of the path; with `--only`, that provider at the root.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from mockserver.edge.admin import Admin
from mockserver.edge.bodies import Body, body_that_came, read_body, read_form
from mockserver.edge.media import MediaShelf, shape_of
from mockserver.edge.runtime import Runtime
from mockserver.edge.wire import DateHeader, wire_response
from mockserver.engine.operations import FileWanted, Reply
from mockserver.engine.scope import Call
from mockserver.engine.space import StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiohttp.abc import AbstractStreamWriter

    from mockserver.config import Settings
    from mockserver.engine.space import Space
    from mockserver.provider import Provider

_ADMIN = "/__admin"
_KEEPALIVE_S = 75.0
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
        self._shelf = MediaShelf(None)
        self._listening: asyncio.Server | None = None
        self._flusher: asyncio.Task[None] | None = None
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
        self._http = _Http(
            self._handle,
            access_log=None,
            logger=_QUIET,
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=2.0,
            auto_decompress=False,
        )
        self._listening = await asyncio.get_running_loop().create_server(self._http, sock=listener, backlog=1024)
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
            _LOG.error("cannot answer %s %s: %r", request.method, request.raw_path[:200], error)
            _LOG.debug("while answering", exc_info=error)
            return self._plain(request, 500, {"error": "the mock server itself failed; please report this"})

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        target = request.raw_path
        path, _, query = target.partition("?")
        host = request.headers.get("Host", "")
        if not path.startswith("/"):
            absolute = urlsplit(path)
            path, host = absolute.path or "/", absolute.netloc or host
        name = self._spaces_by_host.get(host) or self._spaces_by_host.get(host.lower())
        if name is None:
            if path.startswith(_ADMIN) and path[len(_ADMIN) : len(_ADMIN) + 1] in ("", "/"):
                return await self._admin.handle(request, path[len(_ADMIN) :] or "/", query)
            name = self.settings.only
            if name is None:
                if path == "/":
                    return self._index(request)
                name, path = _without_prefix(path)
        space = self.runtime.world.spaces.get(name)
        if space is None:
            return self._nowhere(request)
        return await self._provide(request, space, path, query)

    async def _provide(self, request: web.BaseRequest, space: Space, path: str, query: str) -> web.StreamResponse:
        match = space.router.find(request.method, path)
        operation = match.operation
        body = _NO_CLIENT_BODY
        if operation is not None and operation.max_body_bytes and request.method != "GET":
            body = body_that_came(request, operation.max_body_bytes) or await read_body(
                request, operation.max_body_bytes, self.settings.request_timeout_s
            )
        call = Call(request.method, path, request.headers, body.content, query)
        cut_short = body.cut_short
        if cut_short:
            call.oversized, call.stalled = body.oversized, body.stalled
        if operation is not None and operation.role == "upload" and space.provider.uploads is not None:
            uploads = space.provider.uploads
            call.form = await read_form(body.content, request.headers, uploads.field, uploads.max_bytes)
        runtime = self.runtime
        now_ms = runtime.clock.now_ms()
        reply = runtime.world.handle(space, match, call, now_ms)
        if reply.task_id is not None and runtime.world.agenda:
            runtime.courier.kick()
        if isinstance(reply.file, FileWanted):
            return await self._serve_file(request, space, reply, reply.file, now_ms)
        content = reply.file.content if isinstance(reply.file, StoredFile) else reply.body
        runtime.journal.exchange(
            now_ms,
            space.provider.name,
            reply,
            request.method,
            request.raw_path,
            request.headers,
            body.content,
            reply.status,
            reply.headers,
            content,
            len(content),
        )
        return wire_response(
            request,
            reply.status,
            reply.headers,
            reply.content_type,
            content,
            self._date.line(now_ms),
            close=cut_short,
        )

    async def _serve_file(
        self, request: web.BaseRequest, space: Space, reply: Reply, wanted: FileWanted, now_ms: int
    ) -> web.StreamResponse:
        shape = shape_of(wanted.media, wanted.duration_s, wanted.short_side_px, wanted.ratio)
        path = await self._shelf.file(shape)
        headers = {
            "Content-Type": reply.content_type,
            **dict(reply.headers),
            "Date": formatdate(now_ms // 1000, usegmt=True),
            "Server": "mockserver",
        }

        def sent(response: web.StreamResponse) -> None:
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
        response.when_sent = sent
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


class _Http(web.Server):
    """aiohttp's server, with connections of our own."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    """aiohttp's connection, but what is no HTTP is told so in few words, and without the library's name."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - aiohttp's signature
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.transport is None:
            raise ConnectionResetError("the client has gone")
        what = " ".join((message or "").partition("\n\n")[0].partition(" when reading")[0].split()).rstrip(":")[:200]
        body = orjson.dumps({"error": f"the request is not well-formed HTTP: {what}" if what else "bad request"})
        return wire_response(request, status, (), "application/json", body, "", close=True)


class _JournaledFile(web.FileResponse):
    """A file with Range, ETag and conditions by aiohttp, written down once it is known what was sent."""

    when_sent: Callable[[web.StreamResponse], None]

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        try:
            return await super().prepare(request)
        finally:
            self.when_sent(self)


def _without_prefix(path: str) -> tuple[str, str]:
    """Split /evolink/v1/tasks into the provider's name and its own path."""
    name, slash, rest = path[1:].partition("/")
    return (name, f"/{rest}") if slash else (name, "/" if name else path)


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024, reuse_port=False)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(f"port {port} on {host} is already in use") from None
        raise
