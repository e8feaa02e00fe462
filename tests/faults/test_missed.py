"""Faults that show mistakes of real clients: each on the wire."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from support.edge import receiving, request_bytes
from support.faults import (
    deliveries,
    file_bytes,
    links_of,
    look,
    put,
    query_bytes,
    shows,
    submit_bytes,
    submitted,
    world,
)

if TYPE_CHECKING:
    from support.edge import Edge

GOOGLE, EVOLINK = "googlegeminiomni", "evolink"
_LATER_S = 600


async def shown(edge: Edge, name: str, task_id: str) -> dict[str, Any]:
    """Return the answer to a query."""
    answer: dict[str, Any] = (await look(edge, query_bytes(edge, name, task_id))).json
    return answer


@shows("cancelled_task")
async def test_cancelled() -> None:
    """The task is cancelled half way, with the document's reason; a provider without cancelled tasks refuses it."""
    async with world() as edge:
        await put(edge, "cancelled_task", {"provider": EVOLINK}, {"times": 1})
        struck, other = [await submitted(edge, EVOLINK) for _ in range(2)]
        await edge.advance(_LATER_S)
        answer = await shown(edge, EVOLINK, struck)
        assert answer["status"] == "cancelled"
        assert answer["error"]["code"] == "request_cancelled"
        assert (await shown(edge, EVOLINK, other))["status"] == "completed"
        refused = await edge.admin("POST", "/faults", {"fault": "cancelled_task", "where": {"provider": GOOGLE}})
        assert refused.status == 400


@shows("full_progress")
async def test_full_progress() -> None:
    """The progress is 100 from the first query on; the status is as it would be."""
    async with world() as edge:
        task_id = await submitted(edge, EVOLINK)
        before = await shown(edge, EVOLINK, task_id)
        await put(edge, "full_progress", {"provider": EVOLINK})
        after = await shown(edge, EVOLINK, task_id)
        assert (before["progress"], after["progress"]) == (0, 100)
        assert {**after, "progress": 0} == before


@shows("stale_query")
async def test_stale_query() -> None:
    """For 20 s after the end, a query shows the task as it was in the millisecond before; then it shows the end."""
    async with world() as edge:
        await put(edge, "stale_query", {"provider": EVOLINK}, for_s=20)
        task_id = await submitted(edge, EVOLINK)
        task = edge.state(EVOLINK).tasks[task_id]
        await edge.advance((task.ends_ms - task.submitted_ms) / 1000 + 19)
        lagging = await shown(edge, EVOLINK, task_id)
        assert (lagging["status"], lagging.get("results")) == ("processing", None)
        await edge.advance(1)
        assert (await shown(edge, EVOLINK, task_id))["status"] == "completed"


@shows("early_unknown_event")
async def test_early_unknown_event() -> None:
    """The unknown event comes first; for 40 s the task is shown as running; then the end is told and shown."""
    async with world() as edge, receiving(edge=edge) as receiver:
        await put(edge, "early_unknown_event", {"provider": GOOGLE}, before_s=40)
        task_id = await submitted(edge, GOOGLE, hook=receiver.url("/hook"))
        task = edge.state(GOOGLE).tasks[task_id]
        await edge.advance((task.ends_ms - task.submitted_ms) / 1000 + 39)
        (unknown,) = [json.loads(got.body) for got in receiver.got]
        assert "reviewing" in unknown.values()
        assert (await shown(edge, GOOGLE, task_id))["status"] == "generating"
        await edge.advance(1)
        assert [json.loads(got.body)["event"] for got in receiver.got[1:]] == ["job.completed"]
        assert [each["faults"] for each in deliveries(edge)] == [["early_unknown_event"], []]
        assert (await shown(edge, GOOGLE, task_id))["status"] == "done"


