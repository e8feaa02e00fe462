"""The yardstick: a bare aiohttp application on uvloop whose handlers answer fixed bytes.

`python tests/benchmarks/bare.py [CA_DIR]` prints its port and serves until it is killed; with the directory of an
authority, it serves over TLS.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop
from aiohttp import web

from mockserver.certificates import Authority

ANSWER = (
    b'{"created":1780617600,"id":"task-unified-1780617600-21eh95u4","model":"gemini-omni-flash-text-to-video",'
    b'"object":"video.generation.task","progress":5,"status":"processing","task_info":{"can_cancel":false},"type":"video"}'
)


async def submit(request: web.Request) -> web.Response:
    """Read the body, answer fixed bytes."""
    await request.read()
    return web.Response(body=ANSWER, content_type="application/json")


async def query(_request: web.Request) -> web.Response:
    """Answer fixed bytes."""
    return web.Response(body=ANSWER, content_type="application/json")


async def main() -> None:
    """Serve."""
    app = web.Application()
    app.router.add_post("/evolink/v1/videos/generations", submit)
    app.router.add_get("/evolink/v1/tasks/{task_id}", query)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    tls = Authority(Path(sys.argv[1])).context("localhost") if sys.argv[1:] else None
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    print(runner.addresses[0][1], flush=True)  # noqa: T201 - read by who started us
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
