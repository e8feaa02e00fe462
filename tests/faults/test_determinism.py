"""Two hundred days drawn at random, each lived twice: the journals are equal to the byte, but for wall times."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.edge import CALLBACK_FIELDS, PROVIDERS, Edge, serving
from support.engine import providers

from mockserver.faults import all_faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.slow(about_s=12)

DAYS = 200
#: Parameters that keep wall time short, where the defaults would not.
GENTLY: dict[str, dict[str, Any]] = {
    "latency": {"seconds": 0.0, "spread_s": 0.001},
    "slow_body": {"bytes_per_s": 1e6},
    "slow_file": {"bytes_per_s": 1e9},
    "held_open": {"seconds": 0.0},
}
_LINK = re.compile(rb'"(http://127[^"]+/(?:files|omni)/[^"]+)"')
KNOWN = providers()

requested_rules = st.lists(
    st.builds(
        lambda name, probability, every, times, provider: {
            "fault": name,
            "with": GENTLY.get(name, {}),
            "where": {} if provider is None or all_faults()[name].never_at(KNOWN[provider]) else {"provider": provider},
            "when": {"probability": probability, "every": every, **({} if times is None else {"times": times})},
        },
        st.sampled_from(sorted(all_faults())),
        st.sampled_from([0.3, 0.7, 1]),
        st.integers(1, 3),
        st.none() | st.integers(1, 3),
        st.none() | st.sampled_from(PROVIDERS),
    ),
    min_size=1,
    max_size=6,
)
steps = st.lists(
    st.tuples(
        st.just("submit"), st.sampled_from(PROVIDERS), st.booleans(), st.sampled_from(["", " mock:429x1", " mock:fail"])
    )
    | st.tuples(st.just("job"), st.sampled_from(PROVIDERS), st.booleans())
    | st.tuples(st.just("query"), st.integers(0, 9))
    | st.tuples(st.just("download"), st.integers(0, 9))
    | st.tuples(st.just("advance"), st.sampled_from([0.5, 7, 45, 120, 4000])),
    min_size=3,
    max_size=12,
)


@asynccontextmanager
async def quiet_receiver() -> AsyncIterator[str]:
    """A receiver whose answers hold nothing of the wall's, and depend on what it is told alone."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                status = b"500 No" if sum(body) % 3 == 0 else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"


class Day:
    """One run of a day: what was submitted so far, and where its files were said to be."""

    def __init__(self, edge: Edge, hook: str) -> None:
        self.edge = edge
        self.hook = hook
        self.tasks: list[tuple[str, str]] = []
        self.links: list[str] = []

    async def do(self, step: tuple[Any, ...]) -> None:
        """Do one step, whatever comes of it."""
        try:
            await getattr(self, step[0])(*step[1:])
        except (aiohttp.ClientError, ConnectionError):
            return

    async def submit(self, name: str, told: bool, words: str) -> None:
        before = set(self.edge.state(name).tasks)
        fields: dict[str, Any] = {CALLBACK_FIELDS[name]: self.hook} if told and name in CALLBACK_FIELDS else {}
        if words and name != "crun":
            fields["prompt"] = f"a kite{words}"
        try:
            await self.edge.call(
                "POST",
                self.edge.path_of(name, "submit"),
                headers=self.edge.key_headers(name, None),
                json={**dict(next(iter(self.edge.provider(name).models.values())).example or {}), **fields},
            )
        finally:
            self.tasks += [(name, task) for task in self.edge.state(name).tasks if task not in before]

    async def job(self, name: str, told: bool) -> None:
        """Do a whole job, as a client does that sees to it that it gets its file."""
        await self.do(("submit", name, told, ""))
        for seconds in (1, 30, 200):
            await self.do(("query", len(self.tasks) - 1))
            await self.advance(seconds)
        await self.do(("query", len(self.tasks) - 1))
        await self.do(("download", len(self.links) - 1))

    async def query(self, number: int) -> None:
        if self.tasks:
            reply = await self.edge.query(*self.tasks[number % len(self.tasks)])
            self.links += [link.decode() for link in _LINK.findall(reply.body)]

    async def download(self, number: int) -> None:
        if self.links:
            await self.edge.call("GET", self.links[number % len(self.links)])

    async def advance(self, seconds: float) -> None:
        await self.edge.advance(seconds)


async def lived(edge: Edge, hook: str, seed: int, wished: list[Any], todo: list[Any]) -> bytes:
    """Live a day from the start; return its journal without wall times, numbered from 1."""
    await edge.mock.server.runtime.reset(seed)
    for fault_request in wished:
        assert (await edge.admin("POST", "/faults", fault_request)).status == 200
    day = Day(edge, hook)
    for step in todo:
        await day.do(step)
    records = [orjson.loads(line) for line in edge.mock.journal.ndjson().splitlines()]
    first = records[0]["seq"] if records else 0
    return b"\n".join(orjson.dumps({**record, "seq": record["seq"] - first + 1, "wall": None}) for record in records)


async def test_a_day_lived_twice_is_the_same_day() -> None:
    """Same seed, same faults, same requests, manual clock: the same journal, whatever was drawn."""
    faults_seen: set[str] = set()

    def days(edge: Edge, hook: str, loop: asyncio.AbstractEventLoop) -> None:
        @settings(
            max_examples=DAYS, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(st.integers(0, 2**32), requested_rules, steps)
        def twice(seed: int, wished: list[Any], todo: list[Any]) -> None:
            async def both() -> None:
                once = await lived(edge, hook, seed, wished, todo)
                again = await lived(edge, hook, seed, wished, todo)
                assert once == again
                faults_seen.update(fault for record in edge.mock.journal for fault in record["faults"])

            asyncio.run_coroutine_threadsafe(both(), loop).result()

        twice()

    async with quiet_receiver() as hook, serving(callback_workers=1) as edge:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, days, edge, hook, loop)
    assert len(faults_seen) > len(all_faults()) // 2, faults_seen
