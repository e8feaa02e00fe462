"""Faults of the family `meaning`: answers that are whole, and say something else than a client counts on."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from support.edge import Edge, nothing_logged, receiving, request_bytes
from support.faults import (
    Seen,
    deliveries,
    exchanges,
    faults_in,
    ledgers,
    look,
    put,
    query_bytes,
    rule,
    shows,
    submit_bytes,
    submitted,
    world,
)

HOUR = 3600


async def shown(edge: Edge, name: str, task_id: str, **headers: str) -> Any:
    """Return what the query says of a task."""
    seen = await look(edge, query_bytes(edge, name, task_id, headers=headers))
    assert (seen.status, seen.ending) == (200, "kept")
    return seen.json


def list_bytes(edge: Edge) -> bytes:
    """Write the request for the list of the kiln's pieces."""
    return request_bytes("GET", edge.path_of("kiln", "list"), headers=edge.key_headers("kiln"))


# -- the course of a task -------------------------------------------------------------------------


@shows("fail")
@pytest.mark.parametrize("way", ["rule", "header", "test value"])
async def test_fail(way: str) -> None:
    """The task fails where its reason comes and says why; nothing is spent; the next task succeeds."""
    with nothing_logged():
        async with world() as edge:
            headers, words = {}, "A red kite"
            if way == "rule":
                await put(edge, "fail", {"provider": "evolink"}, {"times": 1}, reason="resource_exhausted")
            elif way == "header":
                headers = {"X-Mock-Fault": "fail;reason=resource_exhausted"}
            else:
                words = "A red kite mock:fail=resource_exhaustedx1"
            task_id = await submitted(edge, "evolink", words, headers=headers)
            other = await submitted(edge, "evolink", words)
            task = edge.state("evolink").tasks[task_id]
            half_s = (task.due_ms - task.submitted_ms) // 2 / 1000
            await edge.advance(half_s - 0.001)
            assert (await shown(edge, "evolink", task_id))["status"] == "processing"
            await edge.advance(0.001)
            answer = await shown(edge, "evolink", task_id)
            assert answer["status"] == "failed"
            assert answer["error"] == {"code": "resource_exhausted", "message": "No capacity is left for now"}
            assert 0 < answer["progress"] < 99
            await edge.advance(100)
            assert (await shown(edge, "evolink", other))["status"] == "completed"
            (ledger,) = (await ledgers(edge)).values()
            kinds = {each["kind"] for each in ledger["ledger"] if each["task"] == task_id}
            assert kinds == {"reserve", "refund"}
            for record in exchanges(edge):
                assert record["faults"] == (["fail"] if record["task"] == task_id else [])


#: Words for a reason, and the code that comes of each.
REASONS = {
    "": "service_error",
    "generation_timeout": "generation_timeout",
    "content_policy": "content_policy_violation",
    "solar_flare": "solar_flare",
}


@shows("fail")
@pytest.mark.parametrize(("word", "code"), REASONS.items())
async def test_fail_by_a_word(word: str, code: str) -> None:
    """A reason is named by its code or its beginning; the default is the first; an unknown one is used as given."""
    async with world() as edge:
        await put(edge, "fail", reason=word)
        task_id = await submitted(edge, "evolink")
        await edge.advance(200)
        assert (await shown(edge, "evolink", task_id))["error"]["code"] == code


@shows("fail")
@pytest.mark.parametrize(("stage", "after_s"), [(0, 0), (0.25, 30), (1, 120)])
async def test_fail_at_a_stage(stage: float, after_s: float) -> None:
    """The task fails as far on its way as is said, from the submit itself to where it would have succeeded."""
    async with world() as edge:
        await put(edge, "fail", stage=stage)
        task_id = await submitted(edge, "kiln")
        if after_s:
            await edge.advance(after_s - 0.001)
            assert (await shown(edge, "kiln", task_id))["stage"] in ("firing", "cooling")
            await edge.advance(0.001)
        answer = await shown(edge, "kiln", task_id)
        assert (answer["stage"], answer["why"]) == ("cracked", "shock")


