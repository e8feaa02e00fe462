"""The callback receiver: a server on this machine that stores and acknowledges every callback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

from contracts.server.client import ApiClient


@dataclass(frozen=True)
class Received:
    """A callback as received."""

    path: str
    method: str
    headers: Mapping[str, str]
    body: bytes
    at_ms: int


@dataclass
class Receiver:
    """Listens in the client's loop; use it in a `with` statement."""

    client: ApiClient
    host: str
    port: int
    #: The address that the server is given, if it differs from the one that is listened on.
    public_url: str | None
    status: int
    received: list[Received] = field(default_factory=list)
    _runner: web.ServerRunner | None = None

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the address is not available.
        """
        self.client.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self.client.run(self._stop())

    def url(self, path: str) -> str:
        """Return the callback address for a task."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/") + path

    async def _start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.received.append(Received(request.path, request.method, request.headers.copy(), body, self.client.now_ms()))
        return web.Response(status=self.status)
