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
from mockserver.edge.admin.api import Admin
from mockserver.edge.admin.auth import Access
from mockserver.edge.admin.handlers import HANDLERS
from mockserver.edge.connection import HttpServer
from mockserver.edge.faulty_response import faulty_response
from mockserver.edge.http_bytes import DateHeader, answer_headers, wire_bytes, wire_response
from mockserver.edge.live.page import LivePage
from mockserver.edge.request_body import Body, read_body, read_form
from mockserver.edge.runtime import Runtime
from mockserver.edge.sessions import SESSION_HEADER, SessionError, Sessions
from mockserver.edge.watch import watch
from mockserver.engine.context import Request
from mockserver.engine.operations import FileWanted, Response
from mockserver.engine.state import StoredFile
from mockserver.engine.transmission import Transmission
from mockserver.media.cache import MediaCache
from mockserver.media.encode import MediaCacheClosedError
from mockserver.media.shape import shape_of
from mockserver.scenarios.read import find, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage

    from mockserver.engine.state import ProviderState
    from mockserver.provider import Provider
    from mockserver.scenarios.read import Scenario
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
            if hasattr(self, "runtime"):
                await self.runtime.close()
            raise
        self.sessions = Sessions(self.settings, self.providers, self._session_url, self._wall)
        self._names_by_host = self._hosts()
        self._live = LivePage()
        self._admin = Admin(
            Access(self.settings),
            {**HANDLERS, **self._live.handlers},
            self.sessions,
            lambda: len(self._http.connections),
            self.settings.request_timeout_s,
        )
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
        self._live.close()
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
        return self._admin.access.token

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

    async def _handle(self, http_request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(http_request)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches a client
            content = self._failure(http_request.method, http_request.raw_path, error)
            return wire_response(http_request, 500, (), "application/json", content, "")

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
        providers = runtime.world.providers
        name = self._names_by_host.get(host) or self._names_by_host.get(host.lower())
        if name is not None:
            return runtime, providers[name], path, query
        if path.startswith(_ADMIN) and path[len(_ADMIN) : len(_ADMIN) + 1] in ("", "/"):
            return runtime, None, path, query
        if self.settings.only is not None:
            return runtime, providers[self.settings.only], path, query
        first, slash, rest = path[1:].partition("/")
        state = providers.get(first)
        return (runtime, None, path, query) if state is None else (runtime, state, f"/{rest}" if slash else "/", query)

    def _answer_now(self, message: RawRequestMessage, body: bytes) -> bytes | None:
        """Answer what needs no waiting: requests to a provider that move no files and meet no faults."""
        method, target, headers = message.method, message.path, message.headers
        try:
            runtime, state, path, query = self._place_of(target, headers)
        except (SessionError, OSError):  # aiohttp's way says what is wrong
            return None
        if state is None:
            return None
        match = state.router.find(method, path)
        operation = match.operation
        if operation is not None and operation.role in _FILE_ROLES:
            return None
        if operation is None or method == "GET":
            body = b""
        request = Request(method, path, headers, body, query)
        if operation is not None and len(body) > operation.max_body_bytes:
            request.body, request.oversized = b"", True
        try:
            now_ms, world = runtime.clock.now_ms(), runtime.world
            if world.may_fault(request) and (
                (operation is not None and operation.role == "submit") or world.rules_for(state, match, request, now_ms)
            ):
                return None
            response = world.handle(state, match, request, now_ms)
            self._write_down(runtime, state, request, target, response, now_ms)
        except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches a client
            content = self._failure(method, target, error)
            return wire_bytes(500, (), "application/json", content, "")
        return wire_bytes(
            response.status,
            response.headers,
            response.content_type,
            response.body,
            self._date.line(now_ms),
            with_body=method != "HEAD",
        )

    def _write_down(
        self,
        runtime: Runtime,
        state: ProviderState | None,
        request: Request,
        target: str,
        response: Response,
        now_ms: int,
    ) -> None:
        """Write an exchange down, and let the courier look at what it has put on the agenda."""
        if response.task_id is not None and runtime.world.event_queue:
            runtime.dispatcher.wake()
        content = response.file.content if isinstance(response.file, StoredFile) else response.body
        runtime.journal.exchange(
            now_ms,
            None if state is None else state.provider.name,
            response if len(content) <= runtime.journal.body_limit else replace(response, body=b"", file=None),
            request.method,
            target,
            request.headers,
            request.body,
            response.status,
            response.headers,
            content,
            len(content),
        )

    async def _answer(self, http_request: web.BaseRequest) -> web.StreamResponse:
        try:
            runtime, state, path, query = self._place_of(http_request.raw_path, http_request.headers)
        except SessionError as error:
            return self._no_session(http_request, error)
        if state is not None:
            return await self._provide(http_request, runtime, state, path, query)
        if path.startswith(_ADMIN) and path[len(_ADMIN) : len(_ADMIN) + 1] in ("", "/"):
            return await self._admin.handle(http_request, runtime, path[len(_ADMIN) :] or "/", query)
        return (
            self._index(http_request, runtime)
            if path == "/"
            else await self._nowhere(http_request, runtime, path, query)
        )

    async def _provide(
        self, http_request: web.BaseRequest, runtime: Runtime, state: ProviderState, path: str, query: str
    ) -> web.StreamResponse:
        match = state.router.find(http_request.method, path)
        operation = match.operation
        body = _NO_CLIENT_BODY
        if operation is not None and operation.max_body_bytes and http_request.method != "GET":
            body = await read_body(http_request, operation.max_body_bytes, self.settings.request_timeout_s)
        request = Request(
            http_request.method,
            path,
            http_request.headers,
            body.content,
            query,
            oversized=body.oversized,
            stalled=body.stalled,
            broken=body.broken or body.unreadable,
        )
        if operation is not None and operation.role == "upload" and state.provider.uploads is not None:
            uploads = state.provider.uploads
            request.form = await read_form(body.content, http_request.headers, uploads.field, uploads.max_bytes)
        world = runtime.world  # not before: a reset may have come while the body did
        state, now_ms = world.providers[state.provider.name], runtime.clock.now_ms()
        rules = world.rules_for(state, match, request, now_ms) if world.may_fault(request) else ()
        response = world.handle(state, match, request, now_ms, rules)
        if response.callbacks_first and response.task_id is not None:
            await runtime.dispatcher.deliver_now(response.task_id)
        if response.sends:
            return await self._send(http_request, runtime, state, request, response, now_ms, close=body.cut_short)
        if isinstance(response.file, FileWanted):
            return await self._serve_file(http_request, runtime, state, response, response.file, now_ms)
        self._write_down(runtime, state, request, http_request.raw_path, response, now_ms)
        content = response.file.content if response.file is not None else response.body
        date = self._date.line(now_ms)
        return wire_response(
            http_request, response.status, response.headers, response.content_type, content, date, close=body.cut_short
        )

    async def _send(
        self,
        http_request: web.BaseRequest,
        runtime: Runtime,
        state: ProviderState,
        request: Request,
        response: Response,
        now_ms: int,
        *,
        close: bool,
    ) -> web.StreamResponse:
        """Send an answer whose bytes faults have still to touch."""
        if isinstance(response.file, FileWanted):
            out = await self._file_going_out(http_request, response, response.file, now_ms)
        else:
            content = response.body if response.file is None else response.file.content
            headers = answer_headers(
                response.status, response.headers, response.content_type, content, self._date.pair(now_ms)
            )
            out = Transmission(response.status, headers, content)
        out.with_body = http_request.method != "HEAD"
        for injection in response.sends:
            if injection.may_apply and injection.fault.alter_transmission(injection, out):
                injection.mark_applied()
                if injection.fault.name not in response.faults:
                    response.faults = (*response.faults, injection.fault.name)
        sent = out.sent_body()
        if response.task_id is not None and runtime.world.event_queue:
            runtime.dispatcher.wake()
        runtime.journal.exchange(
            now_ms,
            state.provider.name,
            response,
            request.method,
            http_request.raw_path,
            request.headers,
            request.body,
            out.status if out.head_bytes is None else 0,
            out.headers,
            sent,
            len(sent),
        )
        return faulty_response(
            out, keep_alive=http_request.keep_alive and not close and http_request.version.minor == 1
        )

    async def _file(self, wanted: FileWanted) -> Path:
        shape = shape_of(wanted.media, wanted.duration_s, wanted.short_side_px, wanted.ratio)
        try:
            return await self._media_cache.file(shape)
        except MediaCacheClosedError:
            raise ConnectionResetError("the server is being closed") from None

    @staticmethod
    def _file_headers(response: Response, now_ms: int) -> dict[str, str]:
        return {
            "Content-Type": response.content_type,
            **dict(response.headers),
            "Date": formatdate(now_ms // 1000, usegmt=True),
            "Server": "mockserver",
        }

    async def _file_going_out(
        self, http_request: web.BaseRequest, response: Response, wanted: FileWanted, now_ms: int
    ) -> Transmission:
        """Work out what would be sent of a file, Range and conditions considered."""
        path = await self._file(wanted)
        whole = _FileKeptBack(path, headers=self._file_headers(response, now_ms))
        await whole.prepare(http_request)
        file = await asyncio.to_thread(path.read_bytes)
        headers = [(name, value) for name, value in whole.headers.items() if name != hdrs.CONNECTION]
        start, stop = whole.part
        return Transmission(whole.status, headers, file[start:stop], file=file)

    async def _serve_file(
        self,
        http_request: web.BaseRequest,
        runtime: Runtime,
        state: ProviderState,
        response: Response,
        wanted: FileWanted,
        now_ms: int,
    ) -> web.StreamResponse:
        path, headers = await self._file(wanted), self._file_headers(response, now_ms)

        def known(sent: web.StreamResponse) -> None:
            runtime.journal.exchange(
                now_ms,
                state.provider.name,
                response,
                http_request.method,
                http_request.raw_path,
                http_request.headers,
                b"",
                sent.status,
                sent.headers.copy(),
                None,
                sent.content_length or 0,
            )

        answer = _JournaledFile(path, headers=headers)
        answer.when_known = known
        return answer

    def _index(self, http_request: web.BaseRequest, runtime: Runtime) -> web.StreamResponse:
        index = {"mockserver": "an offline stand-in; these providers are served", "providers": runtime.base_urls}
        session = self.sessions.name_of(runtime)
        root = self.root_url if session is None else f"{self.root_url}/~{session}"
        return self._plain(http_request, runtime, 200, {**index, "control_plane": f"{root}/__admin/health"})

    async def _nowhere(
        self, http_request: web.BaseRequest, runtime: Runtime, path: str, query: str
    ) -> web.StreamResponse:
        """Say where the providers are, and write down that somebody went elsewhere: their base URL may be wrong."""
        said = {"error": "no provider is served under this path", "providers": runtime.base_urls}
        body = await read_body(http_request, runtime.journal.body_limit, self.settings.request_timeout_s)
        response = Response(404, orjson.dumps(said), gate="route")
        now_ms = runtime.clock.now_ms()
        request = Request(http_request.method, path, http_request.headers, body.content, query)
        self._write_down(runtime, None, request, http_request.raw_path, response, now_ms)
        date = self._date.line(now_ms)
        return wire_response(http_request, 404, (), response.content_type, response.body, date, close=body.cut_short)

    def _no_session(self, http_request: web.BaseRequest, error: SessionError) -> web.StreamResponse:
        """Say why a session cannot be had, in the control plane's shape; it may have been asked for there."""
        body = {"error": {"code": error.code, "message": str(error)}}
        return self._plain(http_request, self.runtime, error.status, body, ("Cache-Control", "no-store"))

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


class _File(web.FileResponse):
    """A file with Range, ETag and conditions by aiohttp; what cannot be served of it is answered with no body."""

    async def prepare(self, http_request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it; whole, where If-Range names another version of it by an ETag, which aiohttp takes for a date."""
        known = http_request.headers.get(hdrs.IF_RANGE, "")
        if known.startswith(('"', "W/")):
            found = await asyncio.to_thread(self._path.stat)
            if known != f'"{found.st_mtime_ns:x}-{found.st_size:x}"':
                headers = CIMultiDict(http_request.headers)
                headers.popall(hdrs.RANGE, None)
                http_request = http_request.clone(headers=headers)
        return await super().prepare(http_request)

    async def _prepare_headers(self) -> None:
        if self.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self.content_length = 0
        await super()._prepare_headers()


class _FileKeptBack(_File):
    """A file whose status, headers and part are worked out, and not sent."""

    part = (0, 0)

    async def _start(self, http_request: web.BaseRequest) -> AbstractStreamWriter:
        self._req = http_request
        writer = self._payload_writer = http_request.writer
        await self._prepare_headers()
        return writer

    async def _sendfile(
        self,
        http_request: web.BaseRequest,
        fobj: IO[bytes],  # noqa: ARG002 - aiohttp's signature
        offset: int,
        count: int,
    ) -> AbstractStreamWriter:
        self.part = (offset, offset + count)
        return await self._start(http_request)


class _JournaledFile(_File):
    """A file with Range, ETag and conditions by aiohttp, written down once it is known what will be sent."""

    when_known: Callable[[web.StreamResponse], None]

    async def _start(self, http_request: web.BaseRequest) -> AbstractStreamWriter:
        self.when_known(self)
        return await super()._start(http_request)


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
