"""What a task costs in memory, and what a query costs with ten tasks and with a million.

    python tests/benchmarks scale

Both are ratios or figures of one run: the query's yardstick is the same query with ten tasks.
"""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path

import orjson
from benchmarks.servers import BODY, HEADERS, KEY, say

from mockserver.chance import Chance
from mockserver.engine.messages import Request
from mockserver.engine.world import World, WorldRules
from mockserver.spec.catalog import load_providers

TASKS = 1_000_000
FEW = 10
QUERIES = 20_000
MOST_BYTES_A_TASK = 1_500
MOST_GROWTH = 1.5
NOW_MS = 1_780_617_600_000


def resident_bytes() -> int:
    """Return the memory that this process has in use."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096


def main(_arguments: list[str]) -> int:
    """Measure, print, judge."""
    provider = next(each for each in load_providers() if each.name == "evolink")
    world = World([provider], Chance(0), WorldRules(), {provider.name: "http://127.0.0.1:4010/evolink"})
    state = world.providers[provider.name]
    state.account(KEY, NOW_MS).grant(10**15, NOW_MS)
    body = orjson.dumps(BODY)
    submit_path = "/v1/videos/generations"
    submit = state.router.find("POST", submit_path)

    def make(count: int) -> list[str]:
        ids = []
        for _ in range(count):
            reply = world.handle(state, submit, Request("POST", submit_path, HEADERS, body), NOW_MS).response
            assert reply.task_id is not None
            ids.append(reply.task_id)
        return ids

    def query_us(ids: list[str]) -> float:
        """Return the microseconds of a query, the best of some runs over tasks spread evenly."""
        step = max(1, len(ids) // QUERIES)
        paths = [f"/v1/tasks/{task_id}" for task_id in ids[::step]][:QUERIES]
        paths *= -(-QUERIES // len(paths))
        best = float("inf")
        for _ in range(5):
            start = time.process_time()
            for path in paths:
                world.handle(state, state.router.find("GET", path), Request("GET", path, HEADERS), NOW_MS + 30_000)
            best = min(best, (time.process_time() - start) / len(paths) * 1e6)
        return best

    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    few = make(FEW)
    with_few = query_us(few)
    before = resident_bytes()
    ids = make(TASKS)
    bytes_a_task = (resident_bytes() - before - sys.getsizeof(ids)) / TASKS
    with_many = query_us(ids)
    say(f"memory: {bytes_a_task:.0f} bytes a task (limit {MOST_BYTES_A_TASK})")
    growth = with_many / with_few
    say(f"query: {with_few:.1f} us with {FEW} tasks, {with_many:.1f} us with {TASKS:,}: {growth:.2f} times")
    return 0 if bytes_a_task <= MOST_BYTES_A_TASK and growth <= MOST_GROWTH else 1
