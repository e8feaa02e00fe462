"""HTTP libraries, each as one function, and a stand-in for a host on the internet. Nothing here knows of the mock."""

from __future__ import annotations

import http.client
import ssl
import threading
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import requests
import urllib3

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from pathlib import Path

    #: Gets a URL with headers; returns the status and the body.
    Get = Callable[[str, dict[str, str]], tuple[int, bytes]]
    GetAsync = Callable[[str, dict[str, str]], Awaitable[tuple[int, bytes]]]
    Library = Callable[[Path | None], AbstractContextManager[Get]]
    AsyncLibrary = Callable[[Path | None], AbstractAsyncContextManager[GetAsync]]


def context_of(ca: Path | None) -> ssl.SSLContext:
    """Return a context that trusts a CA, or the system's."""
    return ssl.create_default_context(cafile=None if ca is None else str(ca))


@contextmanager
def of_requests(ca: Path | None = None) -> Iterator[Get]:
    """A session of requests."""
    with requests.Session() as session:

        def get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
            answer = session.get(url, headers=headers, timeout=20, verify=True if ca is None else str(ca))
            return answer.status_code, answer.content

        yield get


@contextmanager
def of_httpx(ca: Path | None = None) -> Iterator[Get]:
    """A client of httpx."""
    with httpx.Client(verify=context_of(ca), timeout=20) as client:

        def get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
            answer = client.get(url, headers=headers)
            return answer.status_code, answer.content

        yield get


@contextmanager
def of_urllib3(ca: Path | None = None) -> Iterator[Get]:
    """A pool of urllib3."""
    with urllib3.PoolManager(ssl_context=context_of(ca)) as pool:

        def get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
            answer = pool.request("GET", url, headers=headers, timeout=20, retries=False)
            return answer.status, answer.data

        yield get


@contextmanager
def of_urllib(ca: Path | None = None) -> Iterator[Get]:
    """An opener of urllib."""
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context_of(ca)))

    def get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read()

    yield get


@contextmanager
def of_http_client(ca: Path | None = None) -> Iterator[Get]:
    """A connection of http.client for each request, with one context."""
    context = context_of(ca)

    def get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
        parts = urlsplit(url)
        place = parts.netloc.rpartition("]")[0] + "]" if "[" in url else parts.hostname or "", parts.port
        connection = (
            http.client.HTTPSConnection(*place, context=context, timeout=20)
            if parts.scheme == "https"
            else http.client.HTTPConnection(*place, timeout=20)
        )
        try:
            connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    yield get


class _OfAiohttp:
    """A session of aiohttp."""

    def __init__(self, ca: Path | None = None) -> None:
        self._ca = ca

    async def __aenter__(self) -> GetAsync:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context_of(self._ca)), trust_env=True)

        async def get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
            async with self._session.get(url, headers=headers) as answer:
                return answer.status, await answer.read()

        return get

    async def __aexit__(self, *_error: object) -> None:
        await self._session.close()


class _OfAsyncHttpx:
    """An async client of httpx."""

    def __init__(self, ca: Path | None = None) -> None:
        self._client = httpx.AsyncClient(verify=context_of(ca), timeout=20)

    async def __aenter__(self) -> GetAsync:
        async def get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
            answer = await self._client.get(url, headers=headers)
            return answer.status_code, answer.content

        return get

    async def __aexit__(self, *_error: object) -> None:
        await self._client.aclose()


#: Libraries that keep connections come first.
LIBRARIES: dict[str, Library] = {
    "requests": of_requests,
    "httpx": of_httpx,
    "urllib3": of_urllib3,
    "urllib": of_urllib,
    "http.client": of_http_client,
}
POOLS = {name: LIBRARIES[name] for name in ("requests", "httpx", "urllib3")}
ASYNC_LIBRARIES: dict[str, AsyncLibrary] = {"aiohttp": _OfAiohttp, "httpx": _OfAsyncHttpx}


@dataclass
class StandIn:
    """A host on the internet, as far as a test needs one: it listens on this machine, and says who it is."""

    port: int
    answer: bytes
    #: The requests that it has got.
    seen: list[str] = field(default_factory=list)


@contextmanager
def stand_in(context: ssl.SSLContext | None = None, answer: bytes = b"the real one") -> Iterator[StandIn]:
    """Run a stand-in; with a context, it speaks TLS."""
    made = StandIn(0, answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made.seen.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_CONNECT(self) -> None:
            made.seen.append(self.path)
            self.send_error(403)

        def log_message(self, format: str, *given: Any) -> None:  # noqa: A002 - as its base
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