@shows("charged_failure")
async def test_charged_failure() -> None:
    """The task fails, and costs what its success would have cost; the ledger says so and is balanced."""
    async with world() as edge:
        await put(edge, "charged_failure", {"provider": "evolink"}, {"times": 1}, reason="unknown_error")
        failing = await submitted(edge, "evolink")
        other = await submitted(edge, "evolink")
        await edge.advance(200)
        answer = await shown(edge, "evolink", failing)
        assert (answer["status"], answer["error"]["code"]) == ("failed", "unknown_error")
        assert (await shown(edge, "evolink", other))["status"] == "completed"
        (ledger,) = (await ledgers(edge)).values()
        spent = {each["task"]: each["credits"] for each in ledger["ledger"] if each["kind"] == "settle"}
        assert spent == {failing: 35.15, other: 35.15}
        assert ledger["account"]["spent_credits"] == pytest.approx(2 * 35.15)


@shows("charged_failure")
async def test_a_cancelled_task_is_not_charged() -> None:
    """Only the failure costs: a client that cancels the task before has its credits back."""
    async with world() as edge:
        await put(edge, "charged_failure")
        task_id = await submitted(edge, "kiln")
        path = edge.query_path("kiln", task_id)
        seen = await look(edge, request_bytes("DELETE", path, headers=edge.key_headers("kiln")))
        assert seen.json["stage"] == "withdrawn"
        (ledger,) = (await ledgers(edge)).values()
        assert (ledger["account"]["spent_credits"], ledger["account"]["reserved_credits"]) == (0, 0)


@shows("stuck")
@pytest.mark.parametrize(("state", "is_"), [("", "cooling"), ("drying", "drying"), ("firing", "firing")])
async def test_stuck(state: str, is_: str) -> None:
    """The task comes to the state at its time, stays for ever, sends no callback, and keeps its credits reserved."""
    with nothing_logged():
        async with world() as edge, receiving() as receiver:
            made = await put(edge, "stuck", {"provider": "kiln"}, {"times": 1}, state=state)
            task_id = await submitted(edge, "kiln", hook=receiver.url())
            entered_s = {"drying": 0, "firing": 10, "cooling": 110}[is_]
            if entered_s:
                await edge.advance(entered_s - 0.001)
                assert (await shown(edge, "kiln", task_id))["stage"] != is_
                await edge.advance(0.001)
            answers = []
            for seconds in (0, 5, 100, 86_400):
                await edge.advance(seconds)
                answers.append(await shown(edge, "kiln", task_id))
            assert answers[0]["stage"] == is_
            assert [each["percent"] for each in answers] == [{"drying": 0, "firing": 0, "cooling": 90}[is_]] * 4
            assert answers[1:] == answers[:1] * 3
            assert receiver.got == []
            (ledger,) = (await ledgers(edge)).values()
            assert ledger["account"]["running_tasks"] == 1
            assert ledger["account"]["reserved_credits"] == 10
            assert (await rule(edge, made["id"]))["hits"] == 1
            assert (await edge.admin("POST", f"/tasks/{task_id}/release")).status == 200
            await edge.advance(120)
            assert (await shown(edge, "kiln", task_id))["stage"] == "glazed"
            assert [each["faults"] for each in deliveries(edge)] == [["stuck"]]
            await ledgers(edge)


@shows("stuck", "fail")
@pytest.mark.parametrize("faults", [("fail", "stuck"), ("stuck", "fail")])
async def test_a_task_that_fails_before_it_would_be_stuck(faults: tuple[str, str]) -> None:
    """It ends when it ends: it is told, its credits come back, and it is not running any more."""
    async with world() as edge, receiving(edge=edge) as receiver:
        for fault in faults:
            given: dict[str, Any] = {"stage": 0.5} if fault == "fail" else {}
            await put(edge, fault, **given)
        start_ms = edge.mock.clock.now_ms
        task_id = await submitted(edge, "kiln", hook=receiver.url())
        await edge.advance(HOUR)
        assert (await shown(edge, "kiln", task_id))["stage"] == "cracked"
        (got,) = receiver.got
        assert got.at_ms == start_ms + 60_000
        (ledger,) = (await ledgers(edge)).values()
        assert (ledger["account"]["running_tasks"], ledger["account"]["reserved_credits"]) == (0, 0)


