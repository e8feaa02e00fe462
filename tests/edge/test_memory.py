"""Memory: what is reset, dropped or evicted is freed at once, without the garbage collector."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.edge import serving

from mockserver.clock import Wall
from mockserver.edge.server import Server
from mockserver.edge.sessions import MAKES_ROOM_S
from mockserver.engine.keeping import Bounds
from mockserver.settings import Settings
from mockserver.spec.catalog import load_providers


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Switch the garbage collector off."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def submit_everywhere(server: Server, http: aiohttp.ClientSession, prefix: str = "") -> None:
    """Submit a job to each provider."""
    for provider in server.providers:
        operation = next(each for each in provider.operations.values() if each.role == "submit")
        example = next(model.example for model in provider.models.values() if model.example)
        url = f"http://127.0.0.1:{server.port}{prefix}/{provider.name}{operation.path}"
        headers = provider.key.header_with(provider.key.example)
        async with http.post(url, json=example, headers=headers) as answer:
            assert answer.status < 300


@pytest.mark.usefixtures("no_collector")
async def test_a_reset_frees_the_world_before() -> None:
    """A reset frees the world that it replaces at once: no cycle waits for the collector."""
    server = await Server.start(Settings(port=0, clock="manual"), load_providers())
    async with aiohttp.ClientSession() as http:
        await submit_everywhere(server, http)
        world, dispatcher = weakref.ref(server.runtime.world), weakref.ref(server.runtime.dispatcher)
        account = weakref.ref(next(iter(server.runtime.world.providers["evolink"].accounts.values())))
        await server.runtime.reset()
        assert (world(), dispatcher(), account()) == (None, None, None)
    await server.close()


@pytest.mark.usefixtures("no_collector")
async def test_a_dropped_session_is_freed() -> None:
    """A dropped session leaves nothing: its runtime, its world and its journal are freed at once."""
    server = await Server.start(Settings(port=0, clock="manual"), load_providers())
    async with aiohttp.ClientSession() as http:
        await submit_everywhere(server, http, "/~one")
        runtime = server.sessions.get("one")
        refs: list[weakref.ref[Any]] = [weakref.ref(each) for each in (runtime, runtime.world, runtime.dispatcher)]
        del runtime
        await server.sessions.drop("one")
        assert [ref() for ref in refs] == [None, None, None]
    await server.close()


async def test_the_oldest_task_makes_room_and_the_answer_says_so() -> None:
    """Beyond `keep_tasks` the oldest task is evicted: the answer that made room names it, and it is unknown."""
    async with serving(keep_tasks=2) as edge:
        first = await edge.submit("evolink")
        assert "X-Mock-Evicted" not in (await edge.try_submit("evolink")).headers
        third = await edge.try_submit("crun")
        assert third.headers["X-Mock-Evicted"] == f"task {first}"
        assert (await edge.query("evolink", first)).status == 404
        assert sum(len(edge.state(name).tasks) for name in ("evolink", "crun")) == 2


async def test_bytes_of_tasks_are_bounded() -> None:
    """Beyond `keep_task_bytes` the oldest are evicted, as many as must; the newest is kept in any case."""
    async with serving(keep_task_bytes=10_000) as edge:
        for _ in range(3):
            await edge.submit("evolink", prompt="a" * 1000)
        large = await edge.try_submit("evolink", prompt="b" * 1900)
        assert large.status == 200
        assert len(edge.state("evolink").tasks) == 4
        edge.mock.runtime.world.providers["evolink"].kept_tasks.bounds = Bounds(None, 2500)
        evicting = await edge.try_submit("evolink", prompt="c" * 1900)
        assert evicting.headers["X-Mock-Evicted"].endswith("and 3 more")
        assert len(edge.state("evolink").tasks) == 1


async def test_the_ledger_balances_after_an_eviction() -> None:
    """The credits of an evicted task settle as those of any other."""
    async with serving(keep_tasks=1) as edge:
        for _ in range(3):
            await edge.submit("evolink")
        await edge.mock.clock.advance(3600)
        (account,) = edge.state("evolink").accounts.values()
        account.settle(edge.mock.runtime.clock.now_ms())
        assert account.reserved_ucr == 0
        assert account.spent_ucr > 0
        assert len(account.tasks) == 1


async def test_an_idle_session_makes_room() -> None:
    """Where there are as many sessions as may be, the one that was not used for longest makes room, and is named."""
    now_s = 0.0
    wall = Wall(lambda: now_s)
    server = await Server.start(Settings(port=0, clock="manual", keep_sessions=2), load_providers(), wall=wall)
    async with aiohttp.ClientSession() as http:
        await submit_everywhere(server, http, "/~one")
        now_s = 1.0
        await submit_everywhere(server, http, "/~two")
        now_s = MAKES_ROOM_S + 0.5
        provider = server.providers[0]
        url = f"http://127.0.0.1:{server.port}/~three/{provider.name}/nowhere"
        async with http.get(url, headers=provider.key.header_with(provider.key.example)) as answer:
            assert answer.headers["X-Mock-Evicted"] == "session one"
        assert list(server.sessions) == ["three", "two"]
    await server.close()


def resident_bytes() -> int:
    """Return the memory that this process has in use."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.usefixtures("no_collector")
async def test_memory_is_level_over_resets_and_sessions() -> None:
    """Resets of large jobs and sessions that come and go leave the process as large as it was, within five percent."""
    server = await Server.start(Settings(port=0, clock="manual"), load_providers())
    async with aiohttp.ClientSession() as http:
        provider = next(each for each in server.providers if each.name == "evolink")
        operation = next(each for each in provider.operations.values() if each.role == "submit")
        example = dict(next(model.example for model in provider.models.values() if model.example))
        body = {**example, "metadata": "x" * 60_000}

        async def round_of(number: int) -> None:
            root = f"http://127.0.0.1:{server.port}"
            for prefix in ("", f"/~s{number}"):
                url = f"{root}{prefix}/{provider.name}{operation.path}"
                for _ in range(10):
                    async with http.post(url, json=body, headers=provider.key.header_with(provider.key.example)) as got:
                        await got.read()
            await server.runtime.reset()
            await server.sessions.drop(f"s{number}")

        for number in range(20):
            await round_of(number)
        before = resident_bytes()
        for number in range(100):
            await round_of(number)
        assert resident_bytes() < before * 1.05
    await server.close()
