"""What tests of `record` share: a recorder between a client and what stands for the real provider."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from mockserver.clock import Wall
from mockserver.edge.recorder import Recorder
from mockserver.edge.server import Server
from mockserver.settings import Settings
from support.edge import Receiver, receiving, serving
from support.engine import providers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mockserver.provider import Provider
    from support.edge import Edge

KEYS = {"evolink": "sk-my-very-own-real-key", "googlegeminiomni": f"gomni_{'beef' * 16}"}
BODIES: dict[str, dict[str, Any]] = {
    "evolink": {"model": "gemini-omni-flash-text-to-video", "prompt": "a kite", "duration": 6},
    "googlegeminiomni": {"model": "gemini-omni-video", "prompt": "a kite", "resolution": "1080p", "duration": 8},
}
PATHS = {"evolink": ("/v1/videos/generations", "/v1/tasks/"), "googlegeminiomni": ("/api/v1/generate", "/api/v1/jobs/")}


class Recording(NamedTuple):
    """A recorder between a client and what stands for the real provider."""

    name: str
    real: Edge
    receiver: Receiver
    server: Server
    recorder: Recorder
    http: aiohttp.ClientSession
    file: Path

    @property
    def provider(self) -> Provider:
        """What is recorded."""
        return providers()[self.name]

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Send a request of the client."""
        url = f"{self.server.base_url(self.name)}{path}"
        async with self.http.request(
            method, url, json=body, headers=self.provider.key.header_with(KEYS[self.name])
        ) as answer:
            return answer.status, await answer.read()

    async def submit(self) -> str:
        """Submit; return the task's id."""
        body = dict(BODIES[self.name])
        callbacks = self.provider.callbacks
        if callbacks is not None:
            body[callbacks.url_keys[0]] = self.receiver.url()
        status, answer = await self.ask("POST", PATHS[self.name][0], body)
        assert status < 300, answer
        found = orjson.loads(answer)
        return str(found.get("id") or found.get("jobId"))

    async def day(self) -> str:
        """Submit, poll to the end, and download; return the task's id."""
        task = await self.submit()
        for _ in range(8):
            await self.real.advance(30)
            answer = (await self.ask("GET", PATHS[self.name][1] + task))[1]
        link = next(each for each in answer.decode().split('"') if each.startswith(self.real.root))
        status, video = await self.ask("GET", link.partition(f"/{self.name}")[2])
        assert (status, video[4:8]) == (200, b"ftyp")
        return task

    async def records(self) -> list[dict[str, Any]]:
        """End the recording; return what its file holds."""
        await self.server.close()
        return [orjson.loads(line) for line in self.file.read_bytes().splitlines()]


@asynccontextmanager
async def recording(name: str, tmp_path: Path, *, most_submits: int = 3, **upstream: Any) -> AsyncIterator[Recording]:
    """Record a mock that stands for the real provider; both have its clock."""
    file = tmp_path / "recording.ndjson"
    async with serving(**upstream) as real, receiving() as receiver, aiohttp.ClientSession() as http:
        wall = Wall(lambda: real.mock.clock.now_ms / 1000, lambda: real.mock.clock.now_ms / 1000)
        recorder = Recorder(most_submits, f"{real.root}/{name}")
        server = await Server.start(
            Settings(port=0, journal=str(file), drain_s=0.5), [providers()[name]], wall=wall, recorder=recorder
        )
        recorder.callbacks_at = server.root_url
        try:
            yield Recording(name, real, receiver, server, recorder, http, file)
        finally:
            await server.close()


@asynccontextmanager
async def answering(handler: Any) -> AsyncIterator[str]:
    """Stand for a server that answers all requests in one way; give its URL."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("/")).rstrip("/")
    finally:
        await server.close()