@shows("reformatted_callback")
@pytest.mark.parametrize("style", ["indented", "escaped", "reordered"])
async def test_reformatted_callback(style: str) -> None:
    """The same JSON comes in other bytes, with the signature of these bytes."""
    async with world() as edge, receiving(edge=edge) as receiver:
        await put(edge, "reformatted_callback", {"provider": GOOGLE}, style=style)
        await submitted(edge, GOOGLE, hook=receiver.url("/hook"))
        await edge.advance(_LATER_S)
        (got,) = receiver.got
        value = json.loads(got.body)
        assert value["event"] == "job.completed"
        assert got.body != json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
        assert got.body != json.dumps(value).encode()
        wanted = hmac.new(b"mock-webhook-secret", got.body, hashlib.sha256).hexdigest()
        assert got.headers["X-Gemini-Signature"] == wanted


@shows("other_success")
async def test_other_success() -> None:
    """An accepted submit is answered with 202; a refused one keeps its status."""
    async with world() as edge:
        await put(edge, "other_success", {"provider": GOOGLE, "operation": "submit"})
        seen = await look(edge, submit_bytes(edge, GOOGLE))
        assert seen.status == 202
        assert seen.json["jobId"] in edge.state(GOOGLE).tasks
        assert (await look(edge, submit_bytes(edge, GOOGLE, model="none"))).status == 400


@shows("redirected")
async def test_redirected() -> None:
    """A query is redirected to the same target at another host name, where it is answered."""
    async with world() as edge:
        task_id = await submitted(edge, GOOGLE)
        await put(edge, "redirected", {"provider": GOOGLE, "operation": "query"})
        seen = await look(edge, query_bytes(edge, GOOGLE, task_id, headers={"Host": "127.0.0.1:4010"}))
        place = urlsplit(seen.header("Location") or "")
        assert (seen.status, place.netloc) == (307, "localhost:4010")
        assert place.path == edge.query_path(GOOGLE, task_id)
        headers = {**edge.key_headers(GOOGLE), "Host": place.netloc}
        assert (await look(edge, request_bytes("GET", place.path, headers=headers))).json["jobId"] == task_id


@shows("cut_file")
@pytest.mark.parametrize("ranges", ["works", "ignored"])
async def test_cut_file(ranges: str) -> None:
    """The first download breaks off in the middle; then Range gives the rest, or the whole file."""
    async with world() as edge:
        task_id = await submitted(edge, EVOLINK)
        await edge.advance(_LATER_S)
        (link,) = links_of(edge, EVOLINK, task_id)
        whole = (await look(edge, file_bytes(link))).body
        await put(edge, "cut_file", {"provider": EVOLINK}, ranges=ranges)
        cut = await look(edge, file_bytes(link))
        assert (cut.ending, cut.body) == ("closed", whole[: len(whole) // 2])
        rest = await look(edge, file_bytes(link, Range=f"bytes={len(cut.body)}-"))
        if ranges == "works":
            assert (rest.status, cut.body + rest.body) == (206, whole)
        else:
            assert (rest.status, rest.body) == (200, whole)


async def test_two_faults_that_lag_add_up() -> None:
    """A task is shown as running for as long as one of them says so; its file is there all the same."""
    async with world() as edge, receiving(edge=edge) as receiver:
        await put(edge, "early_unknown_event", {"provider": EVOLINK}, before_s=40)
        await put(edge, "stale_query", {"provider": EVOLINK}, for_s=20)
        task_id = await submitted(edge, EVOLINK, hook=receiver.url("/hook"))
        task = edge.state(EVOLINK).tasks[task_id]
        await edge.advance((task.ends_ms - task.submitted_ms) / 1000 + 39)
        assert (await shown(edge, EVOLINK, task_id))["status"] == "processing"
        assert (await look(edge, file_bytes(links_of(edge, EVOLINK, task_id)[0]))).status == 200
        await edge.advance(1)
        assert (await shown(edge, EVOLINK, task_id))["status"] == "completed"
