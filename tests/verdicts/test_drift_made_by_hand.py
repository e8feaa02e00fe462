"""`contracts drift`: what is no difference is not told, and what is has an edit that leaves a valid spec, or none."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import orjson
import pytest
from support.drifting import Records, day_of, drift, edited, found, saved, spec_of, told
from support.recorded import BODY, record

from contracts.drift import Difference, Edit, course
from mockserver.clock import instant_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ROUNDS = 4
PATH = "/v1/videos/generations"
PENDING = {"id": "task-unified-1", "status": "pending"}


async def polls(change: Callable[[dict[str, Any]], None]) -> Records:
    """Return a day at EvoLink with another body in each answer of a poll."""
    records = deepcopy(await day_of("evolink"))
    for each in records:
        if each.get("operation") == "getTask" and each["response"]["status"] == 200:
            answer = orjson.loads(each["response"]["body"])
            change(answer)
            text = orjson.dumps(answer).decode()
            each["response"] |= {"body": text, "body_bytes": len(text)}
    return records


def the(kind: str, records: Records) -> Difference:
    """Return the only difference of a kind."""
    (one,) = (each for each in found(records, spec_of("evolink")).all() if each.kind == kind)
    return one


async def test_what_the_recorder_has_answered_is_not_the_providers(tmp_path: Path) -> None:
    """`mockserver record` refuses submits beyond its limit in words of its own."""
    records = deepcopy((await day_of("evolink"))[:3])
    own = deepcopy(records[0]) | {"gate": "proxy", "error": "max_submits", "task": None, "seq": 4}
    text = "not sent: 1 submits have been recorded\n"
    own["response"] |= {"status": 403, "headers": [["Content-Type", "text/plain"]], "body": text}
    own["response"]["body_bytes"] = len(text)
    assert told([*records, own], spec_of("evolink")) == []
    assert drift(saved([own], tmp_path / "own.ndjson")).exit_code == 3


def _page(kind: str) -> dict[str, Any]:
    made: dict[str, Any] = record(1, 0, "GET", "/pricing", "<p>")
    made["response"]["headers"] = [["content-type", kind]]
    return made


@pytest.mark.parametrize(
    "other",
    [
        record(1, 0, "OPTIONS", PATH, "", status=204),
        record(1, 0, "GET", "/v1/tasks/task-unified-1", "", status=304),
        *map(_page, ("text/html; charset=utf-8", "text/css", "application/javascript", "image/png", "font/woff2")),
    ],
    ids=lambda each: f"{each['request']['method']} {each['response']['status']} {each['response']['headers'][0][1]}",
)
def test_what_http_and_sites_add_is_no_difference(other: dict[str, Any]) -> None:
    """A HAR file of a browser holds permissions, cached answers, and pages of the provider's site."""
    assert told([other], spec_of("evolink")) == []


def test_pseudo_headers_are_no_headers() -> None:
    """HAR files of HTTP/2 hold the status among the headers."""
    given = record(1, 0, "GET", "/v1/credits", {"error": {}}, status=401)
    given["response"]["headers"] = [
        [":status", "401"],
        ["x-request-id", "req_0123456789abcdef01234567"],
        ["content-type", "application/json"],
    ]
    assert [each for each in told([given], spec_of("evolink")) if each.startswith("headers")] == []


@pytest.mark.parametrize("keys", [1, 2])
def test_each_key_has_its_own_limit(keys: int) -> None:
    """What two keys of a HAR file have sent is not counted as of one."""
    spec = spec_of("googlegeminiomni")
    most = max(sum(most for _, most, _ in plan.request_limits[:1]) for plan in spec.provider.plans.values())
    records = []
    for number in range(2 * most):
        made = record(
            number + 1, number / 10, "POST", "/api/v1/generate", {"jobId": f"job_{number}"}, body={}, status=202
        )
        made["host"], made["url"] = "googlegeminiomni.com", "https://googlegeminiomni.com/api/v1/generate"
        made["request"]["headers"] = [["Authorization", f"Bearer sk-real-and-secret-{number % keys}"]]
        records.append(made)
    assert ("limits" in {each.kind for each in found(records, spec).all()}) == (keys == 1)


async def test_polls_at_the_same_time_are_in_the_order_of_their_requests() -> None:
    """A poll that was sent before the last one and answered after it shows no way back."""
    records = deepcopy(await day_of("evolink"))
    ended = next(
        number
        for number, each in enumerate(records)
        if each.get("operation") == "getTask" and '"completed"' in each["response"]["body"]
    )
    before = max(number for number in range(ended) if records[number].get("operation") == "getTask")
    records[before], records[ended] = records[ended], records[before]
    for number, each in enumerate(records, 1):
        each["seq"] = number
    assert told(records, spec_of("evolink")) == []