@shows("skipped_state")
@pytest.mark.parametrize(
    ("state", "stages"),
    [
        ("", [(0, "drying"), (10, "firing"), (110, "glazed")]),
        ("drying", [(0, "firing"), (100, "cooling"), (110, "glazed")]),
        ("firing", [(0, "drying"), (10, "cooling"), (20, "glazed")]),
    ],
)
async def test_skipped_state(state: str, stages: list[tuple[int, str]]) -> None:
    """The state is left as it is entered: no query sees it, and all that follows comes so much earlier."""
    async with world() as edge, receiving(edge=edge) as receiver:
        await put(edge, "skipped_state", {"provider": "kiln"}, {"times": 1}, state=state)
        start_ms = edge.mock.clock.now_ms
        task_id = await submitted(edge, "kiln", hook=receiver.url())
        other = await submitted(edge, "kiln")
        seen: list[tuple[int, str]] = []
        for second in range(121):
            stage = (await shown(edge, "kiln", task_id))["stage"]
            if not seen or seen[-1][1] != stage:
                seen.append((second, stage))
            await edge.advance(1)
        assert seen == stages
        (got,) = receiver.got
        assert got.at_ms == start_ms + stages[-1][0] * 1000
        assert edge.state("kiln").tasks[other].ends_ms == start_ms + 120_000
        await ledgers(edge)


@shows("skipped_state", "fail")
@pytest.mark.parametrize(
    ("state", "stage", "fails_s"),
    [("cooling", 0.5, 60), ("firing", 0.5, 10), ("drying", 0.5, 50), ("firing", 0.95, 14)],
)
async def test_skipped_state_of_a_failing_task(state: str, stage: float, fails_s: int) -> None:
    """A failure comes earlier by as much of the skipped state as lay before it, and no more."""
    async with world() as edge:
        await put(edge, "fail", stage=stage)
        await put(edge, "skipped_state", state=state)
        start_ms = edge.mock.clock.now_ms
        task_id = await submitted(edge, "kiln")
        assert edge.state("kiln").tasks[task_id].ends_ms == start_ms + fails_s * 1000
        await edge.advance(fails_s)
        assert (await shown(edge, "kiln", task_id))["stage"] == "cracked"


@shows("overdue")
@pytest.mark.parametrize("way", ["rule", "test value", "header"])
async def test_overdue(way: str) -> None:
    """The last state goes on for so much longer, the end and its callback come so much later."""
    async with world() as edge, receiving(edge=edge) as receiver:
        headers, words = {}, "A bowl"
        if way == "rule":
            await put(edge, "overdue", {"provider": "kiln"}, {"times": 1}, by_s=90.5)
        elif way == "header":
            headers = {"X-Mock-Fault": "overdue;by_s=90.5s"}
        else:
            words = "A bowl. mock:slow=90.5s"
        start_ms = edge.mock.clock.now_ms
        task_id = await submitted(edge, "kiln", words, receiver.url(), headers=headers)
        other = await submitted(edge, "kiln")
        await edge.advance(109.999)
        assert (await shown(edge, "kiln", task_id))["stage"] == "firing"
        await edge.advance(100.5)
        answer = await shown(edge, "kiln", task_id)
        assert (answer["stage"], answer["percent"]) == ("cooling", 98)
        assert (await shown(edge, "kiln", other))["stage"] == "glazed"
        assert receiver.got == []
        await edge.advance(0.001)
        assert (await shown(edge, "kiln", task_id))["stage"] == "glazed"
        (got,) = receiver.got
        assert got.at_ms == start_ms + 210_500
        await ledgers(edge)


# -- what is shown of it --------------------------------------------------------------------------


@shows("replication_lag")
@pytest.mark.parametrize("name", ["evolink", "kiln", "crun"])
async def test_replication_lag(name: str) -> None:
    """For its seconds a new task is not found, in the very words for one that does not exist; then it is."""

    async def run(*, lag: bool) -> list[Seen]:
        async with world() as edge:
            if lag:
                await put(edge, "replication_lag", {"provider": name})
            task_id = await submitted(edge, name)
            missing = task_id[:-1] + ("a" if task_id[-1] != "a" else "b")
            seen: list[Any] = []
            for seconds in (0, 2.999, 0.001):
                await edge.advance(seconds)
                asked = missing if not lag and len(seen) < 2 else task_id
                seen.append(await look(edge, query_bytes(edge, name, asked)))
            if lag:
                assert faults_in(exchanges(edge)) == [[], ["replication_lag"], ["replication_lag"], []]
                assert [each["task"] for each in exchanges(edge)] == [task_id] * 4
            await ledgers(edge)
            return seen

    lagging = await run(lag=True)
    assert [seen.status for seen in lagging] == [404, 404, 200]
    assert lagging == await run(lag=False)


