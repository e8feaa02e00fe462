"""Requests a second against a bare aiohttp handler with fixed bytes, in turn, one core for each side.

    python -m tests.benchmarks.throughput      (from the checkout; prints ratios, exits 1 below the floor)

Everything is on: journal, validation, limits, ledger. Each round measures both servers; the ratio of a kind
is the median over the rounds of ours to the yardstick's.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import uvloop

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from load import load, request_bytes  # noqa: E402

FLOORS = {"submit": 0.65, "query": 0.90, "refused": 0.65}
REQUESTS = 6_000
ROUNDS = 5
_SUBMIT = "/evolink/v1/videos/generations"
_HEADERS = {"Authorization": "Bearer sk-bench", "Content-Type": "application/json"}


def start(command: list[str], core: int) -> tuple[subprocess.Popen[str], int]:
    """Start a server on one core; return it and its port."""
    process = subprocess.Popen(  # noqa: S603 - our own commands
        command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(line.split("127.0.0.1:")[1].split()[0]) if ":" in line else int(line)
    return process, port


def ours() -> list[str]:
    """Return the command that starts the mock server with its defaults."""
    return [sys.executable, "-m", "mockserver", "serve", "--port", "0"]


def bare() -> list[str]:
    """Return the command that starts the yardstick."""
    return [sys.executable, str(HERE / "bare.py")]


async def one_task(port: int) -> str:
    """Submit a task by hand and return its id."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"model": "gemini-omni-flash-text-to-video", "prompt": "a kite"}).encode()
    writer.write(request_bytes("POST", _SUBMIT, _HEADERS, body))
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    task_id: str = json.loads(await reader.readexactly(length))["id"]
    writer.close()
    return task_id


async def grant(port: int) -> None:
    """Give the account more than it can spend here."""
    body = json.dumps({"provider": "evolink", "key": "sk-bench", "available_credits": 1_000_000_000}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_bytes("PUT", "/__admin/accounts", {"Content-Type": "application/json"}, body))
    assert b" 200 " in await reader.readline()
    writer.close()


async def measure(requests: int = REQUESTS, rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Return the ratios of each kind, a round at a time."""
    mock, mock_port = start(ours(), 0)
    yard, yard_port = start(bare(), 0)
    os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})
    try:
        await grant(mock_port)
        task_id = await one_task(mock_port)
        body = json.dumps(
            {
                "model": "gemini-omni-flash-text-to-video",
                "prompt": "A red kite loops over a beach at dusk, seen from the pier",
                "duration": 6,
                "aspect_ratio": "16:9",
            }
        ).encode()
        bad = json.dumps({"model": "gemini-omni-flash-text-to-video", "prompt": "", "duration": 6}).encode()
        kinds = {
            "submit": request_bytes("POST", _SUBMIT, _HEADERS, body),
            "query": request_bytes("GET", f"/evolink/v1/tasks/{task_id}", _HEADERS),
            "refused": request_bytes("POST", _SUBMIT, _HEADERS, bad),
        }
        expected = {"submit": "200", "query": "200", "refused": "400"}
        ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
        for number in range(rounds + 1):
            for kind, raw in kinds.items():
                yard_s, _ = await load(yard_port, requests, lambda raw=raw: raw)
                mock_s, statuses = await load(mock_port, requests, lambda raw=raw: raw)
                assert statuses == {expected[kind]: requests}, (kind, statuses)
                if number:
                    ratios[kind].append(yard_s / mock_s)
                    print(
                        f"  {kind:<8} bare {requests / yard_s:7.0f}/s  mockserver {requests / mock_s:7.0f}/s",
                        flush=True,
                    )
        return ratios
    finally:
        for process in (mock, yard):
            process.terminate()
            process.wait()


def main() -> int:
    """Measure, print, judge."""
    ratios = uvloop.run(measure())
    missed = 0
    for kind, values in ratios.items():
        median = statistics.median(values)
        missed += median < FLOORS[kind]
        print(
            f"{kind}: {median:.2f} of a bare aiohttp handler (floor {FLOORS[kind]:.2f}; {min(values):.2f}-{max(values):.2f})"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
