"""Clients that wait while the clock stands: time moves to what they wait for, or they are told of."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
from support.edge import receiving

from mockserver import MockServer

if TYPE_CHECKING:
    import pytest


async def test_the_clock_auto_moves_to_what_clients_wait_for() -> None:
    """A poll sees each state once, callbacks come on the way; a limit is over at the next request."""
    async with (
        MockServer(only="evolink", clock="auto") as mock,
        receiving() as receiver,
        aiohttp.ClientSession() as http,
    ):
        headers = {"Authorization": f"Bearer {mock.key('evolink')}"}
        base = mock.url("evolink")
        body = {"model": "gemini-omni-flash-text-to-video", "prompt": "a kite", "callback_url": receiver.url()}

        async def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
            async with http.request(method, base + path, json=body, headers=headers) as answer:
                return answer.status, await answer.json()

        _, task = await ask("POST", "/v1/videos/generations", body)
        seen = [(await ask("GET", f"/v1/tasks/{task['id']}"))[1]["status"] for _ in range(4)]
        assert seen == ["pending", "processing", "completed", "completed"]
        while not receiver.got:  # the answer to a poll does not wait for it
            await ask("GET", f"/v1/tasks/{task['id']}")
        mock.evolink.limit(per_minute=1)
        del body["callback_url"]
        statuses = [(await ask("POST", "/v1/videos/generations", body))[0] for _ in range(4)]
        assert statuses == [200, 429, 200, 429]
        before = mock.clock.now_ms
        await mock.reset()
        assert mock.clock.now_ms < before


def test_polls_in_vain_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """With a manual clock, in the log."""
    with MockServer(only="evolink") as mock:
        ask = partial(httpx.request, headers={"Authorization": f"Bearer {mock.key('evolink')}"})
        body = {"model": "gemini-omni-flash-text-to-video", "prompt": "a kite"}
        task = ask("POST", f"{mock.url('evolink')}/v1/videos/generations", json=body).json()["id"]
        for _ in range(25):
            ask("GET", f"{mock.url('evolink')}/v1/tasks/{task}")
        mock.clock.advance(600)
        for _ in range(25):
            ask("GET", f"{mock.url('evolink')}/v1/tasks/{task}")
    (told,) = [each.getMessage() for each in caplog.records if "manual" in each.getMessage()]
    assert told.startswith(
        f"task {task} was polled 10 times at one instant: the clock is manual and nobody advanced it"
    )