@shows("replication_lag")
async def test_replication_lag_of_a_cancel() -> None:
    """A task that is not found cannot be cancelled either; the list has it, though."""
    async with world() as edge:
        await put(edge, "replication_lag", for_s=5)
        task_id = await submitted(edge, "kiln")
        cancel = request_bytes("DELETE", edge.query_path("kiln", task_id), headers=edge.key_headers("kiln"))
        assert (await look(edge, cancel)).status == 404
        assert (await look(edge, list_bytes(edge))).json["total"] == 1
        await edge.advance(5)
        assert (await look(edge, cancel)).json["stage"] == "withdrawn"


@shows("late_url")
@pytest.mark.parametrize(("name", "ends_s"), [("kiln", 120), ("evolink", None), ("googlegeminiomni", None)])
async def test_late_url(name: str, ends_s: int | None) -> None:
    """From the end on the answer says success and has no links, for the seconds that are said; then it has them."""
    async with world() as edge:
        await put(edge, "late_url", {"provider": name}, for_s=10)
        task_id = await submitted(edge, name)
        task = edge.state(name).tasks[task_id]
        took_s = (task.ends_ms - task.submitted_ms) / 1000
        assert ends_s in (None, took_s)
        await edge.advance(took_s)
        bodies = []
        for seconds in (0, 9.999, 0.001):
            await edge.advance(seconds)
            answer = await shown(edge, name, task_id)
            assert task.end.name in answer.values()
            bodies.append(orjson.dumps(answer))
        assert [b"http://127.0.0.1:4010/" in body for body in bodies] == [False, False, True]
        assert faults_in(exchanges(edge)) == [[], ["late_url"], ["late_url"], []]


@shows("late_url")
async def test_two_late_urls() -> None:
    """Of two such faults the longer one counts, whichever was put in force last."""
    async with world() as edge:
        for seconds in (20, 5):
            await put(edge, "late_url", {"provider": "kiln"}, for_s=seconds)
        task_id = await submitted(edge, "kiln")
        await edge.advance(139.999)
        assert (await shown(edge, "kiln", task_id))["files"] == []
        await edge.advance(0.001)
        assert len((await shown(edge, "kiln", task_id))["files"]) == 2


@shows("unknown_status")
async def test_unknown_status() -> None:
    """On its way the task is shown with the word, everywhere; its end is the provider's own word."""
    async with world() as edge:
        await put(edge, "unknown_status", {"provider": "kiln"}, word="pondering")
        seen = await look(edge, submit_bytes(edge, "kiln"))
        task_id = seen.json["ticket"]
        stages = [seen.json["stage"]]
        for seconds in (0, 10, 100, 10):
            await edge.advance(seconds)
            stages.append((await shown(edge, "kiln", task_id))["stage"])
        assert stages == ["pondering"] * 4 + ["glazed"]
        assert (await edge.admin("GET", f"/tasks/{task_id}")).json["status"] == "glazed"
        task_id = await submitted(edge, "kiln")
        assert [each["stage"] for each in (await look(edge, list_bytes(edge))).json["pieces"]] == [
            "pondering",
            "glazed",
        ]
        assert faults_in(exchanges(edge)) == [["unknown_status"]] * 4 + [[]] + [["unknown_status"]] * 2


@shows("status_case")
@pytest.mark.parametrize(
    ("case", "word", "end"), [("upper", "PENDING", "COMPLETED"), ("capital", "Pending", "Completed")]
)
async def test_status_case(case: str, word: str, end: str) -> None:
    """Every status is written in the case that is asked for; what is no status is left alone."""
    async with world() as edge:
        await put(edge, "status_case", {"provider": "evolink"}, case=case)
        seen = await look(edge, submit_bytes(edge, "evolink"))
        assert (seen.json["status"], seen.json["object"]) == (word, "video.generation.task")
        answer = await shown(edge, "evolink", seen.json["id"])
        assert (answer["status"], answer["type"]) == (word, "video")
        await edge.advance(100)
        assert (await shown(edge, "evolink", seen.json["id"]))["status"] == end
        assert faults_in(exchanges(edge)) == [["status_case"]] * 3


