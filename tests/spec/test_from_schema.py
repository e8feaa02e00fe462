"""`reply: from-schema`: which field shows what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.small import PATH, START_MS, Small, issues, spec, submit

from mockserver.clock import iso_of
from mockserver.provider import ProviderRules
from mockserver.spec.document import merge_patch

if TYPE_CHECKING:
    from pathlib import Path

FAILING = ProviderRules(failure_rate=1)
TEXT, NUMBER, WHOLE, FLAG = {"type": "string"}, {"type": "number"}, {"type": "integer"}, {"type": "boolean"}
TIME = {"type": "string", "format": "date-time"}
START_S = START_MS // 1000
STARTS, ENDS = iso_of(START_MS, digits=0), iso_of(START_MS + 100_000, digits=0)


def none(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows null besides."""
    return {"anyOf": [schema, {"type": "null"}]}


def of(*required: str, **fields: Any) -> dict[str, Any]:
    """Return the schema of an object."""
    return {"type": "object", "required": list(required), "properties": fields}


LINK = "http://mock.test/small/files/job-x/0"
#: A schema, and its answers: queued at 0 s, running, succeeded at 100 s; failed.
SCHEMAS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "video": (
        of(
            *(
                "id",
                "object",
                "status",
                "progress",
                "created_at",
                "completed_at",
                "error",
                "seconds",
                "model",
                "remixed_from_video_id",
            ),
            id=TEXT,
            object={"const": "video"},
            status={"enum": ["queued", "in_progress", "completed", "failed"]},
            progress=WHOLE,
            created_at=WHOLE,
            completed_at=none(WHOLE),
            expires_at=none(WHOLE),
            error=none(of("code", "message", code=TEXT, message=TEXT)),
            seconds=TEXT,
            model=TEXT,
            remixed_from_video_id=none(TEXT),
        ),
        [
            {"status": "queued", "progress": 0, "completed_at": None, "error": None, "remixed_from_video_id": None},
            {"status": "in_progress", "progress": 45, "completed_at": None, "error": None},
            {"status": "completed", "progress": 100, "completed_at": START_S + 100, "expires_at": START_S + 160},
            {"status": "failed", "error": {"code": "broken", "message": "It broke."}},
        ],
    ),
    "operation": (
        of(
            "name",
            name=TEXT,
            done=FLAG,
            response=of(video=of("uri", uri=TEXT)),
            error=of(code=WHOLE, message=TEXT),
        ),
        [
            {"name": ..., "done": False},
            {"name": ..., "done": False},
            {"name": ..., "done": True, "response": {"video": {"uri": LINK}}},
            {"name": ..., "done": True, "error": {"message": "It broke."}},
        ],
    ),
    "nested": (
        of(
            *("request_id", "output"),
            request_id=TEXT,
            output=of(
                *("task_id", "task_status"),
                task_id=TEXT,
                task_status={"enum": ["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"]},
                submit_time=TIME,
                end_time=TIME,
                video_url=TEXT,
                code=TEXT,
                error_message=TEXT,
            ),
        ),
        [
            {"output": {"task_id": ..., "task_status": "PENDING", "submit_time": STARTS}},
            {"output": {"task_id": ..., "task_status": "RUNNING", "submit_time": STARTS}},
            {"output": {"task_status": "SUCCEEDED", "video_url": LINK, "end_time": ENDS}},
            {"output": {"task_status": "FAILED", "error_message": "It broke."}},
        ],
    ),
    "lists": (
        of(
            *("taskId", "state", "images", "urls"),
            taskId=TEXT,
            state=TEXT,
            images={"type": "array", "items": of("url", url=TEXT, content_type=TEXT, bytesBase64Encoded=TEXT)},
            urls={"type": "array", "items": TEXT},
            statusUrl=TEXT,
        ),
        [
            {"state": "queued", "images": [], "urls": []},
            {"state": "running", "images": [], "urls": []},
            {
                "state": "succeeded",
                "images": [{"url": LINK, "content_type": "video/mp4", "bytesBase64Encoded": ...}],
                "urls": [LINK],
            },
            {"state": "failed", "images": [], "urls": [], "statusUrl": "http://mock.test/small/jobs/job-x"},
        ],
    ),
}
FILES: dict[str, Any] = {
    "/files/{task_id}/{index}": {
        "parameters": [{**PATH[0], "name": "task_id"}, {**PATH[0], "name": "index"}],
        "get": {
            "operationId": "getFile",
            "security": [],
            "responses": {"200": {"description": "It"}},
            "x-mock": {"role": "result"},
        },
    }
}
RESULTS = {"results": {"video": {"media": "video/mp4", "path": "/files/{task_id}/{index}", "lifetime_s": 60}}}


def answering(schema: Any, reply: Any = "from-schema", **mock: Any) -> dict[str, Any]:
    """Return a spec with a query whose answer has this schema."""
    content = {"application/json": {"schema": schema}}
    query = {
        "operationId": "getJob",
        "responses": {"200": {"description": "The job", "content": content}},
        "x-mock": {"role": "query", "task": "$request.path.id", "reply": reply},
    }
    asked = {"application/json": {"schema": of(seconds={"type": "string", "default": "4"})}}
    job = {"/jobs": submit(content=asked), "/jobs/{id}": {"parameters": PATH, "get": query}}
    return spec({**job, **FILES}, {**RESULTS, **mock})


