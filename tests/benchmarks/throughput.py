"""Requests a second against a bare aiohttp handler with fixed bytes, in turn, one core for each side.

    python tests/benchmarks throughput      prints ratios; exits 1 below the floors

Everything is on: journal, validation, limits, ledger. Each round measures both servers. A ratio is what our
server does in a second of its core, over what the yardstick does; the median of the rounds counts. Seconds are
CPU seconds of the server's process, so that a neighbour on the machine weighs on both sides alike; the requests
a second that the load generator saw are printed beside them.
"""

from __future__ import annotations

import json

import uvloop
from benchmarks.load import load
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

FLOORS = {"submit": 0.65, "query": 0.90, "refused": 0.65}
REQUESTS = 8_000
ROUNDS = 7


async def measure(mock: tuple[int, int], yard: tuple[int, int], requests: int, rounds: int) -> dict[str, list[float]]:
    """Return the ratios of each kind, a round at a time; servers are (process id, port)."""
    await enrich(mock[1])
    task_id = (await ask(mock[1], "POST", SUBMIT, BODY))["id"]
    kinds = {
        "submit": request_bytes("POST", SUBMIT, HEADERS, json.dumps(BODY).encode()),
        "query": request_bytes("GET", f"/evolink/v1/tasks/{task_id}", HEADERS),
        "refused": request_bytes("POST", SUBMIT, HEADERS, json.dumps({**BODY, "prompt": ""}).encode()),
    }
    expected = {"submit": "200", "query": "200", "refused": "400"}
    ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind, raw in kinds.items():
            spent_s = []
            seen = []
            for pid, port in (yard, mock):
                before_s = cpu_s(pid)
                elapsed_s, statuses = await load(port, requests, raw)
                spent_s.append(cpu_s(pid) - before_s)
                seen.append(requests / elapsed_s)
            assert statuses == {expected[kind]: requests}, (kind, statuses)
            if number:  # the first round warms up
                ratios[kind].append(spent_s[0] / spent_s[1])
                say_round(kind, spent_s, seen, requests)
    return ratios


def main(_arguments: list[str]) -> int:
    """Measure, print, judge."""
    with started(mockserver()) as (mock, mock_port), started(script("bare.py")) as (yard, yard_port):
        use_the_other_core()
        with awake():
            ratios = uvloop.run(measure((mock.pid, mock_port), (yard.pid, yard_port), REQUESTS, ROUNDS))
    return min(1, sum(say_median(kind, values, FLOORS[kind]) for kind, values in ratios.items()))
