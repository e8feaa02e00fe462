"""Where callbacks arrive: a server on this machine that keeps each as it came, and acknowledges it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from contracts.server.client import Wire


@dataclass(frozen=True)
class Received:
    """A callback as it arrived."""

    path: str
    method: str
    headers: Mapping[str, str]
    body: bytes
    at_ms: int


@dataclass
class Receiver:
    """Listens in the wire's loop, for `with`."""

    wire: Wire
    host: str
    port: int
    #: The address that is given to the server, where it is not the one that is listened on.
    public_url: str | None
    status: int
    now_ms: Callable[[], int]
    got: list[Received] = field(default_factory=list)
    _runner: web.ServerRunner | None = None

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the address cannot be had.
        """
        self.wire.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self.wire.run(self._stop())

    def url(self, path: str) -> str:
        """Return the address that a task is given."""
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
        self.got.append(Received(request.path, request.method, request.headers.copy(), body, self.now_ms()))
        return web.Response(status=self.status)
