"""What tests of the edge share: a running mock with a client, bare sockets, a receiver of callbacks."""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import orjson
import pytest
import uvloop
from aiohttp import web
from yarl import URL

from mockserver import MockServer
from mockserver.edge.server import Server
from mockserver.spec.catalog import load_providers
from mockserver.testing.running import AsyncRunningServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping

    from mockserver.engine.state import ProviderState
    from mockserver.provider import Provider

#: Wall seconds after which a test that waits for a socket is given up: never reached when all is well.
PATIENCE_S = 20.0
PROVIDERS = ("crun", "evolink", "googlegeminiomni", "toapis")
#: For what takes long and hardly differs: the quick tests try it at one provider, all tests at each.
ONE_DAILY = [pytest.param(name, marks=[] if name == "evolink" else pytest.mark.slow) for name in PROVIDERS]
#: A second key of each provider's, well-formed and not the one that `mock.key` gives.
OTHER_KEYS = {
    "crun": "crun-another-key",
    "evolink": "sk-evolink-another-key",
    "googlegeminiomni": "gomni_" + "ab" * 32,
    "toapis": "sk-toapis-another-key",
}
#: What `serve` runs on, and what a user's own program may run on.
LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
CALLBACK_FIELDS = {"crun": "callback_url", "evolink": "callback_url", "googlegeminiomni": "callbackUrl"}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as a client library reads it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Edge:
    """A running mock and a client for it."""

    mock: AsyncRunningServer
    http: aiohttp.ClientSession

    @property
    def port(self) -> int:
        """Where the mock listens, on 127.0.0.1."""
        return self.mock.server.port

    @property
    def root(self) -> str:
        """Address of the server itself."""
        return f"http://127.0.0.1:{self.port}"

    def state(self, name: str) -> ProviderState:
        """The state of a provider."""
        return self.mock.server.runtime.world.providers[name]

    def provider(self, name: str) -> Provider:
        """A provider as it was compiled."""
        return self.state(name).provider

    def path_of(self, name: str, role: str) -> str:
        """The path of the first operation of a role, under the provider's prefix."""
        return f"/{name}" + next(each.path for each in self.provider(name).operations.values() if each.role == role)

    def key_headers(self, name: str, key: str | None = None) -> dict[str, str]:
        """The header that carries a key: the one that works, where none is named."""
        rule = self.provider(name).key
        text = rule.example if key is None else key
        return {rule.header: f"Bearer {text}" if rule.bearer else text}

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        json: Any = None,
    ) -> Response:
        """Make a request; a path is taken to be on the mock."""
        if json is not None:
            data, headers = orjson.dumps(json), {"Content-Type": "application/json", **(headers or {})}
        address = url if "://" in url else self.root + url
        if isinstance(data, bytes):
            data = BytesIO(data)
        url_ = URL(address, encoded=True)
        async with self.http.request(method, url_, headers=headers, data=data, allow_redirects=False) as response:
            return Response(response.status, response.headers.copy(), await response.read())

    async def submit(self, name: str, *, key: str | None = None, of: str | None = None, **fields: Any) -> str:
        """Submit the example of a provider (of a model), with top-level fields changed; return the task's id."""
        reply = await self.try_submit(name, key=key, of=of, **fields)
        assert reply.status == 200, reply.body
        return next(reversed(self.state(name).tasks))

    async def try_submit(self, name: str, *, key: str | None = None, of: str | None = None, **fields: Any) -> Response:
        """Do the same, whatever comes of it."""
        return await self.call(
            "POST",
            self.path_of(name, "submit"),
            headers=self.key_headers(name, key),
            json={**example(self.provider(name), of), **fields},
        )

    async def query(self, name: str, task_id: str, *, key: str | None = None) -> Response:
        """Ask how a task stands."""
        return await self.call("GET", self.query_path(name, task_id), headers=self.key_headers(name, key))

    def query_path(self, name: str, task_id: str) -> str:
        """Where a task is asked after."""
        path, brace, _ = self.path_of(name, "query").partition("{")
        return f"{path}{task_id}" if brace else f"{path}?task_id={task_id}"

    async def admin(self, method: str, path: str, json: Any = None, **headers: str) -> Response:
        """Ask the control plane."""
        return await self.call(method, f"/__admin{path}", json=json, headers=headers)

    async def advance(self, seconds: float) -> Any:
        """Move the clock on over HTTP; return the report."""
        reply = await self.admin("POST", "/clock", {"advance_s": seconds})
        assert reply.status == 200, reply.body
        return reply.json

    def raw(self) -> Wire:
        """A bare connection to the mock, to be entered."""
        return Wire(self.port)

    def trust(self) -> ssl.SSLContext:
        """What a client needs that trusts the mock's CA."""
        return ssl.create_default_context(cafile=self.mock.server.authority.certificate)


