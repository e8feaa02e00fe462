"""`mockserver init`: from documents of different shapes to a job that ends, without an edit."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from click.testing import CliRunner
from support.edge import serving

from mockserver.cli import main
from mockserver.spec.check import check_files
from mockserver.spec.drafting.candidates import entries_of, submits_of
from mockserver.spec.drafting.candidates import pairs_of as pairs
from mockserver.spec.drafting.states import kind_of
from mockserver.spec.files import document_alone
from mockserver.spec.pointer import pointed

if TYPE_CHECKING:
    from click.testing import Result

BARE = Path(__file__).parent / "bare"


class Job(NamedTuple):
    """What a client of a document does that has read the document alone."""

    submit: str
    body: Any
    id_at: str
    query: str
    status_at: str
    course: list[Any]
    file_at: str
    key: dict[str, str]
    version: str = ""


BEARER = {"Authorization": "Bearer mock-key"}
JOBS = {
    "flat.yaml": Job(
        *("/v1/films", {"model": "lantern-2", "prompt": "a kite", "seconds": 8}, "id", "/v1/films/{}", "status"),
        *(["queued", "in_progress", "completed"], "url", BEARER),
    ),
    "envelope.yaml": Job(
        *("/api/v2/image2video", {"image": "a.png"}, "data/task_id", "/api/v2/tasks/{}", "data/task_status"),
        *(["SUBMITTED", "PROCESSING", "SUCCEED"], "data/task_result/videos/0/url", {"X-Token": "mock-key"}),
    ),
    "operation.json": Job(
        *("/v1/models/voice-1/synthesize", {"input": {"text": "hello"}}, "name", "/v1/operations/{}", "done"),
        *([False, True], "response/audio/uri", BEARER),
    ),
    "wordless.yaml": Job(
        *("/render", {"html": "<p>"}, "request_id", "/result?request_id={}", "state"),
        *(["waiting", "working", "finished"], "output", {"X-Api-Key": "mock-key"}),
    ),
    "branches.yaml": Job(
        *("/g/v3/projects/p1/jobs", {"prompt": "x", "size": "small"}, "id", "/g/v3/projects/p1/jobs/{}", "status"),
        *(["NotStarted", "Running", "Succeeded"], "outputs/0", BEARER, "1"),
    ),
    "numbers.yaml": Job(
        *("/api/generate/music", {"lyrics": "la"}, "data/taskId", "/api/generate/record-info?taskId={}", "data/state"),
        *([0, 1, 2], "data/audioUrl", BEARER),
    ),
}
WORDS = {
    "flat.yaml": [
        "cancel  POST /films/{film_id}/cancel",
        "list    GET /films",
        "delete  DELETE /films",
        "calls   to callback_url",
    ],
    "envelope.yaml": ["cancel  not found", "status  data.task_status: SUBMITTED, PROCESSING, then SUCCEED or FAILED"],
    "operation.json": [
        "list    GET /v1/operations",
        "status  done: running",
        "delete  DELETE /v1/operations/{name}",
    ],
    "wordless.yaml": ["status  state: waiting, working, then finished or broken-error"],
    "branches.yaml": ["cancel  DELETE /projects/{project_id}/jobs/{job_id}"],
    "numbers.yaml": ["takes multipart/form-data", "has no key in a header"],
}


def begun(folder: Path, name: str, *flags: str) -> tuple[Path, Result]:
    """Run `init` on a copy of a document; return the overlay and what was said."""
    shutil.copy(BARE / name, folder / name)
    result = CliRunner().invoke(main, ["init", str(folder / name), *flags])
    return (folder / name).with_suffix(".overlay.yaml"), result


@pytest.mark.parametrize("name", JOBS)
async def test_a_document_serves_a_job_without_an_edit(tmp_path: Path, name: str) -> None:
    """A client that knows the document alone submits, polls to the end, and has its file."""
    overlay, result = begun(tmp_path, name)
    assert result.exit_code == 0, result.output
    for words in (*WORDS[name], "checked: no errors; a job of it: ", "its file"):
        assert words in result.output
    assert "does not fit its schema" not in result.output
    assert check_files([overlay]) == []
    job = JOBS[name]
    async with serving(specs=overlay, builtin=False) as edge:
        (provider,) = edge.mock.runtime.world.providers
        base, headers = f"/{provider}", {**job.key, "X-Version": job.version}
        made = await edge.call("POST", base + job.submit, headers=headers, json=job.body)
        assert made.status < 300, made.body
        task = pointed(made.json, tuple(job.id_at.split("/")))
        seen: list[Any] = []
        for _ in range(30):
            answer = (await edge.call("GET", base + job.query.format(task), headers=headers)).json
            status = pointed(answer, tuple(job.status_at.split("/")))
            seen += [status] if status not in seen[-1:] else []
            if status == job.course[-1]:
                break
            assert pointed(answer, tuple(job.file_at.split("/"))) is None
            await edge.mock.clock.advance(2)
        assert seen == job.course
        link = pointed(answer, tuple(job.file_at.split("/")))
        file = await edge.call("GET", link.removeprefix(edge.root))
        assert (file.status, len(file.body) > 100) == (200, True)


async def test_failures_lists_cancels_and_callbacks_are_written_too(tmp_path: Path) -> None:
    """From their schemas, with the form of the document's errors."""
    overlay, _ = begun(tmp_path, "flat.yaml")
    async with serving(specs=overlay, builtin=False) as edge:
        ids = []
        for prompt in ("a", "b mock:fail", "c"):
            body = {"model": "lantern-1", "prompt": prompt}
            ids.append((await edge.call("POST", "/lantern/v1/films", headers=BEARER, json=body)).json["id"])
        cancelled = await edge.call("POST", f"/lantern/v1/films/{ids[0]}/cancel", headers=BEARER)
        await edge.mock.clock.advance(60)
        failed = await edge.call("GET", f"/lantern/v1/films/{ids[1]}", headers=BEARER)
        page = await edge.call("GET", "/lantern/v1/films?limit=2", headers=BEARER)
        rest = await edge.call("GET", f"/lantern/v1/films?after={page.json['last_id']}", headers=BEARER)
        refused = await edge.call("POST", "/lantern/v1/films", headers=BEARER, json={"model": "lantern-1"})
    assert cancelled.json["status"] == "canceled"
    assert (failed.json["status"], failed.json["error"]["code"]) == ("failed", "generation_failed")
    assert ([each["id"] for each in page.json["data"]], page.json["has_more"]) == (ids[:0:-1], True)
    assert ([each["id"] for each in rest.json["data"]], rest.json["has_more"]) == (ids[:1], False)
    assert (refused.status, refused.json["error"]["param"]) == (400, "prompt")
    written = yaml.safe_load(overlay.read_text(encoding="utf-8"))["actions"][0]["update"]["x-mock"]["callbacks"]
    assert (written["url"], list(written["events"])) == ("$input#/callback_url", ["completed", "failed"])


