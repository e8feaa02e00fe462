"""TLS against aiohttp's own TLS: handshakes, and requests on kept connections, in turn, one core for each side.

    python tests/benchmarks tls      prints ratios; exits 1 below the floors

The yardstick is a bare aiohttp handler with fixed bytes and a certificate of the same authority. As in `throughput`, a
ratio is what our server does in a second of its core, over what the yardstick does; the median of the rounds counts.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import tempfile
import time
from pathlib import Path

import uvloop
from benchmarks.load import load_each
from benchmarks.servers import (
    BODY,
    HEADERS,
    SUBMIT,
    ask,
    awake,
    cpu_s,
    enrich,
    mockserver,
    request_bytes,
    say_median,
    say_round,
    script,
    started,
    use_the_other_core,
)

FLOORS = {"handshake": 0.60, "submit": 0.52, "query": 0.72}
HANDSHAKES = 400
REQUESTS = 2_000
ROUNDS = 5
AT_ONCE = 16


async def shake_hands(port: int, count: int, trust: ssl.SSLContext) -> float:
    """Connect again and again, each time anew; return the seconds."""
    left = itertools.repeat(None, count)

    async def one_after_another() -> None:
        for _ in left:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")
            writer.transport.abort()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_after_another())
    return time.perf_counter() - began


async def measure(
    mock: tuple[int, int], yard: tuple[int, int], trust: ssl.SSLContext, rounds: int
) -> dict[str, list[float]]:
    """Return the ratios of each kind, a round at a time; servers are (process id, port)."""
    await enrich(mock[1])
    task_id = (await ask(mock[1], "POST", SUBMIT, BODY))["id"]
    kinds = {
        "handshake": b"",
        "submit": request_bytes("POST", SUBMIT, HEADERS, json.dumps(BODY).encode()),
        "query": request_bytes("GET", f"/evolink/v1/tasks/{task_id}", HEADERS),
    }
    ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind, raw in kinds.items():
            count = REQUESTS if raw else HANDSHAKES
            spent_s, seen = [], []
            for pid, port in (yard, mock):
                before_s = cpu_s(pid)
                if raw:
                    elapsed_s, statuses = await load_each(port, itertools.repeat(raw, count), AT_ONCE, trust)
                    assert statuses == {"200": count}, (kind, statuses)
                else:
                    elapsed_s = await shake_hands(port, count, trust)
                spent_s.append(cpu_s(pid) - before_s)
                seen.append(count / elapsed_s)
            if number:  # the first round warms up
                ratios[kind].append(spent_s[0] / spent_s[1])
                say_round(kind, spent_s, seen, count)
    return ratios


def main(_arguments: list[str]) -> int:
    """Measure, print, judge."""
    with (
        tempfile.TemporaryDirectory() as ca_dir,
        started(mockserver("--ca-dir", ca_dir)) as (mock, mock_port),
        started([*script("bare.py"), ca_dir]) as (yard, yard_port),
    ):
        trust = ssl.create_default_context(cafile=Path(ca_dir) / "ca.pem")
        use_the_other_core()
        with awake():
            ratios = uvloop.run(measure((mock.pid, mock_port), (yard.pid, yard_port), trust, ROUNDS))
    return min(1, sum(say_median(f"{kind} over TLS", values, FLOORS[kind]) for kind, values in ratios.items()))
