"""`serve --replay`: a recorded day is lived through again, with new ids, links and times; polls do not advance it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from click.testing import CliRunner
from support.edge import ONE_DAILY, Received, receiving, serving
from support.engine import KILN, providers
from support.recorded import BODY, entry, real, record
from support.whole_day import Day, with_text

from contracts import of_records
from contracts.drift import DocumentedSpec, differences, documented
from mockserver import MockServer
from mockserver.cli import main
from mockserver.clock import MANUAL_START_MS, instant_of, iso_of
from mockserver.engine.callbacks import signature_of
from mockserver.faults import all_faults
from mockserver.settings import ConfigError
from mockserver.terminal import banner

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

    from mockserver.provider import Provider

Records = list[dict[str, Any]]
FILES = {"kiln": (KILN,)}
_TRANSIENT = (429, 500, 502, 503, 504)
_POLLS, _POLL_EVERY_S = 6, 20
LATER_S = 123_456.789
_LINK = re.compile(r"http[^\"]*|req_\w+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


async def lived(name: str, *, later_s: float = 0, models: int = 100, **settings: Any) -> Records:
    """Let a client do its jobs, with callbacks, refusals of them and downloads; return the journal."""
    answers = iter([500])

    async def answer(_received: Received) -> int:
        return next(answers, 200)

    specs = [str(each) for each in FILES.get(name, ())]
    async with serving(specs=specs, **settings) as edge, receiving(answer) as receiver:
        await edge.advance(later_s)
        await Day(edge, name, receiver.url()).jobs(models)
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
    tasks = tasks_of(records)
    start_ms = instant_of(records[0]["at"])
    for each in records:
        if each["response"] is None:
            continue
        is_callback = each["kind"] == "delivery"
        body = (each["request"] if is_callback else each["response"])["body"]
        for task in tasks:
            body = (body or "").replace(task, "id")
        what = each["event"] if is_callback else each["operation"]
        shape = shape_of(_json(body)) if _json(body) is not None else _LINK.sub("link", body)
        out.append((what, instant_of(each["at"]) - start_ms, each["response"]["status"], shape))
    return sorted(out, key=repr)


def _json(text: str | None) -> Any:
    try:
        return orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return None


def saved(records: Records, path: Path) -> str:
    """Write a journal as of a real provider: nothing in it says what the mock did."""
    plain = [{**each, "faults": []} for each in records if each.get("outcome") != "lost"]
    plain.sort(key=lambda each: each["seq"])
    path.write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in plain))
    return str(path)


def findings(records: Records, spec: DocumentedSpec) -> list[tuple[str, str]]:
    """Return the kinds and places of the differences from a spec."""
    (journal,) = of_records(records, [spec.provider])
    return [(each.kind, each.where) for each in differences(journal, spec).all()]


@pytest.mark.parametrize("name", [*ONE_DAILY, "kiln"])
async def test_a_day_is_lived_through_again(name: str, tmp_path: Path) -> None:
    """With another seed and at another time, a client sees the recorded states, times and shapes, and no drift."""
    recorded = await lived(name)
    file = saved(recorded, tmp_path / "run.ndjson")
    again = await lived(name, seed=7, later_s=LATER_S, replay=file)
    assert [pair for pair in zip(seen(recorded), seen(again), strict=True) if pair[0] != pair[1]] == []
    assert not tasks_of(recorded) & tasks_of(again)
    assert any("replayed" in each for each in again)
    (spec,) = documented(FILES.get(name, ()), (), name)
    assert findings(again, spec) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dialect"),
    [(name, each.name) for name, provider in providers().items() for each in provider.dialects],
    ids=str,
)
async def test_a_dialect_is_lived_through_again(name: str, dialect: str, tmp_path: Path) -> None:
    """A server in the plain dialect shows what was recorded in another one: the differences from the spec are equal."""
    recorded = await lived(name, models=1, providers={name: {"dialects": [dialect]}})
    file = saved(recorded, tmp_path / "run.ndjson")
    again = await lived(name, models=1, seed=7, replay=file)
    (spec,) = documented((), (), name)
    jobs, new = _of_tasks(recorded), _of_tasks(again)
    assert seen(jobs) == seen(new)
    assert findings(jobs, spec) == findings(new, spec)


def tasks_of(records: Records) -> set[str]:
    """Return the ids of the tasks in a journal."""
    return {each["task"] for each in records if each.get("task")}


def _of_tasks(records: Records) -> Records:
    """Return the records of tasks; what other requests are answered is not replayed."""
    return [each for each in records if each.get("task")]


async def faulty(name: str, chosen: Container[str] | None = None, **settings: Any) -> dict[str, Records]:
    """Do a job for each fault that shows in answers, or the chosen ones without their faults; return their records."""
    jobs = []
    async with serving(**settings) as edge, receiving() as receiver:
        day = Day(edge, name, receiver.url())
        (submit, *_), (query, *_) = day.of("submit"), day.of("query")
        model = next(iter(day.provider.models.values()))
        for job, request in _jobs(day.provider):
            if chosen is not None and job not in chosen:
                continue
            if chosen is None:
                edge.mock.server.runtime.add_fault(request)
            jobs.append(job)
            answer = await day.ask(submit, json=with_text(day.body(model, hook=True), job))
            task = next(reversed(edge.state(name).tasks), "none")
            for _ in range(_POLLS if answer.status < 300 else 0):
                await edge.advance(_POLL_EVERY_S)
                await day.ask(query, task)
            edge.mock.server.runtime.world.faults.clear()
        records = list(edge.mock.journal)
    parts: list[Records] = []
    for each in (each for each in records if each["kind"] == "exchange"):
        if each["operation"] == submit.id:
            parts.append([])
        parts[-1].append(each)
    of_task = {each["task"]: part for part in reversed(parts) for each in part if each["task"]}
    for each in (each for each in records if each["kind"] == "delivery"):  # one may come before its submit is answered
        of_task[each["task"]].append(each)
    return dict(zip(jobs, parts, strict=True))


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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlegeminiomni"])
async def test_what_faults_show_is_lived_through_again(name: str, tmp_path: Path) -> None:
    """States, errors, fields and callbacks that faults made are replayed as those of a real provider would be."""
    recorded = await faulty(name)
    file = saved([each for job in recorded.values() for each in job], tmp_path / "run.ndjson")
    taken = {job for job, records in recorded.items() if records[0].get("task") or _status(records[0]) in _TRANSIENT}
    again = await faulty(name, taken, seed=7, replay=file)
    assert len(taken) > 40
    assert [job for job in again if seen(again[job]) != seen(recorded[job])] == []


def _status(record: dict[str, Any]) -> int:
    return 0 if record["response"] is None else int(record["response"]["status"])


SUBMITTED = {"id": "task-1", "status": "pending", "created": 1_700_000_010, "region": "eu", "prompt": "a red kite"}
FILE = "https://cdn.real.example/v/task-1/out.mp4?Expires=1700007250&Signature=abc"
REAL = [
    record(1, 0, "POST", "/v1/videos/generations", {"error": {"code": 429}}, body=BODY, status=429),
    record(
        2,
        10,
        "POST",
        "/v1/videos/generations",
        SUBMITTED,
        body=BODY,
    ),
    record(3, 30, "GET", "/v1/tasks/task-1", {"id": "task-1", "status": "warming_up", "eta": 17}),
    record(4, 40, "GET", "/v1/tasks/task-1", "<h1>bad gateway</h1>", status=502),
    record(5, 50, "GET", "/v1/tasks/task-1", {"id": "task-1", "status": "processing", "progress": 7}),
    record(
        6,
        100,
        "GET",
        "/v1/tasks/task-1",
        {
            "id": "task-1",
            "status": "completed",
            "created": 1_700_000_010,
            "finished_at": "2023-11-14T23:14:40+01:00",
            "results": [FILE],
            "cover": "https://cdn.real.example/v/task-1/cover.jpg",
            "self": "https://api.evolink.ai/v1/tasks/task-1",
            "by_task": {"task-1": "see task-1"},
        },
    ),
]


async def test_a_recording_of_the_real_provider(tmp_path: Path) -> None:
    """Unknown states and fields are shown at their times; ids, times and links are those of this run, everywhere."""
    async with real(tmp_path, REAL) as edge:
        refused = await edge.try_submit("evolink", **BODY)
        assert (refused.status, refused.json) == (429, {"error": {"code": 429}})
        created = await edge.try_submit("evolink", **BODY)
        task = created.json["id"]
        now_s = MANUAL_START_MS // 1000
        assert created.json == {**SUBMITTED, "id": task, "created": now_s}
        assert task != "task-1"
        assert created.headers["X-Served-For"] == task
        assert "Set-Cookie" not in created.headers
        shown = []
        for _ in range(10):
            await edge.advance(10)
            for _ in range(3):  # polls do not advance it
                answer = await edge.query("evolink", task)
            shown.append(answer.json["status"] if answer.status == 200 else answer.body)
        bad_gateway = b"<h1>bad gateway</h1>"  # the last is shown from the time that it tells
        assert shown == ["pending", "warming_up", bad_gateway, *["processing"] * 3, *["completed"] * 4]
        done = answer.json
        assert done["created"] == now_s
        assert done["finished_at"] == "2026-06-05T01:01:10+01:00"
        assert done["by_task"] == {task: f"see {task}"}
        assert done["self"] == f"{edge.root}/evolink/v1/tasks/{task}"
        links = [*done["results"], done["cover"]]
        assert all(each.startswith(edge.root) and "real" not in each for each in links)
        for link in links:
            assert (await edge.call("GET", link)).headers["Content-Type"] == "video/mp4"
        await edge.advance(8000)  # the recorded links expired 7240 s after the submit
        assert (await edge.call("GET", links[0])).status == 404
        told = orjson.dumps([each["response"] for each in list(edge.mock.journal)[1:]]).decode()
        assert re.findall(r"task-1\W|real|2023|17000000", told) == []


async def test_which_submit_is_like_a_recorded_one(tmp_path: Path) -> None:
    """Equal bodies first, then those that differ in prompts and URLs; each in turn, then again; others by the spec."""
    tasks = [
        record(2 * number + 1, 0, "POST", "/v1/videos/generations", {"id": f"task-{number}", "mark": mark}, body=body)
        for number, (mark, body) in enumerate(
            [
                ("red", BODY),
                ("red again", BODY),
                ("blue", {**BODY, "prompt": "a blue kite"}),
                ("long", {**BODY, "duration": 8}),
            ]
        )
    ]
    wanted: list[tuple[str | None, dict[str, Any]]] = [
        ("red", {}),
        ("red again", {"callback_url": "http://127.0.0.1:9/new"}),
        ("red", {}),
        ("blue", {"prompt": "a blue kite"}),
        ("blue", {"prompt": "a green kite"}),
        ("red", {"prompt": "a yellow kite"}),
        ("blue", {"prompt": "a white kite"}),
        ("long", {"duration": 8, "prompt": "other"}),
        (None, {"duration": 10}),
        (None, {"seed": 3}),
    ]
    tasks[1] = record(
        3,
        0,
        "POST",
        "/v1/videos/generations",
        {"id": "task-1", "mark": "red again"},
        body={**BODY, "callback_url": "https://x.example/h"},
    )
    async with real(tmp_path, tasks) as edge:
        for mark, changes in wanted:
            answer = await edge.try_submit("evolink", **{**BODY, **changes})
            assert answer.json.get("mark") == mark, changes
        told = [each.get("replayed") for each in edge.mock.journal]
    assert [each is None for each in told] == [mark is None for mark, _ in wanted]


async def test_callbacks_come_at_the_recorded_delays_and_are_signed_anew(tmp_path: Path) -> None:
    """A callback has the recorded body with the new id, at its time, and this account's signature."""
    body: dict[str, Any] = {
        "model": "gemini-omni-video",
        "prompt": "a lighthouse",
        "resolution": "1080p",
        "duration": 8,
    }
    sent = {**body, "callbackUrl": "https://client.example/hook"}
    headers = [
        ["Content-Type", "application/json"],
        ["X-Gemini-Signature", "sha256=00"],
        ["X-Extra", "job_a"],
        ["Host", "c"],
    ]
    at = iso_of(1_700_000_030_250)
    job = {"jobId": "job_aaaaaaaaaaaa", "status": "accepted", "creditCost": 150, "estimatedSeconds": 60}
    done = {"jobId": "job_aaaaaaaaaaaa", "status": "done", "odd": [1, None]}
    recorded = [
        {
            **record(1, 0, "POST", "/api/v1/generate", job, body=sent),
            "provider": "googlegeminiomni",
            "operation": "submitJob",
        },
        {
            "seq": 2,
            "kind": "delivery",
            "at": at,
            "provider": "googlegeminiomni",
            "delivery": "dlv_1",
            "task": "job_aaaaaaaaaaaa",
            "event": "done",
            "attempt": 1,
            "outcome": "acknowledged",
            "request": {"url": "https://client.example/hook", "headers": headers, "body": orjson.dumps(done).decode()},
            "response": {"status": 200},
        },
    ]
    async with real(tmp_path, recorded) as edge, receiving() as receiver:
        answer = await edge.try_submit("googlegeminiomni", **{**body, "callbackUrl": receiver.url()})
        task = answer.json["jobId"]
        await edge.advance(29)
        assert receiver.got == []
        await edge.advance(1)
        (got,) = receiver.got
        rule = edge.provider("googlegeminiomni").callbacks
        assert rule is not None
        assert rule.signature is not None
        assert orjson.loads(got.body) == {**done, "jobId": task}
        secret = rule.signature.default_secret
        assert got.headers[rule.signature.header] == signature_of(rule.signature, secret, got.body)
        assert (await edge.query("googlegeminiomni", task)).json["status"] == "done"