async def test_an_excluded_field_is_named() -> None:
    """The schema excludes results without a success, with `results: false`."""
    records = await polls(
        lambda body: body.update(results=["https://x/0.mp4"]) if body["status"] == "processing" else None
    )
    difference = the("fields", records)
    assert difference.seen == "getTask 200: results is there"
    assert difference.place.pointer.endswith("/properties/results")
    assert told(records, edited(spec_of("evolink"), [difference])) == []


@pytest.mark.parametrize(("state", "low", "high"), [("queued", 0, 20), ("finishing", 60, 99)])
async def test_a_new_state_fits_between_the_others(state: str, low: int, high: int) -> None:
    """The edits end in a valid spec without a difference, whatever progress the state shows."""

    def change(body: dict[str, Any]) -> None:
        if body["status"] == "processing" and low <= body["progress"] <= high:
            body["status"] = state

    records, spec = await polls(change), spec_of("evolink")
    for _ in range(_ROUNDS):
        left = found(records, spec).all()
        spec = edited(spec, left)
    assert told(records, spec) == []
    assert state in [each.name for each in spec.provider.lifecycle.states]


async def test_another_end_is_no_state_that_lasts() -> None:
    """Where the lifecycle has no place for it, no edit is proposed, and its callbacks are not early."""

    def change(body: dict[str, Any]) -> None:
        if body["status"] == "completed" and body["created"] < first_s + 1000:
            del body["results"]
            body.update(status="expired", error={"code": "too_old", "message": "Too old"})

    first_s = instant_of((await day_of("evolink"))[0]["at"]) // 1000
    records = await polls(change)
    assert the("states", records).proposal is None
    assert {each.kind for each in found(records, spec_of("evolink")).all()} == {"fields", "values", "states"}


async def test_an_end_with_another_name_is_one_difference() -> None:
    """In queries and callbacks alike; the callback of an end that has another name is not early."""
    records = await polls(lambda body: body.update(status="done") if body["status"] == "completed" else None)
    for each in records:
        if each["kind"] == "delivery":
            each["request"]["body"] = each["request"]["body"].replace('"completed"', '"done"')
    assert the("states", records).seen == "the state 'completed' is called 'done'"
    assert not [each for each in told(records, spec_of("evolink")) if each.startswith("callbacks")]


async def test_a_callback_for_what_is_no_end_has_no_edit() -> None:
    """Specs have events for ends only."""
    day = await day_of("evolink")
    records = [{**each, "event": "halfway"} if each["kind"] == "delivery" else each for each in day]
    assert the("callbacks", records).proposal is None


def test_an_edit_that_changes_nothing_is_none() -> None:
    """It would send its reader round in a circle."""
    place = spec_of("evolink").mock.at("callbacks", "retry_after_s")
    assert Difference("callbacks", "", "", place, lambda _: Edit(place, [1, 2, 4])).proposal is None
    assert Difference("callbacks", "", "", place, lambda _: Edit(place, [1, 2])).proposal is not None


def test_a_header_is_called_by_its_name() -> None:
    """Its value is no body."""
    given = record(1, 0, "GET", "/v1/credits", {"error": {}}, status=401)
    given["response"]["headers"] = [["x-request-id", "1"], ["content-type", "application/json"]]
    assert "headers: the header X-Request-Id is '1'" in told([given], spec_of("evolink"))


@pytest.mark.parametrize(("part", "name"), [("", "seq"), ("response", "status")])
async def test_what_is_no_number_is_refused_in_one_line(tmp_path: Path, part: str, name: str) -> None:
    """A journal by another hand: exit code 2."""
    broken = deepcopy((await day_of("evolink"))[0])
    (broken[part] if part else broken)[name] = "200"
    said = drift(saved([broken], tmp_path / "run.ndjson"))
    assert (said.exit_code, len(said.stderr.splitlines())) == (2, 1)
    assert "is not a whole number" in said.stderr


async def test_an_unknown_state_is_looked_into_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a long journal shows it."""
    records = await polls(lambda body: body.update(status="odd") if body["status"] == "processing" else None)
    looked = Mock(wraps=course._with_state)
    monkeypatch.setattr(course, "_with_state", looked)
    assert the("states", records).count > 10
    assert looked.call_count <= 2


@pytest.mark.parametrize(("late_s", "is_told"), [(8, False), (40, True)])
def test_a_submit_may_be_answered_late(late_s: int, is_told: bool) -> None:
    """A task begins when its submit is answered, at the earliest when it was sent: only polls bound its first state."""
    records = [
        record(1, 0, "POST", PATH, PENDING, body=BODY),
        record(2, 8, "GET", f"/v1/tasks/{PENDING['id']}", PENDING),
        record(3, late_s + 1, "GET", f"/v1/tasks/{PENDING['id']}", PENDING),
    ]
    kinds = {each.kind for each in found(records, spec_of("evolink")).all()}
    assert ("durations" in kinds) == is_told
