"""`serve --replay` of recordings as the world makes them: odd ids, odd times, other keys, odd JSON, HAR of browsers."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.edge import serving
from support.engine import KILN, providers
from support.recorded import BODY, entry, real, record

from mockserver.clock import MANUAL_START_MS
from mockserver.recording.records import by_provider

if TYPE_CHECKING:
    from pathlib import Path

    from support.edge import Edge

PATH = "/v1/videos/generations"
PENDING = {"id": "task-1", "status": "pending"}


def submitted(answer: Any, **more: Any) -> dict[str, Any]:
    """Write the record of a submit."""
    written: dict[str, Any] = record(1, 0, "POST", PATH, answer, body=BODY, **more)
    return written


def polled(seq: int, at_s: float, answer: Any, task: str = "task-1", status: int = 200) -> dict[str, Any]:
    """Write the record of a poll."""
    written: dict[str, Any] = record(seq, at_s, "GET", f"/v1/tasks/{task}", answer, status=status)
    return written


async def asked(edge: Edge, after_s: float) -> Any:
    """Poll the first task at a time."""
    await edge.advance(after_s)
    return (await edge.query("evolink", next(iter(edge.state("evolink").tasks)))).json


async def test_an_id_within_another_id_stays(tmp_path: Path) -> None:
    """Only whole words are ids and links, also after an escape of a URL."""
    answer = {
        **PENDING,
        "others": ["task-10", "xtask-1", "task-1a"],
        "this": ["see task-1.", "a%2Ftask-1%2Fb", "task-1_0"],
    }
    async with real(tmp_path, [submitted(answer)]) as edge:
        told = (await edge.try_submit("evolink", **BODY)).json
        assert told["others"] == answer["others"]
        new = told["id"]
        assert told["this"] == [f"see {new}.", f"a%2F{new}%2Fb", f"{new}_0"]


@pytest.mark.parametrize(
    ("task", "escaped"),
    [("job:a/1", "job%3Aa%2F1"), (7, "7"), ("7", "7"), (12345678901, "12345678901")],
)
async def test_every_form_of_an_id_leads_to_its_task(tmp_path: Path, task: Any, escaped: str) -> None:
    """Ids that URLs escape, and numbers; other equal numbers stay."""
    link = f"https://api.evolink.ai/v1/tasks/{escaped}"
    first = {"data": {"id": task, "status": "pending", "link": link, "eta": 7}}
    recorded = [submitted(first), polled(2, 10, {"id": task, "status": "warm", "left": "7 of 7"}, escaped)]
    async with real(tmp_path, recorded) as edge:
        told = (await edge.try_submit("evolink", **BODY)).json["data"]
        new = next(iter(edge.state("evolink").tasks))
        assert told == {"id": new, "status": "pending", "link": f"{edge.root}/evolink/v1/tasks/{new}", "eta": 7}
        assert await asked(edge, 10) == {"id": new, "status": "warm", "left": "7 of 7"}


async def test_times_in_every_notation_are_renewed(tmp_path: Path) -> None:
    """Without a zone, as in HTTP, as text; what is no day or far away stays."""
    answer = {
        **PENDING,
        "at": ["2023-11-14 22:13:20", "2023-11-14T22:13:20", "Tue, 14 Nov 2023 22:13:20 GMT", "1700000000"],
        "kept": ["2023-13-45T99:99:99Z", "Tue, 99 Nov 2023 22:13:20 GMT", "1999-01-01T00:00:00Z", "2023-11-14"],
    }
    async with real(tmp_path, [submitted(answer)]) as edge:
        told = (await edge.try_submit("evolink", **BODY)).json
        assert told["at"] == [
            "2026-06-05 00:00:00",
            "2026-06-05T00:00:00",
            "Fri, 05 Jun 2026 00:00:00 GMT",
            "1780617600",
        ]
        assert told["kept"] == answer["kept"]


async def test_what_another_key_was_told_is_not_of_the_task(tmp_path: Path) -> None:
    """A task that was asked for with another key, or with a refused one, is not lost for its owner."""
    missing, refused = ({"error": {"code": code}} for code in (404, 401))
    other = polled(3, 20, missing, status=404)
    other["request"]["headers"] = [["Authorization", "Bearer sk-of-somebody-else"]]
    recorded = [submitted(PENDING), polled(2, 10, {**PENDING, "status": "warm"}), other]
    async with real(tmp_path, [*recorded, polled(4, 30, refused, status=401)]) as edge:
        await edge.submit("evolink", **BODY)
        for _ in range(3):
            assert (await asked(edge, 15))["status"] == "warm"


async def test_what_the_recorder_has_answered_itself_is_not_replayed(tmp_path: Path) -> None:
    """A host that could not be reached is no refusal of the provider."""
    own = {**submitted("cannot reach it", status=502), "gate": "proxy", "error": "host_unreachable"}
    own |= {"provider": "evolink", "operation": "createVideo", "task": None, "account": None, "upstream": "https://x"}
    async with real(tmp_path, [own, {**submitted(PENDING), "seq": 2}]) as edge:
        assert (await edge.try_submit("evolink", **BODY)).status == 200


async def test_odd_json_is_replayed(tmp_path: Path) -> None:
    """Integers of more than 64 bits and halves of surrogate pairs stay; a body nested without end breaks nothing."""
    deep = submitted(PENDING)
    deep["request"]["body"] = f'{{"model": "a", "x": {"[" * 900}{"]" * 900}}}'
    odd = submitted({**PENDING, "n": 2**70, "half": "\ud800"})
    other = submitted(PENDING)
    other["request"]["body"] = f'{{"model": "a", "seed": {2**70}, "x": "\\ud800"}}'
    async with real(tmp_path, [odd, {**deep, "seq": 2}, {**other, "seq": 3}]) as edge:
        told = json.loads((await edge.try_submit("evolink", **BODY)).body)
        assert (told["n"], told["half"]) == (2**70, "\ud800")


async def test_a_prompt_that_is_a_state_changes_no_state(tmp_path: Path) -> None:
    """The words of the lifecycle are never taken for a text of the submit."""
    body = {**BODY, "prompt": "pending"}
    async with real(tmp_path, [record(1, 0, "POST", PATH, PENDING, body=body)]) as edge:
        assert (await edge.try_submit("evolink", **BODY)).json["status"] == "pending"


async def test_a_har_file_of_a_browser_is_replayed(tmp_path: Path) -> None:
    """Bodies in Base64, and entries of several time zones in any order."""
    first, second = map(entry, (submitted(PENDING), polled(2, 10, {**PENDING, "status": "warm"})))
    for each in (first, second):
        content = each["response"]["content"]
        content |= {"text": base64.b64encode(content["text"].encode()).decode(), "encoding": "base64"}
    first["startedDateTime"] = "2023-11-14T23:13:20.5+01:00"
    second["startedDateTime"] = "2023-11-14T22:13:30Z"
    file = tmp_path / "run.har"
    file.write_bytes(orjson.dumps({"log": {"entries": [first, second]}}))
    async with serving(replay=str(file)) as edge:
        await edge.submit("evolink", **BODY)
        assert (await asked(edge, 9))["status"] == "pending"
        assert (await asked(edge, 1))["status"] == "warm"


def test_the_path_of_a_cancellation_tells_its_task() -> None:
    """In a recording without fields of ours."""
    records = [
        record(1, 0, "POST", "/pieces", {"piece": {"id": "p-1"}}, body={"glaze": "blue"}),
        record(2, 9, "DELETE", "/pieces/p-1", {"piece": {"id": "p-1"}, "odd": "gone"}),
    ]
    (found,) = by_provider([{**each, "host": "kiln.example"} for each in records], [providers()["kiln"]]).values()
    assert [each.task for each in found] == ["p-1", "p-1"]


async def test_a_task_that_is_cancelled_later_has_ended_later(tmp_path: Path) -> None:
    """Times of the cancellation move with it; those before it stay."""
    file = tmp_path / "run.ndjson"
    told = []
    for wait_s, settings in ((3, {"journal": str(file)}), (20, {"replay": str(file)})):
        async with serving(specs=[str(KILN)], **settings) as edge:
            task = (await edge.try_submit("kiln")).json["ticket"]
            await edge.advance(wait_s)
            path, headers = f"/kiln/pieces/{task}", edge.key_headers("kiln")
            gone = (await edge.call("DELETE", path, headers=headers)).json
            await edge.advance(5)
            assert (await edge.call("GET", path, headers=headers)).json == gone
            told.append((gone["stage"], gone["ended"] - MANUAL_START_MS))
    assert told == [("withdrawn", 3000), ("withdrawn", 20_000)]