def same(shown: Any, expected: Any) -> bool:
    """Compare what is expected; `...` is anything."""
    if isinstance(expected, dict):
        return isinstance(shown, dict) and all(key in shown and same(shown[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return isinstance(shown, list) and len(shown) == len(expected) and all(map(same, shown, expected))
    return expected is ... or shown == expected


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_answer_is_filled_from_its_schema(tmp_path: Path, name: str) -> None:
    """By the names and types of its fields, in each state; what is required is there."""
    schema, expected = SCHEMAS[name]
    shown = []
    for rules, times_s in ((None, (0, 55, 100)), (FAILING, (100,))):
        small = Small(tmp_path, answering(schema), rules)
        job = small.json("POST", "/jobs", {})["id"]
        shown += [_named(small.json("GET", f"/jobs/{job}", at_s=at_s), job) for at_s in times_s]
    for each, wanted in zip(shown, expected, strict=True):
        assert same(each, wanted), (each, wanted)
        assert set(schema["required"]) <= set(each) <= set(schema["properties"])
    assert shown[2].get("error") is None


def test_ends_may_be_in_their_short_form(tmp_path: Path) -> None:
    """An end that is its kind alone fills the same fields."""
    data = answering(SCHEMAS["video"][0])
    data["x-mock"] = merge_patch(data["x-mock"], {"lifecycle": {"ends": {"succeeded": None, "failed": None}}})
    ends = {"succeeded": "success", "failed": {"kind": "failure", "reasons": {"broken": "It broke."}}}
    data["x-mock"]["lifecycle"]["ends"] |= ends
    small = Small(tmp_path, data, FAILING)
    job = small.json("POST", "/jobs", {})["id"]
    assert small.json("GET", f"/jobs/{job}", at_s=100)["error"] == {"code": "broken", "message": "It broke."}


def test_fields_may_say_otherwise(tmp_path: Path) -> None:
    """At any depth; null leaves a field out, and other words of the reply hold besides."""
    schema = SCHEMAS["nested"][0]
    changes = {"request_id": "r-1", "output": {"submit_time": None, "task_id": "x-{$task.id}"}, "usage": {"n": 1}}
    reply = {"from-schema": changes, "in": {"succeeded": {"output": {"good": True}}}, "headers": {"X-Of": "$task.id"}}
    small = Small(tmp_path, answering(schema, reply))
    job = small.json("POST", "/jobs", {})["id"]
    answer = small.send("GET", f"/jobs/{job}", at_s=100)
    told = orjson.loads(answer.body)
    assert (told["request_id"], told["usage"], told["output"]["task_id"]) == ("r-1", {"n": 1}, f"x-{job}")
    assert "submit_time" not in told["output"]
    assert told["output"]["good"] is True
    assert ("X-Of", job) in answer.headers


def test_other_roles_are_filled_too(tmp_path: Path) -> None:
    """A list with its pages, a balance, a submit with what it was sent, and a fixed answer."""
    entry = of("id", "seconds", id=TEXT, seconds=TEXT)
    entries = of(object={"const": "list"}, data={"type": "array", "items": entry}, has_more=FLAG, last_id=none(TEXT))
    shapes = {"list": entries, "balance": of(credits_left=NUMBER), "static": of("version", version={"const": "9"})}
    paths = {
        f"/{role}": {
            "get": {
                "operationId": role,
                "responses": {"200": {"description": "It", "content": {"application/json": {"schema": schema}}}},
                "x-mock": {"role": role, "reply": "from-schema"},
            }
        }
        for role, schema in shapes.items()
    }
    answer = {"202": {"description": "Taken", "content": {"application/json": {"schema": entry}}}}
    asked = {"application/json": {"schema": of(seconds={"type": "string", "default": "4"})}}
    small = Small(tmp_path, spec({**paths, "/jobs": submit({"reply": "from-schema"}, asked, responses=answer)}))
    answered = small.send("POST", "/jobs", {})
    made = orjson.loads(answered.body)
    assert (answered.status, made["seconds"]) == (202, "4")
    job = made["id"]
    listed = {"object": "list", "data": [{"id": job, "seconds": "4"}], "has_more": False, "last_id": job}
    assert small.json("GET", "/list") == listed
    assert small.json("GET", "/balance") == {"credits_left": 1000}
    assert small.json("GET", "/static") == {"version": "9"}


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("from-shema", "did you mean from-schema?"),
        ({"from-shema": {}}, "unknown key: from-shema (did you mean from-schema?)"),
        ({"from-schema": {"id": "$task.idd"}}, "$task has no 'idd' (did you mean id?)"),
        ({"headers": {"X-Of": "it"}}, "missing required key `body` (write it, or `from-schema`)"),
        ({"body": {}}, "missing required key `status`"),
    ],
)
def test_check_tells_what_is_wrong(tmp_path: Path, reply: Any, said: str) -> None:
    """In one line."""
    told = list(map(str, issues(tmp_path, answering(SCHEMAS["nested"][0], reply))))
    assert any(said in each for each in told), told
    assert len(told) == 1 or said.startswith("missing"), told


def _named(value: Any, job: str) -> Any:
    if isinstance(value, dict):
        return {key: _named(each, job) for key, each in value.items()}
    if isinstance(value, list):
        return [_named(each, job) for each in value]
    return value.replace(job, "job-x") if isinstance(value, str) else value