def test_flags_name_what_is_meant(tmp_path: Path) -> None:
    """By method and path, by path, or by id; several submits, and a status."""
    flags = ("--submit", "POST /v2/text2video", "--submit", "/v2/image2video", "--status-field", "data.task_status")
    overlay, result = begun(tmp_path, "envelope.yaml", *flags, "--query", "GET /v2/tasks/{task_id}")
    assert result.exit_code == 0, result.output
    actions = yaml.safe_load(overlay.read_text(encoding="utf-8"))["actions"]
    assert list(actions[0]["update"]["x-mock"]["models"]) == ["text2video", "image2video"]
    assert [each["update"].get("x-mock", {}).get("role") for each in actions] == [
        None,
        "submit",
        "submit",
        "query",
        None,
    ]


def test_what_a_flag_names_wrongly_is_told_at_once(tmp_path: Path) -> None:
    """With what there is."""
    overlay, result = begun(tmp_path, "flat.yaml", "--submit", "POST /film", "--query", "/films", "--cancel", "nothing")
    assert (result.exit_code, overlay.exists()) == (2, False)
    lines = result.output.strip().splitlines()
    assert len(lines) == 3
    assert "--submit 'POST /film': no such operation; known: POST /films" in lines[0]
    assert "--cancel 'nothing': no such operation" in lines[1]
    assert "--query 'GET /films': names no task" in lines[2]


def test_a_status_that_is_none_is_told(tmp_path: Path) -> None:
    """With the fields that there are."""
    _, result = begun(tmp_path, "flat.yaml", "--status-field", "object")
    assert result.exit_code == 2
    assert "GET /films/{film_id} has no status at object" in result.output


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    """Unless `--force` says so."""
    overlay, _ = begun(tmp_path, "wordless.yaml")
    overlay.write_text("mine", encoding="utf-8")
    _, refused = begun(tmp_path, "wordless.yaml")
    assert (refused.exit_code, overlay.read_text(encoding="utf-8")) == (2, "mine")
    assert "--force overwrites it" in refused.output
    assert begun(tmp_path, "wordless.yaml", "--force")[1].exit_code == 0
    other = tmp_path / "mocks" / "o.yaml"
    other.parent.mkdir()
    assert begun(tmp_path, "wordless.yaml", "--output", str(other))[1].exit_code == 0
    assert "extends: ../wordless.yaml" in other.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("openapi: 3.0.0\ninfo: {title: t}\npaths: {/a: {get: {responses: {}}}}\n", "looks like one that makes a task"),
        ("openapi: 3.0.0\ninfo: {title: t}\npaths: {/a: {get: {$ref: x.yaml}}}\n", "'x.yaml' does not exist"),
        ("overlay: 1.0.0\nactions: []\n", "is an overlay"),
        ("openapi: 3.1.0\nx-mock: {}\n", "is no OpenAPI document without x-mock"),
    ],
)
def test_a_document_without_a_job_is_told(tmp_path: Path, text: str, message: str) -> None:
    """In words, and nothing is written."""
    path = tmp_path / "api.yaml"
    path.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(main, ["init", str(path)])
    assert (result.exit_code, [each.name for each in tmp_path.iterdir()]) == (2, ["api.yaml"])
    assert message in result.output


