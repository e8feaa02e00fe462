"""What answers say beside their body: headers, addresses, pages of lists; and answers that need no task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.edge import serving
from support.small import KEY, PATH, Small, issues, spec, submit

if TYPE_CHECKING:
    from pathlib import Path

OK = {"200": {"description": "It"}}
TAKEN = {"202": {"description": "Taken"}}
MODELS: dict[str, Any] = {name: {"price": {"reserve": {}}} for name in ("one", "two")}


WITH_CONTENT = {"200": {"description": "It", "content": {"application/json": {}}}}


def get(name: str, mock: dict[str, Any], *query: str) -> dict[str, Any]:
    """Return an operation to get something."""
    asked = [{"name": each, "in": "query", "schema": {"type": "string"}} for each in query]
    return {"get": {"operationId": name, "parameters": asked, "responses": OK, "x-mock": mock}}


ASYNC = {
    "status": 202,
    "headers": {"Operation-Location": "$url.getJob", "Location": "/jobs/{$task.id}", "Request-Id": "$request_id"},
    "retry_after_s": 5,
    "body": {"status_url": "$url.getJob", "other": "$url.findJob"},
}
FIND = {
    "role": "query",
    "task": "$request.query.job",
    "reply": {
        "status": 200,
        "retry_after_s": {"by": "$task.status", "values": {"queued": 10}, "otherwise": 2},
        "body": {"at": "$url.showJob"},
    },
}
SHOW = {"role": "query", "task": "$request.path.id", "reply": {"status": 200, "body": {"id": "$task.id"}}}


def with_addresses() -> dict[str, Any]:
    """Return a spec whose answers name operations."""
    shown = get("showJob", SHOW)
    shown["parameters"] = [*PATH, {**PATH[0], "name": "model"}]
    made = submit({"model": "$request.path.model", "reply": ASYNC}, responses=TAKEN)
    made["parameters"] = [{**PATH[0], "name": "model"}]
    paths = {"/models/{model}:run": made, "/find": get("findJob", FIND, "job"), "/models/{model}/jobs/{id}": shown}
    return spec(paths, {"models": MODELS}, servers=[{"url": "https://api.small.example/v1"}])


def test_an_answer_names_operations_and_says_when_to_come_again(tmp_path: Path) -> None:
    """An address has the task and its model in it; a client is asked to wait until the end."""
    small = Small(tmp_path, with_addresses())
    answer = small.send("POST", "/v1/models/two:run", {})
    job, headers = str(answer.task_id), dict(answer.headers)
    address = f"http://mock.test/small/v1/jobs/{job}"
    told = {"status_url": address, "other": f"http://mock.test/small/v1/find?job={job}"}
    assert (answer.status, orjson.loads(answer.body)) == (202, told)
    assert headers["Operation-Location"] == address
    assert (headers["Location"], headers["Retry-After"]) == (f"/jobs/{job}", "5")
    assert headers["Request-Id"] == headers["X-Request-Id"]
    waits = [
        dict(small.send("GET", f"/v1/find?job={job}", at_s=at_s).headers).get("Retry-After") for at_s in (0, 50, 100)
    ]
    assert waits == ["10", "2", None]
    assert small.json("GET", f"/v1/find?job={job}") == {"at": f"http://mock.test/small/v1/models/two/jobs/{job}"}


async def test_an_address_is_as_the_client_came(tmp_path: Path) -> None:
    """By the server's own address, or by the provider's name."""
    file = tmp_path / "small.json"
    file.write_bytes(orjson.dumps(with_addresses()))
    async with serving(specs=[file]) as edge:
        headers = {"Authorization": f"Bearer {KEY}"}
        here = await edge.call("POST", "/small/v1/models/one:run", json={}, headers=headers)
        assert here.json["status_url"].startswith(f"{edge.root}/small/v1/jobs/job-")
        assert (await edge.call("GET", here.json["status_url"], headers=headers)).status == 200
        named = await edge.call("POST", "/v1/models/one:run", json={}, headers={**headers, "Host": "api.small.example"})
        assert named.json["status_url"].partition("/v1/jobs/")[0] in (
            *("http://api.small.example", "https://api.small.example"),
            f"{edge.root}/small",
        )


LIST = {
    "role": "list",
    "limit": "$request.query.limit",
    "after": "$request.query.after",
    "offset": "$request.query.offset",
    "order": "$request.query.order",
    "filter": {"status": "$request.query.status", "model": "$request.query.model"},
    "default_limit": 2,
    "item": "$task.id",
    "reply": {
        "status": 200,
        "body": {
            "ids": "$list.items",
            "total": "$list.total",
            "more": "$list.has_more",
            "ends": ["$list.first_id", "$list.last_id"],
            "next": "$list.next",
            "at": ["$list.offset", "$list.limit"],
        },
    },
}
NAMES = ("limit", "after", "offset", "order", "status", "model")
#: A query, and what it lists of jobs 0 to 4 (the newest): the jobs, how many there are, whether there are more.
PAGES: list[tuple[str, list[int], int, bool]] = [
    ("", [4, 3], 5, True),
    ("limit=5", [4, 3, 2, 1, 0], 5, False),
    ("order=asc", [0, 1], 5, True),
    ("order=desc&limit=1", [4], 5, True),
    ("after={3}", [2, 1], 5, True),
    ("after={1}", [0], 5, False),
    ("after={0}", [], 5, False),
    ("order=asc&after={3}", [4], 5, False),
    ("offset=3", [1, 0], 5, False),
    ("offset=9", [], 5, False),
    ("status=succeeded", [1, 0], 2, False),
    ("status=queued,running&limit=9", [4, 3, 2], 3, False),
    ("status=canceled", [], 0, False),
    ("model=two", [3, 1], 2, False),
    ("model=one&status=succeeded", [0], 1, False),
]


def with_list(mock: dict[str, Any] = LIST, *names: str) -> dict[str, Any]:
    """Return a spec with a list of jobs."""
    body = {"application/json": {"schema": {"type": "object", "properties": {"model": {"type": "string"}}}}}
    made = submit({"model": "$request.body#/model"}, body)
    return spec({"/jobs": {**made, **get("listJobs", mock, *(names or NAMES))}}, {"models": MODELS})


def test_the_pages_of_a_list(tmp_path: Path) -> None:
    """By the last id, by an offset, in both orders, and only what is asked for."""
    small = Small(tmp_path, with_list())
    jobs = [
        small.json("POST", "/jobs", {"model": ("one", "two")[at % 2]}, at_s=at_s)["id"]
        for at, at_s in enumerate((0, 1, 100, 101, 102))
    ]
    for query, numbers, total, more in PAGES:
        target = "/jobs?" + query.replace("{", "").replace("}", "") if "after" not in query else ""
        for at, job in enumerate(jobs):
            target = target or ("/jobs?" + query if f"{{{at}}}" in query else "")
            target = target.replace(f"{{{at}}}", job)
        told = small.json("GET", target, at_s=105)
        ids = [jobs[at] for at in numbers]
        assert (told["ids"], told["total"], told["more"]) == (ids, total, more), query
        assert told["ends"] == ([ids[0], ids[-1]] if ids else [None, None])
        assert told["next"] == (ids[-1] if more else None)
    assert small.json("GET", "/jobs?offset=1&limit=3")["at"] == [1, 3]
    for query in ("order=up", "offset=-1", "offset=x", "after=nothing", "limit=0"):
        assert small.send("GET", f"/jobs?{query}").status == 400


def test_pages_by_their_number(tmp_path: Path) -> None:
    """From 1."""
    mock = {key: LIST[key] for key in ("role", "limit", "item", "reply")} | {"page": "$request.query.page"}
    small = Small(tmp_path, with_list(mock | {"default_order": "asc", "default_limit": 2}, "page", "limit"))
    jobs = [small.json("POST", "/jobs", {"model": "one"}, at_s=at)["id"] for at in range(3)]
    pages = [small.json("GET", f"/jobs?page={page}", at_s=5)["ids"] for page in (1, 2, 3)]
    assert pages == [jobs[:2], jobs[2:], []]
    assert small.send("GET", "/jobs?page=0").status == 400


def test_a_fixed_answer_needs_no_task(tmp_path: Path) -> None:
    """Its request is checked all the same, and it may need no key."""
    reply = {
        "status": 200,
        "headers": {"X-At": "{$now.unix_s}"},
        "body": {"models": ["one"], "for": "$request.query.of"},
    }
    known = {"name": "of", "in": "query", "required": True, "schema": {"enum": ["me", "all"]}}
    open_ = get("listModels", {"role": "static", "reply": reply})
    open_["get"] |= {"parameters": [known], "security": []}
    small = Small(tmp_path, spec({"/models": open_}))
    answer = small.send("GET", "/models?of=me", key=None, at_s=9)
    assert (answer.status, orjson.loads(answer.body)) == (200, {"models": ["one"], "for": "me"})
    assert dict(answer.headers)["X-At"].isdecimal()
    assert [small.send("GET", f"/models{query}").status for query in ("", "?of=you")] == [400, 400]


@pytest.mark.parametrize("reply", [{"status": 202}, "from-schema"])
def test_an_answer_may_be_empty(tmp_path: Path, reply: Any) -> None:
    """Where the document declares no content for its status; its headers say where to go on."""
    more = {"headers": {"Operation-Location": "$url.getJob"}}
    reply = {**reply, **more} if isinstance(reply, dict) else {"from-schema": {}, **more}
    small = Small(tmp_path, spec({"/jobs": submit({"reply": reply}, responses=TAKEN)}))
    answer = small.send("POST", "/jobs")
    assert (answer.status, answer.body) == (202, b"")
    assert dict(answer.headers)["Operation-Location"] == f"http://mock.test/small/jobs/{answer.task_id}"


@pytest.mark.parametrize("mock", [{"x-mock": {"role": "static", "reply": {"status": 200, "body": {"ok": True}}}}, {}])
def test_an_answer_without_a_task_may_ask_for_a_form(tmp_path: Path, mock: dict[str, Any]) -> None:
    """Checked as its schema says, with or without `x-mock`."""
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    content = {"application/x-www-form-urlencoded": {"schema": schema}, "application/json": {"schema": schema}}
    entry = {"operationId": "send", "responses": OK, "requestBody": {"required": True, "content": content}, **mock}
    small = Small(tmp_path, spec({"/send": {"post": entry}}))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answers = [small.send("POST", "/send", body, headers=form).status for body in (b"n=1", b"n=x", b"m=1")]
    assert answers == [200, 400, 400]
    assert [small.send("POST", "/send", body).status for body in ({"n": 1}, {"n": "1"})] == [200, 400]
    assert small.send("POST", "/send", b"n=1", headers={"Content-Type": "text/plain"}).status == 415


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (
            {"/x": get("x", {"role": "static", "reply": {"status": 200, "body": "$task.id"}})},
            "a fixed answer has no $task",
        ),
        ({"/x": get("x", {"role": "static"})}, "missing required key `reply`"),
        (
            {"/jobs": submit({"reply": {"status": 200}}, responses=WITH_CONTENT)},
            "missing required key `body` (write it, or `from-schema`)",
        ),
        (
            {"/x": get("x", LIST | {"page": "$request.query.offset"}, *NAMES)},
            "is beside `offset` (keep one of the two)",
        ),
        (
            {"/x": get("x", LIST | {"filter": {"stat": "$request.query.status"}}, *NAMES)},
            "$task.stat: $task has no 'stat' (did you mean status?)",
        ),
        (
            {"/x": get("x", LIST | {"order": "$request.query.odrer"}, *NAMES)},
            "has no query parameter 'odrer' (did you mean order?)",
        ),
        (
            {"/x": get("x", LIST | {"default_order": "ascending"}, *NAMES)},
            '"ascending" is not one of "asc" or "desc" (known: asc, desc)',
        ),
        (
            {"/jobs": submit({"reply": {"status": 200, "body": "$url.getJobs"}})},
            "'getJobs' is not the id of an operation (did you mean getJob?)",
        ),
        (
            {
                "/jobs": submit(
                    {"reply": {"status": 200, "body": {}, "retry_after_s": 5, "headers": {"retry-after": "5"}}}
                )
            },
            "is also in `headers` (keep one)",
        ),
        (
            {"/jobs": submit({"reply": {"status": 200, "body": {}, "headers": {"X-At": "$task.idd"}}})},
            "$task has no 'idd' (did you mean id?)",
        ),
    ],
)
def test_check_tells_what_is_wrong(tmp_path: Path, paths: Any, said: str) -> None:
    """In one line."""
    told = list(map(str, issues(tmp_path, spec(paths))))
    assert [said in each for each in told] == [True], told
