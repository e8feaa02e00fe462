"""`serve --replay`: a recorded day is lived through again, with new ids, links and times; polls do not advance it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.edge import Received, receiving, serving
from support.engine import ALL, KILN
from support.whole_day import Day

from contracts import of_records
from contracts.drift import differences, documented
from mockserver.clock import instant_of

if TYPE_CHECKING:
    from pathlib import Path

Records = list[dict[str, Any]]
FILES = {"kiln": (KILN,)}
LATER_S = 123_456.789
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


async def lived(name: str, *, later_s: float = 0, **settings: Any) -> Records:
    """Let a client do its jobs, with callbacks, refusals of them and downloads; return the journal."""
    answers = iter([500])

    async def answer(_received: Received) -> int:
        return next(answers, 200)

    specs = [str(each) for each in FILES.get(name, ())]
    async with serving(specs=specs, **settings) as edge, receiving(answer) as receiver:
        await edge.advance(later_s)
        await Day(edge, name, receiver.url()).jobs()
        return list(edge.mock.journal)


def shape_of(value: Any) -> Any:
    """Return JSON without what is new in each run: ids, links, times."""
    if isinstance(value, dict):
        return {key: shape_of(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape_of(each) for each in value]
    if isinstance(value, str) and "://" in value:
        return "link"
    if isinstance(value, str) and _TIME.fullmatch(value):
        return "time"
    if isinstance(value, str) and re.search(r"[0-9a-zA-Z]{8,}", value) and re.search(r"\d", value):
        return "id"
    return "time" if isinstance(value, int) and value > 1_700_000_000 else value


def seen(records: Records) -> list[Any]:
    """Return what a client saw: each answer and callback, with its time after the first request."""
    out = []
    start_ms = instant_of(records[0]["at"])
    for each in records:
        is_callback = each["kind"] == "delivery"
        body = (each["request"] if is_callback else each["response"])["body"]
        what = each["event"] if is_callback else each["operation"]
        shape = shape_of(orjson.loads(body)) if body and body.startswith("{") else body
        out.append((what, instant_of(each["at"]) - start_ms, each["response"]["status"], shape))
    return out


def saved(records: Records, path: Path) -> str:
    """Write a journal as of a real provider: nothing in it says what the mock did."""
    plain = [{**each, "faults": []} for each in records]
    path.write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in plain))
    return str(path)


@pytest.mark.parametrize("name", ALL)
async def test_a_day_is_lived_through_again(name: str, tmp_path: Path) -> None:
    """With another seed and at another time, a client sees the recorded states, times and shapes."""
    recorded = await lived(name)
    file = saved(recorded, tmp_path / "run.ndjson")
    again = await lived(name, seed=7, later_s=LATER_S, replay=file)
    for old, new in zip(seen(recorded), seen(again), strict=True):
        assert old == new
    assert not {each["task"] for each in recorded if each.get("task")} & {each["task"] for each in again}