def test_a_terminal_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The likeliest come first; a wrong number is asked again; several submits may be chosen."""
    monkeypatch.setattr(import_module("mockserver.cli.init"), "_is_terminal", lambda: True)
    shutil.copy(BARE / "envelope.yaml", tmp_path / "api.yaml")
    result = CliRunner().invoke(main, ["init", str(tmp_path / "api.yaml")], input="9\n1 2\n\n")
    assert result.exit_code == 0, result.output
    assert "Which operation makes a task?" in result.output
    assert "write a number up to 2" in result.output
    assert result.output.count("  submit  POST") == 2


def test_of_200_operations_the_likely_few_come_first(tmp_path: Path) -> None:
    """Whatever stands before them, and however much it looks like them."""
    data = yaml.safe_load((BARE / "flat.yaml").read_text(encoding="utf-8"))
    thing = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "status": {"enum": ["active", "blocked"], "type": "string"}},
    }
    answer = {"200": {"description": "ok", "content": {"application/json": {"schema": thing}}}}
    id_ = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    paths: dict[str, Any] = {}
    for number in range(25):
        for noun in ("users", "files", "webhooks", "teams"):
            body = {"content": {"application/json": {"schema": thing}}}
            paths[f"/{noun}{number}"] = {"post": {"requestBody": body, "responses": answer}}
            paths[f"/{noun}{number}/{{id}}"] = {"get": {"parameters": [id_], "responses": answer}}
    data["paths"] = {**paths, **data["paths"]}
    path = tmp_path / "large.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    entries = entries_of(document_alone(path)[1])
    assert len(entries) > 200
    assert submits_of(pairs(entries))[0].name == "POST /films"
    assert pairs(entries)[0].query.name == "GET /films/{film_id}"


TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "states", "ends"),
    [
        (TEXT, ["queued", "running"], ["succeeded", "failed"]),
        ({**TEXT, "example": "COMPLETED"}, ["QUEUED", "RUNNING"], ["COMPLETED", "FAILED"]),
        ({**TEXT, "description": "`wait`, `Busy`, then `ok` or `error`"}, ["wait", "Busy"], ["ok", "error"]),
        ({**TEXT, "enum": ["a", "b", "c", "d"]}, ["a", "b"], ["c", "d"]),
        ({**TEXT, "enum": ["open", "done"]}, ["open"], ["done", "failed"]),
        ({"type": "integer", "enum": [1, 2, 3]}, ["state_1"], ["state_2", "state_3"]),
        ({"type": "integer", "enum": [1, 2, 3], "description": "1=wait 2=done 3=error"}, ["wait"], ["done", "error"]),
        ({"type": "boolean"}, ["running"], ["succeeded", "failed"]),
    ],
    ids=str,
)
def test_states_of_a_status(tmp_path: Path, schema: Any, states: list[str], ends: list[str]) -> None:
    """Whatever the document says of them; a job gets to its end."""
    data = yaml.safe_load((BARE / "flat.yaml").read_text(encoding="utf-8"))
    film = data["components"]["schemas"]["Film"]
    name = "done" if schema["type"] == "boolean" else "status"
    film["properties"] = {"id": {"type": "string"}, name: schema, "url": {"type": "string", "format": "uri"}}
    film["required"] = ["id", name]
    path = tmp_path / "api.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    result = CliRunner().invoke(main, ["init", str(path)])
    assert result.exit_code == 0, result.output
    overlay = yaml.safe_load(path.with_suffix(".overlay.yaml").read_text(encoding="utf-8"))
    lifecycle = overlay["actions"][0]["update"]["x-mock"]["lifecycle"]
    assert (list(lifecycle["states"]), list(lifecycle["ends"])[:2]) == (states, ends)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *((word, "waiting") for word in ("queued", "IN_QUEUE", "Pending", "NotStarted", "not_started", "submitted")),
        *((word, "running") for word in ("in_progress", "IN_PROGRESS", "Running", "Processing", "dreaming")),
        *((word, "success") for word in ("succeeded", "SUCCESS", "Completed", "Ready", "done", "FINISHED")),
        *((word, "failure") for word in ("failed", "ERROR", "Content Moderated", "TIMED_OUT", "generate_failed")),
        *((word, "cancellation") for word in ("canceled", "CANCELLED", "aborted")),
        *((word, None) for word in ("unknown", "Task not found", "purple", "partially_completed")),
    ],
)
def test_words_of_a_status(word: str, kind: str | None) -> None:
    """In whatever way they are written."""
    assert kind_of(word) == kind
