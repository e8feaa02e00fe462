"""Whole lifecycles a second in virtual time, beside the same flow in real time.

    python tests/benchmarks lifecycles

A lifecycle is a submit, a query every 5 s until the task has ended, and the download. The client is a lean
one, so that what is measured is the loop, the connections and the server; reading the journal is included.
The real flow is the same client on asyncio's own loop, with real sockets and real seconds; its jobs are all
done at once too.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from benchmarks.servers import say

from contracts.client.campaign import freeze_loaded_objects
from contracts.client.in_process.runner import run_situation
from contracts.client.situations import Situation
from contracts.client.subject import Setting
from mockserver import MockServer
from mockserver.spec.catalog import load_providers

if TYPE_CHECKING:
    from contracts.journal import Journal

JOBS = 100
ROUNDS = 15
FLOOR_JOBS_PER_S = 300


class Lean:
    """Does what a client of EvoLink's must, and nothing else."""

    def __init__(self, setting: Setting) -> None:
        self._base_url = setting.base_url
        self._api = self._session({"Authorization": f"Bearer {setting.api_key}"})
        self._files = self._session({})

    @staticmethod
    def _session(headers: dict[str, str]) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0)
        return aiohttp.ClientSession(
            headers=headers,
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def aclose(self) -> None:
        """Close its connections."""
        await self._api.close()
        await self._files.close()

    async def generate(self, prompt: str) -> bytes:
        """Make a video."""
        body = {"model": "gemini-omni-flash-text-to-video", "prompt": prompt, "duration": 6}
        async with self._api.post(f"{self._base_url}/v1/videos/generations", json=body) as answer:
            task: dict[str, Any] = orjson.loads(await answer.read())
        while task["status"] != "completed":
            await asyncio.sleep(5)
            async with self._api.get(f"{self._base_url}/v1/tasks/{task['id']}") as answer:
                task = orjson.loads(await answer.read())
        async with self._files.get(task["results"][0]) as answer:
            return await answer.read()


async def real_s() -> float:
    """Do all jobs at once in real time; return how long that took."""
    async with MockServer(clock="real", only="evolink") as mock:
        client = Lean(Setting("evolink", mock.url("evolink"), mock.key("evolink")))
        start_s = time.perf_counter()
        videos = await asyncio.gather(*(client.generate(f"A red kite, take {number}") for number in range(JOBS)))
        spent_s = time.perf_counter() - start_s
        await client.aclose()
    assert all(videos)
    return spent_s


def main(_arguments: list[str]) -> int:
    """Measure, print, judge."""
    os.sched_setaffinity(0, {1})
    (provider,) = (each for each in load_providers() if each.name == "evolink")
    run_situation(Lean, provider, Situation("evolink"))
    freeze_loaded_objects()  # as `contracts run` does
    rates, journal = [], None
    for seed in range(ROUNDS):
        start_s = time.perf_counter()
        journal = run_situation(Lean, provider, Situation("evolink", jobs=JOBS, seed=seed)).journal
        rates.append(JOBS / (time.perf_counter() - start_s))
        assert _finished(journal) == JOBS
    assert journal is not None
    per_job = len(journal.records) / JOBS
    rate, real = statistics.median(rates), JOBS / asyncio.run(real_s())
    say(
        f"lifecycles: {rate:.0f} a second in virtual time (floor {FLOOR_JOBS_PER_S}; {per_job:.1f} exchanges each, "
        f"{rate * per_job:.0f} a second), {rate / real:.0f} times as many as in real time ({real:.2f})"
    )
    return 0 if rate >= FLOOR_JOBS_PER_S else 1


def _finished(journal: Journal) -> int:
    return sum(job.ended == "returned" for job in journal.jobs)
