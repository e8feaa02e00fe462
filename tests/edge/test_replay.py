"""`serve --replay`: a recorded day is lived through again, with new ids, links and times; polls do not advance it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.edge import Received, receiving, serving
from support.engine import ALL, KILN
from support.whole_day import Day, with_text

from mockserver.clock import instant_of
from mockserver.faults import all_faults

if TYPE_CHECKING:
    from pathlib import Path

Records = list[dict[str, Any]]
FILES = {"kiln": (KILN,)}
_POLLS, _POLL_EVERY_S = 6, 20
LATER_S = 123_456.789
_ID = re.compile(r"req_\w+")
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
        shape = shape_of(orjson.loads(body)) if body and body.startswith("{") else _ID.sub("id", body or "")
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


async def faulty(name: str, faults: bool, **settings: Any) -> tuple[list[str], Records]:
    """Do a job for each fault that shows in answers, with the faults or without; return their names and the journal."""
    used = []
    async with serving(**settings) as edge, receiving() as receiver:
        day = Day(edge, name, receiver.url())
        (submit, *_), (query, *_) = day.of("submit"), day.of("query")
        model = next(iter(day.provider.models.values()))
        for each, kind in all_faults().items():
            if kind.never_at(day.provider) or kind.delays_answer or kind.breaks_answer or kind.withholds_answer:
                continue
            for number, exercise in enumerate(kind.exercises(day.provider)):
                used.append(f"{each} {number}")
                if faults:
                    where = {} if exercise.operation is None else {"operation": exercise.operation}
                    schedule = {} if exercise.times is None else {"times": exercise.times}
                    edge.mock.server.runtime.add_fault(
                        {"fault": each, "parameters": dict(exercise.parameters), **where, **schedule}
                    )
                body = with_text(day.body(model, hook=True), f"{each} {number}")
                await day.ask(submit, json=body)
                task = next(reversed(edge.state(name).tasks), "none")
                for _ in range(_POLLS):
                    await edge.advance(_POLL_EVERY_S)
                    await day.ask(query, task)
                edge.mock.server.runtime.world.faults.clear()
        return used, list(edge.mock.journal)


@pytest.mark.parametrize("name", ["evolink", "googlegeminiomni"])
async def test_what_faults_show_is_lived_through_again(name: str, tmp_path: Path) -> None:
    """States, errors, fields and callbacks that faults made are replayed as those of a real provider would be."""
    used, recorded = await faulty(name, faults=True)
    file = saved(recorded, tmp_path / "run.ndjson")
    _, again = await faulty(name, faults=False, seed=7, replay=file)
    assert len(used) > 40
    for old, new in zip(seen(recorded), seen(again), strict=True):
        assert old == new
