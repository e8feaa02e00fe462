"""`async_mock_server`: the server for coroutines, whose event loop may hold a receiver of callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from support.edge import receiving

from mockserver.testing import running
from mockserver.testing.running import BlockedLoopError

if TYPE_CHECKING:
    from mockserver import AsyncRunningServer, RunningServer

BODY = {"model": "gemini-omni-flash-text-to-video", "prompt": "a kite"}


async def submit(mock: RunningServer | AsyncRunningServer, **more: Any) -> str:
    """Submit a job; return the task's id."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {mock.key('evolink')}"}) as http:
        answer = await http.post(f"{mock.url('evolink')}/v1/videos/generations", json={**BODY, **more})
        return str(answer.json()["id"])


async def test_a_receiver_in_the_same_loop(async_mock_server: AsyncRunningServer) -> None:
    """It gets its callbacks while the clock is advanced."""
    async with receiving() as receiver:
        task = await submit(async_mock_server, callback_url=receiver.url())
        report = await async_mock_server.clock.advance(600)
        assert (report.attempts, report.acknowledged, len(receiver.got)) == (1, 1, 1)
        assert async_mock_server.task(task).status == "completed"
        other = await submit(async_mock_server, callback_url=receiver.url())
        await async_mock_server.task(other).fail()
        assert len(receiver.got) == 2
    await async_mock_server.reset()
    assert len(async_mock_server.journal) == 0
    await async_mock_server.drop()


async def test_a_call_that_waits_for_its_own_loop_says_so(
    mock_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mock_server` in a coroutine, with a receiver there: an error in words instead of a long silence."""
    monkeypatch.setattr(running, "_BLOCKED_S", 0.3)
    async with receiving() as receiver:
        await submit(mock_server, callback_url=receiver.url())
        with pytest.raises(BlockedLoopError, match="async_mock_server"):
            mock_server.clock.advance(600)
    mock_server.evolink.submitted(times=1)  # what needs no receiver can be used as before


def test_trio(mock_server: RunningServer) -> None:
    """The same in coroutines of trio."""

    async def use() -> str:
        mock = mock_server.awaited()
        task = await submit(mock)
        await mock.clock.advance(600)
        return mock.task(task).status

    assert trio.run(use) == "completed"


async def test_intercepted_in_coroutines(async_mock_server: AsyncRunningServer) -> None:
    """Real hosts lead to the server, and no longer after the block."""
    key = async_mock_server.key("evolink")
    async with async_mock_server.intercept(), httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http:
        assert (await http.get("https://api.evolink.ai/v1/credits")).status_code == 200
    async_mock_server.session("another").evolink.inject("latency", seconds=1)
    assert async_mock_server.journal.count(operation="getCredits") == 1


#: Both event loops that anyio's plugin runs tests in; a fixture of one's own on top.
WITH_ANYIO = """
import httpx
import pytest

pytestmark = pytest.mark.anyio

@pytest.fixture
async def task(async_mock_server):
    async with httpx.AsyncClient(headers={"Authorization": "Bearer " + async_mock_server.key("evolink")}) as http:
        url = async_mock_server.url("evolink") + "/v1/videos/generations"
        answer = await http.post(url, json={"model": "gemini-omni-flash-text-to-video", "prompt": "a kite"})
    return async_mock_server.task(answer.json()["id"])

async def test_one(async_mock_server, task):
    await async_mock_server.clock.advance(600)
    assert task.status == "completed"
"""


@pytest.mark.slow
def test_with_the_plugin_of_anyio(pytester: pytest.Pytester) -> None:
    """Where there is no pytest-asyncio."""
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:schemathesis -p no:hypothesispytest -p no:asyncio")
    pytester.makepyfile(WITH_ANYIO)
    pytester.runpytest_subprocess().assert_outcomes(passed=2)