@shows("older_status")
async def test_older_status() -> None:
    """Where the spec knows an older word for a state, that is shown; all other words stay."""
    async with world() as edge:
        made = await put(edge, "older_status")
        seen = await look(edge, submit_bytes(edge, "toapis"))
        assert seen.json["status"] == "submitted"
        statuses = []
        for seconds in (0, 30, 200):
            await edge.advance(seconds)
            statuses.append((await shown(edge, "toapis", seen.json["id"]))["status"])
        assert statuses == ["submitted", "in_progress", "completed"]
        await submitted(edge, "evolink")
        assert faults_in(exchanges(edge))[:4] == [["older_status"], ["older_status"], [], []]
        assert faults_in(exchanges(edge))[4:] == [[]]
        assert (await rule(edge, made["id"]))["hits"] == 2


@shows("model_echo")
async def test_model_echo() -> None:
    """Wherever the answer names the model, at the top or deep down, it has the other name; the task has its own."""
    async with world() as edge:
        await put(edge, "model_echo", name_as="omni-internal-7")
        seen = await look(edge, submit_bytes(edge, "evolink"))
        assert seen.json["model"] == "omni-internal-7"
        assert (await shown(edge, "evolink", seen.json["id"]))["model"] == "omni-internal-7"
        task_id = await submitted(edge, "crun")
        answer = (await shown(edge, "crun", task_id))["data"]
        assert (answer["param"]["model"], answer["model_version"]) == ("omni-internal-7", "gemini-omni")
        task = (await edge.admin("GET", f"/tasks/{task_id}")).json
        assert (task["model"], task["request"]["model"]) == ("google/gemini-omni", "google/gemini-omni")
        assert faults_in(exchanges(edge)) == [["model_echo"], ["model_echo"], [], ["model_echo"]]


@shows("progress_back")
async def test_progress_back() -> None:
    """Every second answer about a task on its way shows less than the one before, however many tasks take turns."""
    async with world() as edge:
        await put(edge, "progress_back", {"operation": "query"}, by_percent=15)
        tasks = [await submitted(edge, "kiln") for _ in range(3)]
        shows_: dict[str, list[int]] = {task: [] for task in tasks}
        for _ in range(12):
            await edge.advance(10)
            for task in tasks:
                shows_[task].append((await shown(edge, "kiln", task))["percent"])
        for series in shows_.values():
            # From 10 s on the truth (9 percent in 10 s) and less than the last time take turns.
            assert series == [0, 9, 0, 27, 12, 45, 30, 63, 48, 81, 66, 100]


@shows("progress_back")
async def test_progress_back_is_named_where_it_goes_back() -> None:
    """The answers that tell the truth are not named, nor those of tasks that have ended."""
    async with world() as edge:
        await put(edge, "progress_back")
        task_id = await submitted(edge, "kiln")
        for seconds in (30, 10, 10, 10, 100, 10):
            await edge.advance(seconds)
            await look(edge, list_bytes(edge))
            await shown(edge, "kiln", task_id)
        back = ["progress_back"]
        assert faults_in(exchanges(edge)) == [[]] + [[], back] * 4 + [[], []] * 2


# -- fields ---------------------------------------------------------------------------------------


