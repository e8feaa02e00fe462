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
    from collections.abc import Container, Iterator
    from pathlib import Path

    from mockserver.provider import Provider

Records = list[dict[str, Any]]
FILES = {"kiln": (KILN,)}
_POLLS, _POLL_EVERY_S = 6, 20
LATER_S = 123_456.789
#: Ids, links and times in a text.
_NEW = re.compile(r"http[^\"]*|\d{4}-\d\d-\d\dT[^\"]*|\w*\d\w{7,}|\w{7,}\d\w*")
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
        if each["response"] is None:
            continue
        is_callback = each["kind"] == "delivery"
        body = (each["request"] if is_callback else each["response"])["body"]
        what = each["event"] if is_callback else each["operation"]
        shape = shape_of(_json(body)) if _json(body) is not None else _NEW.sub("new", body or "")
        out.append((what, instant_of(each["at"]) - start_ms, each["response"]["status"], shape))
    return out


def _json(text: str | None) -> Any:
    try:
        return orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return None


def saved(records: Records, path: Path) -> str:
    """Write a journal as of a real provider: nothing in it says what the mock did."""
    plain = [{**each, "faults": []} for each in records if each.get("outcome") != "lost"]
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


async def faulty(name: str, chosen: Container[str] | None = None, **settings: Any) -> dict[str, Records]:
    """Do a job for each fault that shows in answers, or the chosen ones without their faults; return their records."""
    done: dict[str, Records] = {}
    async with serving(**settings) as edge, receiving() as receiver:
        day = Day(edge, name, receiver.url())
        (submit, *_), (query, *_) = day.of("submit"), day.of("query")
        model = next(iter(day.provider.models.values()))
        for job, request in _jobs(day.provider):
            if chosen is not None and job not in chosen:
                continue
            if chosen is None:
                edge.mock.server.runtime.add_fault(request)
            before = len(list(edge.mock.journal))
            answer = await day.ask(submit, json=with_text(day.body(model, hook=True), job))
            task = next(reversed(edge.state(name).tasks), "none")
            for _ in range(_POLLS if answer.status < 300 else 0):
                await edge.advance(_POLL_EVERY_S)
                await day.ask(query, task)
            edge.mock.server.runtime.world.faults.clear()
            done[job] = list(edge.mock.journal)[before:]
    return done


def _jobs(provider: Provider) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the faults that show in answers, each with the request for it."""
    for fault, kind in all_faults().items():
        if kind.never_at(provider) or kind.delays_answer or kind.breaks_answer or kind.withholds_answer:
            continue
        for number, exercise in enumerate(kind.exercises(provider)):
            where = {} if exercise.operation is None else {"operation": exercise.operation}
            when = {} if exercise.times is None else {"times": exercise.times}
            request = {"fault": fault, "with": dict(exercise.parameters), "where": where, "when": when}
            yield f"a job with {fault} {number}", request


@pytest.mark.parametrize("name", ["evolink", "googlegeminiomni"])
async def test_what_faults_show_is_lived_through_again(name: str, tmp_path: Path) -> None:
    """States, errors, fields and callbacks that faults made are replayed as those of a real provider would be."""
    recorded = await faulty(name)
    file = saved([each for job in recorded.values() for each in job], tmp_path / "run.ndjson")
    taken = {job for job, records in recorded.items() if _status(records[0]) in (200, 429, 500, 502, 503, 504)}
    again = await faulty(name, taken, seed=7, replay=file)
    assert len(taken) > 40
    assert [job for job in again if seen(again[job]) != seen(recorded[job])] == []


def _status(record: dict[str, Any]) -> int:
    return 0 if record["response"] is None else int(record["response"]["status"])
