"""The server: starts everything that serves on one socket, and closes it."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mockserver import DISTRIBUTION
from mockserver.certificates import Authority
from mockserver.clock import Wall
from mockserver.edge.access import RefusedError
from mockserver.edge.active_scenario import check_scenario
from mockserver.edge.addressing import Addresses
from mockserver.edge.admin.api import Admin, AdminRequest, Content
from mockserver.edge.admin.handlers import HANDLERS
from mockserver.edge.arrival import DIRECT, Arrival
from mockserver.edge.connection import Connection, HttpServer
from mockserver.edge.exchange import RequestHandler
from mockserver.edge.files import ResultFiles
from mockserver.edge.hosts import Hosts, KeptFrom, proxy_record
from mockserver.edge.live.page import LivePage
from mockserver.edge.metrics import new_metrics
from mockserver.edge.proxy import Proxy
from mockserver.edge.recorder import Recorder
from mockserver.edge.runtime import Runtime
from mockserver.edge.sessions import Sessions
from mockserver.edge.tls import Tls
from mockserver.edge.watch import watch
from mockserver.engine.course import Recording
from mockserver.media.cache import MediaCache
from mockserver.provider import Provider
from mockserver.scenarios.read import Scenario, find, read
from mockserver.settings import ConfigError, Settings

_KEEPALIVE_S = 75.0
_SESSIONS_CHECKED_S = 30.0
_JOURNAL_FLUSHED_S = 0.2
_QUIET = logging.getLogger("mockserver.http")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class PortInUseError(OSError):
    """The port to listen on is taken."""


class Server:
    """A running server; `start` makes one."""

    def __init__(
        self,
        settings: Settings,
        providers: Sequence[Provider],
        addresses: Addresses,
        runtime: Runtime,
        wall: Wall,
        media_cache: MediaCache | None,
        authority: Authority | None,
        recorder: Recorder | None,
    ) -> None:
        self.settings = settings
        self.providers = providers
        self.runtime = runtime
        self.port = addresses.port
        self._addresses = addresses
        self.sessions = Sessions(settings, providers, addresses.base_url, wall, runtime.recordings, runtime.metrics)
        self._live = LivePage()
        #: The CA that signs the certificates of this server; it is made when it is needed.
        self.authority = authority or Authority(None if settings.ca_dir is None else Path(settings.ca_dir))
        self._hosts = addresses.hosts
        self._admin = Admin(
            addresses.access,
            {**HANDLERS, **self._live.handlers, "proxy": self._proxy_state, "metrics": self._metrics},
            self.sessions,
            lambda: self.connections,
            settings.request_timeout_s,
        )
        self._media_cache = media_cache or MediaCache()
        self._owns_media_cache = media_cache is None
        files = ResultFiles(self._media_cache)
        self._proxy = Proxy(self._connection, self._hosts)
        handler = RequestHandler(
            addresses, runtime, self.sessions, self._admin, files, self._proxy, settings.request_timeout_s, recorder
        )
        self._recorder = recorder
        self._http = HttpServer(
            handler.handle,
            handler.answer_now,
            access_log=None,
            logger=_QUIET,
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=2.0,
            auto_decompress=False,
        )
        self._tls = Tls(self._http, self._hosts, self.authority)
        self._listening: list[asyncio.Server] = []
        self._background: list[asyncio.Task[None]] = []

    @classmethod
    async def start(
        cls,
        settings: Settings,
        providers: Sequence[Provider],
        *,
        wall: Wall = Wall(),  # noqa: B008 - it is frozen
        media_cache: MediaCache | None = None,
        authority: Authority | None = None,
        recorder: Recorder | None = None,
    ) -> Server:
        """Listen, and begin to keep time.

        Args:
            settings: what the user has set.
            providers: what is to be served.
            wall: the wall clock that mock time is measured by.
            media_cache: result files that are shared with other servers; by default the server has its own.
            authority: a CA that is shared with other servers; by default the one that the settings name.
            recorder: sends requests on to the real providers; by default they are answered here.

        Raises:
            PortInUseError: the port is taken.
            ConfigError: the recording to replay cannot be read, or has nothing of these providers.
            SpecError: the scenario to start in cannot be read, or names what is not served.
            OSError: the host cannot be listened on.
        """
        listener = _listener(settings.host, settings.port)
        try:
            addresses = Addresses(settings, providers, listener.getsockname()[1])
            urls = {provider.name: addresses.base_url(provider.name) for provider in providers}
            runtime = Runtime(settings, providers, urls, wall, _recordings(settings, providers), new_metrics())
        except BaseException:
            listener.close()
            raise
        try:
            scenario = _scenario(settings, runtime)
        except BaseException:
            listener.close()
            await runtime.close()
            raise
        server = cls(settings, providers, addresses, runtime, wall, media_cache, authority, recorder)
        await server.also_listen(listener)
        if scenario is not None:
            await runtime.start_scenario(scenario)
            if settings.watch:
                server._begin("scenario", watch(Path(scenario.document.name), runtime))
        server._begin("sessions", server._drop_idle_sessions())
        if settings.journal is not None:
            server._begin("journal", server._flush_journal())
        return server

    async def close(self) -> None:
        """Stop listening, give open requests a moment, and release everything."""
        listening, self._listening = self._listening, []
        if not listening:
            return
        self.sessions.closing = True
        await _accept_no_more(listening)
        for task in self._background:
            task.cancel()
        self._live.close()
        await self._tls.close()
        await self._proxy.close()
        encrypted = self._http.encrypted()
        self._http.pre_shutdown()
        await self._http.shutdown(timeout=self.settings.drain_s)
        for transport in encrypted:  # TLS waits for the client's farewell, which may never come
            transport.abort()
        if self._recorder is not None:
            await self._recorder.close()
        await self.sessions.close()
        await self.runtime.close()
        if self._owns_media_cache:
            await asyncio.to_thread(self._media_cache.close)

    async def also_listen(self, listener: socket.socket, arrival: Arrival = DIRECT) -> asyncio.Server:
        """Serve on a socket that listens, such as one at port 443; it is closed with the server.

        `arrival` says how the connections come that it accepts.
        """
        self._hosts.also_at(listener.getsockname()[1])
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(partial(self._http, arrival), sock=listener, backlog=1024)
        self._listening.append(listening)
        return listening

    async def stop_listening(self, listening: asyncio.Server, arrival: Arrival) -> None:
        """Close what `also_listen` has returned, and the connections that have come so."""
        for each in listening.sockets:
            self._hosts.no_more_at(each.getsockname()[1])
        await _accept_no_more([listening])
        if listening in self._listening:
            self._listening.remove(listening)
        for connection in self._http.connections:
            came = connection.arrival if isinstance(connection, Connection) else DIRECT
            if connection.transport is not None and came._replace(secure=False, tunnel="") == arrival:
                connection.transport.abort()
        await asyncio.sleep(0)  # the loop closes their sockets

    @property
    def mocked_hosts(self) -> tuple[str, ...]:
        """The real hosts of the providers, sorted: this server answers for them."""
        return self._hosts.mocked

    @property
    def hosts(self) -> Hosts:
        """The hosts that this server knows."""
        return self._hosts

    @property
    def kept_from(self) -> tuple[KeptFrom, ...]:
        """The hosts that clients asked for and did not reach, in the order of their first requests."""
        return self._hosts.kept_from

    def keep_from(self, host: str) -> None:
        """Note a host that a client did not reach, because there is no way out."""
        self._hosts.refuse(host)

    async def _metrics(self, request: AdminRequest) -> Content:
        """Return the metrics of all sessions."""
        metrics = self.runtime.metrics
        if metrics is None:
            message = f"this needs prometheus-client, which is not installed: pip install '{DISTRIBUTION}[metrics]'"
            raise RefusedError(501, "not_installed", message)
        runtimes = [self.runtime, *filter(None, map(self.sessions.known, self.sessions))]
        worlds = [(each.world, each.clock.now_ms()) for each in runtimes]
        return Content(*await metrics.page(worlds, request.connections))

    def _connection(self, arrival: Arrival) -> Connection:
        """Make the protocol of a connection that comes through a tunnel."""
        return self._http(arrival)

    async def _proxy_state(self, _request: AdminRequest) -> Any:
        try:
            ca: str | None = str(await asyncio.to_thread(lambda: self.authority.certificate))
        except OSError:
            ca = None
        return proxy_record(self._hosts, self.providers, ca)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._http.connections)

    @property
    def most_connections(self) -> int:
        """How many connections were open at once at most."""
        return self._http.most_open

    @property
    def admin_token(self) -> str | None:
        """The token of the control plane; None where it needs none."""
        return self._admin.access.token

    @property
    def root_url(self) -> str:
        """URL of the server itself, without a slash at the end."""
        return self._addresses.root_url

    def base_url(self, name: str) -> str:
        """URL under which a provider's paths begin."""
        return self._addresses.base_url(name)

    def _begin(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Run something in the background until the server is closed."""
        self._background.append(asyncio.create_task(work, name=name))

    async def _drop_idle_sessions(self) -> None:
        while True:
            await self.sessions.nonempty.wait()
            await asyncio.sleep(_SESSIONS_CHECKED_S)
            await self.sessions.drop_idle()

    async def _flush_journal(self) -> None:
        while True:
            await asyncio.sleep(_JOURNAL_FLUSHED_S)
            self.runtime.journal.flush()


def _scenario(settings: Settings, runtime: Runtime) -> Scenario | None:
    """Read the scenario to start with, if any."""
    if settings.scenario is None:
        return None
    scenario = read(find(settings.scenario))
    check_scenario(runtime.world, scenario)
    return scenario


def _recordings(settings: Settings, providers: Sequence[Provider]) -> Mapping[str, Recording]:
    """Read what is to be replayed."""
    if settings.replay is None:
        return {}
    from mockserver.recording.courses import read_recordings  # noqa: PLC0415 - only a replay needs it
    from mockserver.recording.values import JournalError  # noqa: PLC0415

    try:
        return read_recordings(Path(settings.replay), providers)
    except JournalError as error:
        raise ConfigError(f"replay: {error}") from None


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        host.encode("idna")  # the standard library leaves a socket open where it finds that out
        return socket.create_server((host, port), family=family, backlog=1024, reuse_port=False)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(f"port {port} on {host} is already in use") from None
        raise
    except (TypeError, UnicodeError):
        raise OSError(errno.EINVAL, f"{host!r} is not a host name") from None


async def _accept_no_more(listening: Iterable[asyncio.Server]) -> None:
    """Close what listens. Connections that have just been accepted begin first: `Server.close` would lose them."""
    servers = list(listening)
    loop = asyncio.get_running_loop()
    for each in servers:
        for listener in each.sockets:
            loop.remove_reader(listener.fileno())
    await asyncio.sleep(0)  # asyncio makes the transport of what has been accepted …
    await asyncio.sleep(0)  # … and connects its protocol
    for each in servers:
        each.close()