@shows("extra_fields")
async def test_extra_fields() -> None:
    """Every object in the answer, however deep, has one more field; nothing else differs."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            assert value["x_new"] == {"version": 2, "tags": ["a", None]}
            return {key: without(each) for key, each in value.items() if key != "x_new"}
        return [without(each) for each in value] if isinstance(value, list) else value

    async with world() as edge:
        task_id = await submitted(edge, "crun")
        before = await shown(edge, "crun", task_id)
        made = await put(edge, "extra_fields", field="x_new")
        after = await shown(edge, "crun", task_id)
        assert list(after) == [*before, "x_new"]
        assert without(after) == before
        await edge.admin("DELETE", f"/faults/{made['id']}")
        assert await shown(edge, "crun", task_id) == before
        headers = {"X-Mock-Fault": "extra_fields;field=x_new"}
        assert await shown(edge, "crun", task_id, **headers) == after


#: A pointer into crun's answer, and what null_field and other_type make of what is there.
FIELDS: list[tuple[str, Any, Any]] = [
    ("/data/status", None, ["pending"]),
    ("/code", None, "200"),
    ("/data/param/input/duration", None, "4"),
    ("/data/param", None, {"value": {"model": "google/gemini-omni"}}),
]


def at(value: Any, pointer: str) -> Any:
    """Return what a pointer leads to."""
    for key in pointer[1:].split("/"):
        value = value[key]
    return value


@shows("null_field", "other_type")
@pytest.mark.parametrize(("pointer", "nothing", "other"), FIELDS)
async def test_one_field(pointer: str, nothing: Any, other: Any) -> None:
    """The field that is pointed to is null, or of another type; every other field is as it was."""
    async with world() as edge:
        task_id = await submitted(edge, "crun")
        before = await shown(edge, "crun", task_id)
        for fault, expected in (("null_field", nothing), ("other_type", other)):
            made = await put(edge, fault, {"operation": "query"}, field=pointer)
            after = await shown(edge, "crun", task_id)
            found = at(after, pointer)
            if isinstance(expected, dict):
                assert found == {"value": at(before, pointer)}
            else:
                assert found == expected
            assert differences(before, after) == [pointer]
            await edge.admin("DELETE", f"/faults/{made['id']}")
        assert faults_in(exchanges(edge)) == [[], [], ["null_field"], ["other_type"]]


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Return the pointers at which two values differ, no deeper than where one of them is no object."""
    if not isinstance(before, dict) or not isinstance(after, dict) or before.keys() != after.keys():
        return [] if before == after else [place]
    return [found for key in before for found in differences(before[key], after[key], f"{place}/{key}")]


@shows("null_field", "other_type")
@pytest.mark.parametrize("fault", ["null_field", "other_type"])
async def test_a_drawn_field(fault: str) -> None:
    """Without a pointer the field is drawn each time: not always the same one, but the same ones with the same seed."""

    async def run(seed: int) -> list[str]:
        async with world(seed=seed) as edge:
            task_id = await submitted(edge, "crun")
            before = await shown(edge, "crun", task_id)
            await put(edge, fault, {"operation": "query"})
            drawn = [differences(before, await shown(edge, "crun", task_id)) for _ in range(12)]
            assert all(len(each) == 1 for each in drawn)
            return [each[0] for each in drawn]

    first = await run(1)
    assert len(set(first)) > 3
    assert await run(1) == first
    assert await run(2) != first


@shows("other_type")
async def test_truths_become_texts() -> None:
    """A truth becomes the text that JSON writes it with, a null the text null."""
    async with world() as edge:
        task_id = await submitted(edge, "evolink")
        asked = {"X-Mock-Fault": "other_type;field=/task_info/can_cancel"}
        assert (await shown(edge, "evolink", task_id, **asked))["task_info"] == {"can_cancel": "false"}
        task_id = await submitted(edge, "crun")
        asked = {"X-Mock-Fault": "other_type;field=/data/result"}
        assert (await shown(edge, "crun", task_id, **asked))["data"]["result"] == "null"


@shows("null_field", "other_type")
@pytest.mark.parametrize("fault", ["null_field", "other_type"])
async def test_a_pointer_that_leads_nowhere(fault: str) -> None:
    """An answer without the field is as ever, and not counted."""
    async with world() as edge:
        task_id = await submitted(edge, "evolink")
        before = await shown(edge, "evolink", task_id)
        made = await put(edge, fault, field="/results/0")
        assert await shown(edge, "evolink", task_id) == before
        counted = await rule(edge, made["id"])
        assert (counted["matches"], counted["hits"]) == (1, 0)
        assert faults_in(exchanges(edge)) == [[], [], []]
        await edge.advance(100)
        after = await shown(edge, "evolink", task_id)
        assert after["results"] == ([None] if fault == "null_field" else [[after["results"][0][0]]])
        assert faults_in(exchanges(edge))[-1] == [fault]
