"""A hundred thousand tasks end at one instant, each with a callback to one receiver.

    python tests/benchmarks storm [TASKS]

Every callback must be attempted, none lost, and the server must answer others meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import tempfile
import time
from pathlib import Path
from typing import cast

import uvloop
from benchmarks.load import load_each
from benchmarks.servers import BODY, HEADERS, SUBMIT, ask, enrich, mockserver, request_bytes, say, started

TASKS = 100_000
EVOLINK = Path(__file__).parent.parent.parent / "specs/evolink-gemini-omni-flash.yaml"
SLOWEST_ANSWER_S = 1.0
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Receiver(asyncio.Protocol):
    """Takes callbacks as fast as it can, and notes whose they are."""

    told: list[str]

    def __init__(self, told: list[str]) -> None:
        self.told = told
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            start = self._buffer.find(b"Content-Length: ") + 16
            length = int(self._buffer[start : self._buffer.find(b"\r\n", start)])
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            self.told.append(json.loads(body)["id"])
            self._transport.write(_OK)


async def storm(port: int, tasks: int) -> int:
    """Raise it; return the exit code."""
    told: list[str] = []
    loop = asyncio.get_running_loop()
    receiver = await loop.create_server(lambda: Receiver(told), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/hook"
    await enrich(port)
    raw = request_bytes("POST", SUBMIT, HEADERS, json.dumps({**BODY, "callback_url": url}).encode())
    _, statuses = await load_each(port, itertools.repeat(raw, tasks))
    assert statuses == {"200": tasks}, statuses
    started_s = time.perf_counter()
    advance = asyncio.create_task(ask(port, "POST", "/__admin/clock", {"advance_s": 3600}))
    slowest_s, asked = 0.0, 0
    while not advance.done():
        before_s = time.perf_counter()
        await ask(port, "GET", "/evolink/v1/credits")
        slowest_s = max(slowest_s, time.perf_counter() - before_s)
        asked += 1
        await asyncio.wait([advance], timeout=0.05)
    report = await advance
    took_s = time.perf_counter() - started_s
    receiver.close()
    say(f"callbacks: {tasks:,} due, {report['attempts']:,} attempted, {len(set(told)):,} received, in {took_s:.0f} s")
    say(f"meanwhile: {asked} queries answered, the slowest after {slowest_s:.2f} s (limit {SLOWEST_ANSWER_S})")
    whole = report["attempts"] == report["acknowledged"] == len(told) == len(set(told)) == tasks
    return 0 if whole and slowest_s < SLOWEST_ANSWER_S else 1


def main(arguments: list[str]) -> int:
    """Start the server and raise the storm."""
    tasks = int(arguments[0]) if arguments else TASKS
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "evolink.yaml"
        spec.write_text(with_fixed_durations(EVOLINK.read_text(encoding="utf-8")), encoding="utf-8")
        command = mockserver("--clock", "manual", "--callback-workers", "32", "--spec", str(spec))
        with started(command) as (_, port):
            return uvloop.run(storm(port, tasks))


def with_fixed_durations(text: str) -> str:
    """Let every task last as long as every other, so that they all end at one instant."""
    fixed, replaced = re.subn(r"lasts_s: \{from: ([0-9]+), to: [0-9]+\}", r"lasts_s: \1", text)
    assert replaced
    return fixed
