"""What a thousand fault rules cost a query that none of them is about.

    python tests/benchmarks rules

The yardstick is the same server without rules, in turn, in the same run.
"""

from __future__ import annotations

import json
import statistics

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
    say,
    started,
    use_the_other_core,
)

RULES = 1_000
REQUESTS = 8_000
ROUNDS = 7
FLOOR = 0.85


def rule(number: int) -> dict[str, object]:
    """Make a rule that matches nothing here: by key, by task, by prompt, by model and by operation in turn."""
    where: dict[str, str] = (
        {"key": f"sk-nobody-{number}"},
        {"task": f"task-unified-{number}"},
        {"prompt": f"nothing like {number}"},
        {"operation": "createVideo", "prompt": f"nor {number}"},
        {"provider": "crun", "operation": "query"},
    )[number % 5]
    return {"fault": "error", "with": {"status": 503}, "where": {"provider": "evolink", **where}}


async def measure(with_rules: tuple[int, int], without: tuple[int, int]) -> list[float]:
    """Return the ratios, a round at a time; servers are (process id, port)."""
    for number in range(RULES):
        assert "id" in await ask(with_rules[1], "POST", "/__admin/faults", rule(number))
    raws = {}
    for _, port in (with_rules, without):
        await enrich(port)
        task_id = (await ask(port, "POST", SUBMIT, BODY))["id"]
        raws[port] = request_bytes("GET", f"/evolink/v1/tasks/{task_id}", HEADERS)
    ratios = []
    for number in range(ROUNDS + 1):
        spent_s = []
        for pid, port in (without, with_rules):
            before_s = cpu_s(pid)
            _, statuses = await load(port, REQUESTS, raws[port])
            assert statuses == {"200": REQUESTS}, json.dumps(statuses)
            spent_s.append(cpu_s(pid) - before_s)
        if number:  # the first round warms up
            ratios.append(spent_s[0] / spent_s[1])
    return ratios


def main(_arguments: list[str]) -> int:
    """Measure, print, judge."""
    with started(mockserver()) as (loaded, loaded_port), started(mockserver()) as (plain, plain_port):
        use_the_other_core()
        with awake():
            ratios = uvloop.run(measure((loaded.pid, loaded_port), (plain.pid, plain_port)))
    median = statistics.median(ratios)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    say(f"query with {RULES:,} rules: {median:.2f} of one without ({spread}; floor {FLOOR:.2f})")
    return 0 if median >= FLOOR else 1
