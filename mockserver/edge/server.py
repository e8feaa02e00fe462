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
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import orjson
from aiohttp import hdrs, web
from multidict import CIMultiDict

from mockserver.clock import Wall
from mockserver.edge.active_scenario import check_scenario
from mockserver.edge.admin import Admin
from mockserver.edge.connection import HttpServer
from mockserver.edge.faulty_response import faulty_response
from mockserver.edge.http_bytes import DateHeader, answer_headers, wire_bytes, wire_response
from mockserver.edge.live import Live
from mockserver.edge.media import MediaCache, MediaCacheClosedError, shape_of
from mockserver.edge.request_body import Body, read_body, read_form
from mockserver.edge.runtime import Runtime
from mockserver.edge.sessions import SESSION_HEADER, SessionError, Sessions
from mockserver.edge.watch import watch
from mockserver.engine.context import Request
from mockserver.engine.operations import FileWanted, Response
from mockserver.engine.state import StoredFile
from mockserver.engine.transmission import Transmission
from mockserver.scenarios import find, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage

    from mockserver.engine.state import ProviderState
    from mockserver.provider import Provider
    from mockserver.scenarios import Scenario
    from mockserver.settings import Settings

_ADMIN = "/__admin"
#: A tilde, and what some clients make of one in a path.
_SESSION_MARKS = ("/~", "/%7E", "/%7e")
_KEEPALIVE_S = 75.0
_SESSIONS_LOOKED_AT_S = 30.0
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
        wall: the wall clock that mock time is measured by.
        shelf: result files, shared with other servers; without one the server has its own while it runs.
    """

    def __init__(
        self,
        settings: Settings,
        providers: Sequence[Provider],
        *,
        wall: Wall = Wall(),  # noqa: B008 - it is frozen
        media_cache: MediaCache | None = None,
    ) -> None:
        self.settings = settings
        self.providers = providers
        self._wall = wall
        self._shared_media_cache = media_cache
        self._date = DateHeader()
        self._listening: asyncio.Server | None = None
        self._flusher: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._media_cache: MediaCache
        self.runtime: Runtime
        self.port = 0

    async def start(self) -> None:
        """Listen, and begin to keep time.

        Raises:
            PortInUseError: the port is taken.
            SpecError: the scenario to start in cannot be read, or names what is not served.
            OSError: the host cannot be listened on.
        """
        listener = _listener(self.settings.host, self.settings.port)
        try:
            self.port = listener.getsockname()[1]
            self.runtime = Runtime(self.settings, self.providers, self._base_urls(), self._wall)
            scenario = self._scenario()
        except BaseException:
            listener.close()
            raise
        self.sessions = Sessions(self.settings, self.providers, self._session_url, self._wall)
        self._spaces_by_host = self._hosts()
        self._admin = Admin(self)
        self.live = Live(self.sessions.touch)
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
        self._media_cache = self._shared_media_cache or MediaCache()
        self.runtime.start()
        if scenario is not None:
            await self.runtime.start_scenario(scenario)
            if self.settings.watch:
                watching = watch(Path(scenario.document.name), self.runtime)
                self._watcher = asyncio.create_task(watching, name="scenario")
        self._keeper = asyncio.create_task(self._keep_sessions(), name="sessions")
        if self.settings.journal is not None:
            self._flusher = asyncio.create_task(self._flush_journal(), name="journal")

    async def close(self) -> None:
        """Stop listening, let what is being answered be answered for a moment, and let go of everything."""
        if self._listening is None:
            return
        self._listening.close()
        self._keeper.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._flusher is not None:
            self._flusher.cancel()
        self.live.close()
        self._http.pre_shutdown()
        await self._http.shutdown(timeout=0.5)
        await self.sessions.close()
        await self.runtime.close()
        if self._shared_media_cache is None:
            await asyncio.to_thread(self._media_cache.close)
        self._listening = None

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._http.connections)

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

    def _scenario(self) -> Scenario | None:
        if self.settings.scenario is None:
            return None
        scenario = read(find(self.settings.scenario))
        check_scenario(self.runtime.world, scenario)
        return scenario

    def _session_url(self, name: str, session: str) -> str:
        """Return the address under which a provider's paths begin in a session."""
        return f"{self.root_url}/~{session}" if self.settings.only == name else f"{self.root_url}/~{session}/{name}"

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

    async def _keep_sessions(self) -> None:
        while True:
            await self.sessions.nonempty.wait()
            await asyncio.sleep(_SESSIONS_LOOKED_AT_S)
            await self.sessions.drop_idle()

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

    def _place_of(self, target: str, headers: Mapping[str, str]) -> tuple[Runtime, ProviderState | None, str, str]:
        """Find whose request this is; return the world, the provider's space in it, its own path, and the query.

        No space is the control plane's, with a path that starts with /__admin, or nobody's.

        Raises:
            SessionError: a session was named that cannot be had.
        """
        path, _, query = target.partition("?")
        host = headers.get("Host", "")
        if not path.startswith("/"):
            absolute = urlsplit(path)
            path, host = absolute.path or "/", absolute.netloc or host
        session = headers.get(SESSION_HEADER)
        if path.startswith(_SESSION_MARKS):
            session, slash, rest = path[2 if path[1] == "~" else 4 :].partition("/")
            path = slash + rest or "/"
        runtime = self.runtime if session is None else self.sessions.get(session)
        spaces = runtime.world.spaces
        name = self._spaces_by_host.get(host) or self._spaces_by_host.get(host.lower())
        if name is not None:
            return runtime, spaces[name], path, query
        if path.startswith(_ADMIN) and path[len(_ADMIN) : len(_ADMIN) + 1] in ("", "/"):
            return runtime, None, path, query
        if self.settings.only is not None:
            return runtime, spaces[self.settings.only], path, query
        first, slash, rest = path[1:].partition("/")
        space = spaces.get(first)
        return (runtime, None, path, query) if space is None else (runtime, space, f"/{rest}" if slash else "/", query)

    def _answer_now(self, message: RawRequestMessage, body: bytes) -> bytes | None:
        """Answer what needs no waiting: requests to a provider that move no files and meet no faults."""
        method, target, headers = message.method, message.path, message.headers
        try:
            runtime, space, path, query = self._place_of(target, headers)
        except (SessionError, OSError):  # aiohttp's way says what is wrong
            return None
        if space is None:
            return None
        match = space.router.find(method, path)
        operation = match.operation
        if operation is not None and operation.role in _FILE_ROLES:
            return None
        if operation is None or method == "GET":
            body = b""
        call = Request(method, path, headers, body, query)
        if operation is not None and len(body) > operation.max_body_bytes:
            call.body, call.oversized = b"", True
        try:
            now_ms, world = runtime.clock.now_ms(), runtime.world
            if world.may_fault(call) and (
                (operation is not None and operation.role == "submit") or world.rules_for(space, match, call, now_ms)
            ):
                return None
            reply = world.handle(space, match, call, now_ms)
            self._write_down(runtime, space, call, target, reply, now_ms)
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

    def _write_down(
        self, runtime: Runtime, space: ProviderState | None, call: Request, target: str, reply: Response, now_ms: int
    ) -> None:
        """Write an exchange down, and let the courier look at what it has put on the agenda."""
        if reply.task_id is not None and runtime.world.event_queue:
            runtime.dispatcher.wake()
        content = reply.file.content if isinstance(reply.file, StoredFile) else reply.body
        runtime.journal.exchange(
            now_ms,
            None if space is None else space.provider.name,
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

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            runtime, space, path, query = self._place_of(request.raw_path, request.headers)
        except SessionError as error:
            return self._no_session(request, error)
        if space is not None:
            return await self._provide(request, runtime, space, path, query)
        if path.startswith(_ADMIN) and path[len(_ADMIN) : len(_ADMIN) + 1] in ("", "/"):
            return await self._admin.handle(request, runtime, path[len(_ADMIN) :] or "/", query)
        return self._index(request, runtime) if path == "/" else await self._nowhere(request, runtime, path, query)

    async def _provide(
        self, request: web.BaseRequest, runtime: Runtime, space: ProviderState, path: str, query: str
    ) -> web.StreamResponse:
        match = space.router.find(request.method, path)
        operation = match.operation
        body = _NO_CLIENT_BODY
        if operation is not None and operation.max_body_bytes and request.method != "GET":
            body = await read_body(request, operation.max_body_bytes, self.settings.request_timeout_s)
        call = Request(
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
        world = runtime.world  # not before: a reset may have come while the body did
        space, now_ms = world.spaces[space.provider.name], runtime.clock.now_ms()
        rules = world.rules_for(space, match, call, now_ms) if world.may_fault(call) else ()
        reply = world.handle(space, match, call, now_ms, rules)
        if reply.callbacks_first and reply.task_id is not None:
            await runtime.dispatcher.deliver_now(reply.task_id)
        if reply.sends:
            return await self._send(request, runtime, space, call, reply, now_ms, close=body.cut_short)
        if isinstance(reply.file, FileWanted):
            return await self._serve_file(request, runtime, space, reply, reply.file, now_ms)
        self._write_down(runtime, space, call, request.raw_path, reply, now_ms)
        content = reply.file.content if reply.file is not None else reply.body
        date = self._date.line(now_ms)
        return wire_response(
            request, reply.status, reply.headers, reply.content_type, content, date, close=body.cut_short
        )

    async def _send(
        self,
        request: web.BaseRequest,
        runtime: Runtime,
        space: ProviderState,
        call: Request,
        reply: Response,
        now_ms: int,
        *,
        close: bool,
    ) -> web.StreamResponse:
        """Send an answer whose bytes faults have still to touch."""
        if isinstance(reply.file, FileWanted):
            out = await self._file_going_out(request, reply, reply.file, now_ms)
        else:
            content = reply.body if reply.file is None else reply.file.content
            headers = answer_headers(reply.status, reply.headers, reply.content_type, content, self._date.pair(now_ms))
            out = Transmission(reply.status, headers, content)
        out.with_body = request.method != "HEAD"
        for injection in reply.sends:
            if injection.may_apply and injection.fault.alter_transmission(injection, out):
                injection.mark_applied()
                if injection.fault.name not in reply.faults:
                    reply.faults = (*reply.faults, injection.fault.name)
        sent = out.sent_body()
        if reply.task_id is not None and runtime.world.event_queue:
            runtime.dispatcher.wake()
        runtime.journal.exchange(
            now_ms,
            space.provider.name,
            reply,
            call.method,
            request.raw_path,
            call.headers,
            call.body,
            out.status if out.head_bytes is None else 0,
            out.headers,
            sent,
            len(sent),
        )
        return faulty_response(out, keep_alive=request.keep_alive and not close and request.version.minor == 1)

    async def _file(self, wanted: FileWanted) -> Path:
        shape = shape_of(wanted.media, wanted.duration_s, wanted.short_side_px, wanted.ratio)
        try:
            return await self._media_cache.file(shape)
        except MediaCacheClosedError:
            raise ConnectionResetError("the server is being closed") from None

    @staticmethod
    def _file_headers(reply: Response, now_ms: int) -> dict[str, str]:
        return {
            "Content-Type": reply.content_type,
            **dict(reply.headers),
            "Date": formatdate(now_ms // 1000, usegmt=True),
            "Server": "mockserver",
        }

    async def _file_going_out(
        self, request: web.BaseRequest, reply: Response, wanted: FileWanted, now_ms: int
    ) -> Transmission:
        """Work out what would be sent of a file, Range and conditions considered."""
        path = await self._file(wanted)
        response = _FileKeptBack(path, headers=self._file_headers(reply, now_ms))
        await response.prepare(request)
        file = await asyncio.to_thread(path.read_bytes)
        headers = [(name, value) for name, value in response.headers.items() if name != hdrs.CONNECTION]
        start, stop = response.part
        return Transmission(response.status, headers, file[start:stop], file=file)

    async def _serve_file(
        self,
        request: web.BaseRequest,
        runtime: Runtime,
        space: ProviderState,
        reply: Response,
        wanted: FileWanted,
        now_ms: int,
    ) -> web.StreamResponse:
        path, headers = await self._file(wanted), self._file_headers(reply, now_ms)

        def known(response: web.StreamResponse) -> None:
            runtime.journal.exchange(
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

    def _index(self, request: web.BaseRequest, runtime: Runtime) -> web.StreamResponse:
        index = {"mockserver": "an offline stand-in; these providers are served", "providers": runtime.base_urls}
        session = self.sessions.name_of(runtime)
        root = self.root_url if session is None else f"{self.root_url}/~{session}"
        return self._plain(request, runtime, 200, {**index, "control_plane": f"{root}/__admin/health"})

    async def _nowhere(self, request: web.BaseRequest, runtime: Runtime, path: str, query: str) -> web.StreamResponse:
        """Say where the providers are, and write down that somebody went elsewhere: their base URL may be wrong."""
        said = {"error": "no provider is served under this path", "providers": runtime.base_urls}
        body = await read_body(request, runtime.journal.body_limit, self.settings.request_timeout_s)
        reply = Response(404, orjson.dumps(said), gate="route")
        now_ms = runtime.clock.now_ms()
        call = Request(request.method, path, request.headers, body.content, query)
        self._write_down(runtime, None, call, request.raw_path, reply, now_ms)
        date = self._date.line(now_ms)
        return wire_response(request, 404, (), reply.content_type, reply.body, date, close=body.cut_short)

    def _no_session(self, request: web.BaseRequest, error: SessionError) -> web.StreamResponse:
        """Say why a session cannot be had, in the control plane's shape; it may have been asked for there."""
        body = {"error": {"code": error.code, "message": str(error)}}
        return self._plain(request, self.runtime, error.status, body, ("Cache-Control", "no-store"))

    def _plain(
        self,
        request: web.BaseRequest,
        runtime: Runtime,
        status: int,
        body: Mapping[str, object],
        *headers: tuple[str, str],
    ) -> web.StreamResponse:
        date = self._date.line(runtime.clock.now_ms())
        return wire_response(request, status, headers, "application/json", orjson.dumps(body), date)


class _File(web.FileResponse):
    """A file with Range, ETag and conditions by aiohttp; what cannot be served of it is answered with no body."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it; whole, where If-Range names another version of it by an ETag, which aiohttp takes for a date."""
        known = request.headers.get(hdrs.IF_RANGE, "")
        if known.startswith(('"', "W/")):
            found = await asyncio.to_thread(self._path.stat)
            if known != f'"{found.st_mtime_ns:x}-{found.st_size:x}"':
                headers = CIMultiDict(request.headers)
                headers.popall(hdrs.RANGE, None)
                request = request.clone(headers=headers)
        return await super().prepare(request)

    async def _prepare_headers(self) -> None:
        if self.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self.content_length = 0
        await super()._prepare_headers()


class _FileKeptBack(_File):
    """A file whose status, headers and part are worked out, and not sent."""

    part = (0, 0)

    async def _start(self, request: web.BaseRequest) -> AbstractStreamWriter:
        self._req = request
        writer = self._payload_writer = request._payload_writer  # noqa: SLF001 - as aiohttp's own responses do
        await self._prepare_headers()
        return writer

    async def _sendfile(
        self,
        request: web.BaseRequest,
        fobj: IO[bytes],  # noqa: ARG002 - aiohttp's signature
        offset: int,
        count: int,
    ) -> AbstractStreamWriter:
        self.part = (offset, offset + count)
        return await self._start(request)


class _JournaledFile(_File):
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
    except (TypeError, UnicodeError):
        raise OSError(errno.EINVAL, f"{host!r} is no name of a host") from None