async def test_commands_and_faults_take_over(tmp_path: Path) -> None:
    """A task that is failed by command, or that a fault changes, is shown as the spec says from then on."""
    async with real(tmp_path, REAL[1:]) as edge:
        await edge.submit("evolink", **BODY)
        first = next(iter(edge.state("evolink").tasks))
        await edge.advance(20)
        await edge.mock.task(first).fail()
        assert (await edge.query("evolink", first)).json["status"] == "failed"
        second = await edge.submit("evolink", **{**BODY, "prompt": "a red kite mock:fail=content_policy"})
        await edge.advance(200)
        assert (await edge.query("evolink", second)).json["status"] == "failed"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"", "has no records"),
        (b"hello\n", ":1: not a journal record"),
        (b'{"seq":1}\n', ":1: not a journal record"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b'{"log": {"entries": [{}]}}', "invalid HAR file"),
        (orjson.dumps(REAL[1])[:-30], ":1: the record is cut off"),
        (orjson.dumps(REAL[1]) + b"\n" + orjson.dumps(REAL[2])[:50], ":2: the record is cut off"),
        (orjson.dumps({**REAL[1], "provider": "nobody"}), "has no answered submit to any of the providers served here"),
        (orjson.dumps(REAL[2]), "has no answered submit to any of the providers served here"),
        (orjson.dumps({**REAL[1], "request": 7}), "record 2: TypeError"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_cannot_be_replayed_is_refused_in_one_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    """`serve` ends with code 2 and a line that names the file; in Python it is a ConfigError."""
    file = tmp_path / "run.ndjson"
    if content is not None:
        file.write_bytes(content)
    ended = CliRunner().invoke(main, ["serve", "--port", "0", "--replay", str(file)])
    assert (ended.exit_code, len(ended.stderr.splitlines())) == (2, 1)
    assert str(file) in ended.stderr
    assert said in ended.stderr
    with pytest.raises(ConfigError, match="replay: "), MockServer(replay=str(file)):
        pass


async def test_the_banner_says_what_is_replayed(tmp_path: Path) -> None:
    """The number of tasks and refusals of each provider."""
    async with real(tmp_path, [*REAL, {**REAL[1], "seq": 7, "at": iso_of(1_700_000_200_000)}]) as edge:
        text = banner(edge.mock.server)
    assert f"replayed from {tmp_path / 'real.ndjson'}: 2 tasks, 1 refused submit of evolink" in text


async def test_a_har_file_is_replayed(tmp_path: Path) -> None:
    """A HAR file of another tool, with the real host."""
    file = tmp_path / "run.har"
    file.write_bytes(orjson.dumps({"log": {"entries": [entry(each) for each in REAL]}}))
    async with serving(replay=str(file)) as edge:
        assert (await edge.try_submit("evolink", **BODY)).status == 429
        task = (await edge.try_submit("evolink", **BODY)).json["id"]
        await edge.advance(20)
        assert (await edge.query("evolink", task)).json["status"] == "warming_up"


async def test_sessions_and_a_reset_begin_again(tmp_path: Path) -> None:
    """Each session, and the server after a reset, takes the recorded submits from the first."""
    async with real(tmp_path, REAL) as edge:
        for _ in range(2):
            assert [(await edge.try_submit("evolink", **BODY)).status for _ in range(2)] == [429, 200]
            await edge.admin("POST", "/reset", {"what": "all"})
        path, headers = f"/~one{edge.path_of('evolink', 'submit')}", edge.key_headers("evolink")
        assert [(await edge.call("POST", path, headers=headers, json=BODY)).status for _ in range(2)] == [429, 200]


async def test_what_the_provider_has_accepted_is_accepted(tmp_path: Path) -> None:
    """A model, a field and a value that the spec lacks are served if the recording shows them; others are not."""
    strange = {**BODY, "model": "gemini-omni-2", "duration": 99, "camera": {"pan": "left"}}
    async with real(tmp_path, [record(1, 0, "POST", "/v1/videos/generations", SUBMITTED, body=strange)]) as edge:
        accepted = await edge.try_submit("evolink", **{**strange, "prompt": "another"})
        assert (accepted.status, accepted.json["region"]) == (200, "eu")
        assert (await edge.try_submit("evolink", **{**strange, "duration": 98})).status == 400
        assert (await edge.try_submit("evolink", **{**BODY, "prompt": ""})).status == 400
        assert (await edge.try_submit("evolink", **{**strange, "model": "gemini-omni-3"})).status == 404


async def test_no_journal_holds_a_secret(tmp_path: Path) -> None:
    """Neither the recording nor the journal of its replay has the key or the secret of callbacks."""
    name, first, second = "googlegeminiomni", tmp_path / "first.ndjson", tmp_path / "second.ndjson"
    secrets: set[str] = set()
    for settings in ({"journal": str(first)}, {"journal": str(second), "replay": str(first)}):
        async with serving(**settings) as edge, receiving() as receiver:
            account = edge.state(name).account(edge.provider(name).key.example, MANUAL_START_MS)
            account.change_secret("a-webhook-secret-of-ours")
            secrets |= set(edge.mock.server.runtime.secrets())
            await edge.submit(name, callbackUrl=receiver.url())
            await edge.advance(200)
            assert len(receiver.got) == 1
    assert "a-webhook-secret-of-ours" in secrets
    for file in (first, second):
        content = file.read_text(encoding="utf-8")
        assert content.count('"kind"') == 2
        assert [each for each in secrets if each in content] == []