def run_on(loop: str, main: Coroutine[Any, Any, None]) -> None:
    """Do what `asyncio.run` does, on an event loop of a kind in `LOOPS`."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main)


def example(provider: Provider, model: str | None = None) -> dict[str, Any]:
    """A body that the provider takes for a submit."""
    found = next(iter(provider.models.values())) if model is None else provider.models[model]
    assert found.example is not None
    return dict(found.example)


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Edge]:
    """Run a mock, with a manual clock unless said otherwise, and a client.

    The same as `async with MockServer(**settings)`, but specs are compiled once for all tests.
    """
    made = MockServer(**settings)._settings
    dialects = tuple((name, each.dialects) for name, each in made.providers.items())
    server = await Server.start(made, _compiled(made.spec, made.builtin, dialects, made.only))
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as http:
            yield Edge(AsyncRunningServer(server), http)
    finally:
        await server.close()


@cache
def _compiled(
    specs: tuple[str, ...], builtin: bool, dialects: tuple[tuple[str, tuple[str, ...]], ...], only: str | None
) -> list[Provider]:
    return load_providers(specs, builtin=builtin, dialects=dict(dialects), only=only)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it stood on the wire."""

    version: str
    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for each, value in self.fields if each.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The one value of a header that must not be repeated; None where it is absent."""
        values = self.all(name)
        assert len(values) < 2, f"{name} stands twice: {values}"
        return values[0] if values else None

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


class Wire:
    """A bare connection: what is sent goes out as it is, what comes is read by the letter of RFC 9112."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def send(self, *pieces: bytes) -> None:
        """Write each piece for itself; the peer may have hung up meanwhile."""
        with suppress(ConnectionError):
            for piece in pieces:
                self._writer.write(piece)
                await self._writer.drain()

    async def start_tls(self, trust: ssl.SSLContext, name: str | None) -> None:
        """Go on encrypted, with the server of a name."""
        await self._writer.start_tls(trust, server_hostname=name)

    def certificate(self) -> Any:
        """Return the certificate of the peer."""
        return self._writer.get_extra_info("peercert")

    def end(self) -> None:
        """Say that nothing more will be sent."""
        self._writer.write_eof()

    async def answer(self, method: str = "GET") -> Answer | None:
        """Read the next response; None when the peer closed instead."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._answer(method)
        except ConnectionError:
            return None
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return None

    async def head(self) -> Answer:
        """Read a response to CONNECT that grants it: it has a head only."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._answer("HEAD")

    async def _answer(self, method: str) -> Answer:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head[:-4].split("\r\n")
        version, status, reason = line.split(" ", 2)
        fields = tuple((name, value.strip()) for name, _, value in (each.partition(":") for each in lines))
        answer = Answer(version, int(status), reason, fields, b"")
        if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
            return answer
        length = answer.header("Content-Length")
        body = await (self._reader.read() if length is None else self._reader.readexactly(int(length)))
        return replace(answer, body=body)

    async def closed(self) -> bytes:
        """Wait until the peer closes; return what came before that."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._reader.read()
        except ConnectionError:
            return b""


def request_bytes(
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    version: str = "HTTP/1.1",
    host: str | None = "127.0.0.1",
) -> bytes:
    """Write a request; a body gets its Content-Length."""
    fields = {} if host is None else {"Host": host}
    if body:
        fields["Content-Length"] = str(len(body))
    fields.update(headers or {})
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


@dataclass(frozen=True, slots=True)
class Received:
    """A callback as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at_ms: int | None

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


@dataclass(slots=True)
class Receiver:
    """A server that callbacks are sent to; `answer` says what it does with each.

    `now_ms` is asked when a callback arrives, so that each bears the mock's instant.
    """

    answer: Callable[[Received], Awaitable[int | web.StreamResponse]] | int = 200
    now_ms: Callable[[], int] | None = None
    got: list[Received] = field(default_factory=list)
    port: int = 0
    scheme: str = "http"

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        """Where it is reached."""
        return f"{self.scheme}://{host}:{self.port}{path}"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Keep a callback, then answer it."""
        at_ms = None if self.now_ms is None else self.now_ms()
        received = Received(request.method, request.path_qs, request.headers.copy(), await request.read(), at_ms)
        self.got.append(received)
        answer = self.answer if isinstance(self.answer, int) else await self.answer(received)
        return web.Response(status=answer) if isinstance(answer, int) else answer


@asynccontextmanager
async def receiving(
    answer: Callable[[Received], Awaitable[int | web.StreamResponse]] | int = 200,
    *,
    edge: Edge | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Receiver]:
    """Run a receiver on a free port."""
    receiver = Receiver(answer, None if edge is None else lambda: edge.mock.clock.now_ms)
    receiver.scheme = "http" if tls is None else "https"
    runner = web.ServerRunner(web.Server(receiver.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        await runner.cleanup()


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if "--any-model serves" not in line:  # that tells a user which switch helps
            self.lines.append(line)


@contextmanager
def nothing_logged() -> Iterator[None]:
    """Hold the mock and the event loop to it that they log no warning and no error, but for hints to switches."""
    handler = _Lines()
    loggers = [logging.getLogger(name) for name in ("", "asyncio", "mockserver")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
    assert handler.lines == []
