"""Retry-After over HTTP, on clocks of several speeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.edge import serving
from support.jobs import spec_with

if TYPE_CHECKING:
    from pathlib import Path

BODY = {"model": "film-1", "prompt": "A red kite"}


@pytest.fixture
def slow(tmp_path: Path) -> dict[str, Any]:
    """The small provider, on a plan of one task a minute."""
    path = tmp_path / "jobs.yaml"
    path.write_text(spec_with(), encoding="utf-8")
    return {"specs": [str(path)], "builtin": False, "providers": {"jobs": {"plan": "slow"}}}


async def submit(edge: Any) -> Any:
    """Submit a task, whatever the answer."""
    return await edge.call("POST", "/jobs/v1/jobs", headers=edge.key_headers("jobs"), json=BODY)


async def test_at_a_high_speed_a_client_that_sleeps_as_told_is_soon_let_in(slow: dict[str, Any]) -> None:
    """At 120x a minute is told as 1 s, and is over after 1 s; the journal has both figures."""
    async with serving(**slow, clock="real", speed=120) as edge:
        assert (await submit(edge)).status == 200
        refused = await submit(edge)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        await edge.advance(120 * int(refused.headers["Retry-After"]))  # as its sleep does
        assert (await submit(edge)).status == 200
        (record,) = [each for each in edge.mock.journal.find(kind="exchange") if each["response"]["status"] == 429]
        told = dict(record["response"]["headers"])["Retry-After"]
        assert (told, 50 <= record["retry_after_s"] <= 60) == ("1", True)


async def test_on_other_clocks_the_seconds_are_the_same(slow: dict[str, Any]) -> None:
    """A manual clock, real time, or `retry_after: mock`: the seconds are those of mock time, and said once."""
    for settings in ({}, {"clock": "real"}, {"clock": "real", "speed": 2, "retry_after": "mock"}):
        async with serving(**slow, **settings) as edge:
            await submit(edge)
            assert int((await submit(edge)).headers["Retry-After"]) >= 55
            assert not any("retry_after_s" in each for each in edge.mock.journal.find(kind="exchange"))


async def test_a_speed_that_is_changed_counts_at_once(slow: dict[str, Any]) -> None:
    """From the next answer on."""
    async with serving(**slow) as edge:
        await submit(edge)
        assert (await submit(edge)).headers["Retry-After"] == "60"
        await edge.admin("POST", "/clock", {"speed": 30})
        assert int((await submit(edge)).headers["Retry-After"]) <= 2
