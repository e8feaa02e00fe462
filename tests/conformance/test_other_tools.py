"""The specs are read by the tools of others: linters find nothing, and generated clients run a job.

The tools are installed once into a cache folder; where npm, Node or the network are absent, the tests are skipped.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.other_tools import node_tools, python_tools, run

from mockserver import MockServer
from mockserver.spec.document import Document
from mockserver.spec.vocabulary import builtin_specs

if TYPE_CHECKING:
    from collections.abc import Iterator

SPECS = builtin_specs()
ALL_DOCUMENTS = [str(path) for path in (*SPECS, Path(__file__).parents[2] / "mockserver/edge/control-plane.yaml")]


class Job(NamedTuple):
    """How a generated client submits and queries a task."""

    provider: str
    submit: tuple[str, str]
    query: tuple[str, str]
    place: str
    parameter: str
    id: str
    status: str
    done: str
    auth_prefix: str = "Bearer"
    auth_header: str = "Authorization"


_TOAPIS = Job(
    "toapis",
    ("/v1/videos/generations", "video.create_video"),
    ("/v1/videos/generations/{task_id}", "task.get_task"),
    "path",
    *("task_id", "id", "status", "completed"),
)
JOBS = {
    "toapis-gemini-omni": _TOAPIS,
    "toapis-gemini-omni-flash": _TOAPIS,
    "evolink-gemini-omni-flash": _TOAPIS._replace(provider="evolink", query=("/v1/tasks/{task_id}", "task.get_task")),
    "crun-gemini-omni": Job(
        "crun",
        ("/api/v1/client/job/CreateTask", "job.create_task"),
        ("/api/v1/client/job/TaskInfo", "job.get_task_info"),
        "query",
        *("task_id", "data.task_id", "data.status", "success", "", "x-api-key"),
    ),
    "googlegeminiomni": Job(
        "googlegeminiomni",
        ("/api/v1/generate", "job.submit_job"),
        ("/api/v1/jobs/{jobId}", "job.get_job"),
        "path",
        *("jobId", "jobId", "status", "done"),
    ),
}

TYPESCRIPT = """
import createClient from "openapi-fetch";
import type { paths } from "./%(stem)s.js";
declare const process: { env: Record<string, string> };
const client = createClient<paths>({
  baseUrl: process.env["BASE_%(provider)s"],
  headers: { "%(header)s": process.env["AUTH_%(provider)s"] },
});
const submitted = await client.POST("%(submit)s", { body: %(body)s });
if (!submitted.data) throw new Error(JSON.stringify(submitted.error));
const id = submitted.data.%(id)s;
for (let status = ""; status !== "%(done)s"; await new Promise((r: any) => (globalThis as any).setTimeout(r, 50))) {
  const asked = await client.GET("%(query)s", { params: { %(place)s: { %(parameter)s: id } } });
  if (!asked.data) throw new Error(JSON.stringify(asked.error));
  status = asked.data.%(status)s;
  if (status === "failed") throw new Error("failed");
}
console.log("done %(stem)s", id);
"""

PYTHON = """
import importlib, json, os, sys, time
stem, provider, submit, query, place, at_id, at_status, done, prefix, header, body = sys.argv[1:]
package = stem.replace("-", "_")
models = importlib.import_module(package + ".models")
client = importlib.import_module(package).AuthenticatedClient(
    base_url=os.environ["BASE_" + provider], token=os.environ["KEY_" + provider], prefix=prefix, auth_header_name=header
)
def at(value, path):
    for name in path.split("."):
        value = value[name]
    return value
call = importlib.import_module(package + ".api." + submit)
request = next(getattr(models, name) for name in ("VideoRequest", "TaskRequest") if hasattr(models, name))
answer = call.sync_detailed(client=client, body=request.from_dict(json.loads(body)))
assert answer.status_code == 200 and answer.parsed is not None, answer
task = at(answer.parsed.to_dict(), at_id)
ask = importlib.import_module(package + ".api." + query)
status = ""
while status != done:
    given = ((task,), {}) if place == "path" else ((), {"task_id": task})
    answer = ask.sync_detailed(*given[0], client=client, **given[1])
    assert answer.status_code == 200 and answer.parsed is not None, answer
    status = at(answer.parsed.to_dict(), at_status)
    assert status != "failed", answer
    time.sleep(0.05)
print("done", stem, task)
"""


@pytest.fixture
def addresses() -> Iterator[dict[str, str]]:
    """Run a mock in which a task takes a fraction of a second; give what the clients need to reach it."""
    with MockServer(clock="real", speed=600) as mock:
        out: dict[str, str] = {}
        for name in {job.provider for job in JOBS.values()}:
            key = mock.key(name)
            bearer = next(job for job in JOBS.values() if job.provider == name).auth_prefix
            out |= {f"BASE_{name}": mock.url(name), f"KEY_{name}": key, f"AUTH_{name}": f"{bearer} {key}".strip()}
        yield out


def example_of(path: Path) -> str:
    """Return the example body of a spec's first model."""
    return json.dumps(next(iter(Document.read(path).data["x-mock"]["models"].values()))["example"])


@pytest.mark.slow(40)
def test_redocly_finds_nothing(tmp_path: Path) -> None:
    """All six documents are valid to redocly, with the rules of the specification."""
    redocly = str(node_tools() / ".bin" / "redocly")
    ran = run([redocly, "lint", "--extends=spec", "--format=json", *ALL_DOCUMENTS], tmp_path)
    counts = re.findall(r'"(?:errors|warnings|ignored)": ([0-9]+)', ran.stdout)
    assert counts == ["0"] * 3 * len(ALL_DOCUMENTS), ran.stdout


@pytest.mark.slow(15)
def test_spectral_finds_nothing(tmp_path: Path) -> None:
    """All six documents are clean to spectral, with its rules for OpenAPI."""
    spectral = str(node_tools() / ".bin" / "spectral")
    (tmp_path / "rules.yaml").write_text('extends: ["spectral:oas"]\n', encoding="utf-8")
    ran = run([spectral, "lint", "-r", "rules.yaml", "-f", "json", "--fail-severity=hint", *ALL_DOCUMENTS], tmp_path)
    assert json.JSONDecoder().raw_decode(ran.stdout)[0] == []


@pytest.mark.slow(20)
def test_typescript_clients_run_a_job(tmp_path: Path, addresses: dict[str, str]) -> None:
    """openapi-typescript generates all five; programs against its types compile, and run a job to its end."""
    modules = node_tools()
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
    for path in SPECS:
        job = JOBS[path.stem]
        generate = [str(modules / ".bin" / "openapi-typescript"), str(path), "-o", f"{path.stem}.d.ts"]
        run([*generate, "--default-non-nullable=false"], tmp_path)
        facts = job._asdict() | {"submit": job.submit[0], "query": job.query[0], "header": job.auth_header}
        program = TYPESCRIPT % {**facts, "stem": path.stem, "body": example_of(path)}
        (tmp_path / f"job-{path.stem}.ts").write_text(program, encoding="utf-8")
    programs = [f"job-{path.stem}.ts" for path in SPECS]
    options = ("--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "--lib", "es2022,dom")
    run([str(modules / ".bin" / "tsc"), *options, *programs], tmp_path)
    (tmp_path / "all.js").write_text(
        "".join(f'await import("./{each.removesuffix(".ts")}.js");\n' for each in programs), encoding="utf-8"
    )
    said = run(["node", "all.js"], tmp_path, addresses).stdout
    assert said.count("done ") == len(SPECS)


@pytest.mark.slow(40)
def test_python_clients_run_a_job(tmp_path: Path, addresses: dict[str, str]) -> None:
    """openapi-python-client generates all five without a warning, and its clients run a job to its end."""
    tools = python_tools()
    (tmp_path / "job.py").write_text(PYTHON, encoding="utf-8")
    said = ""
    for path in SPECS:
        job = JOBS[path.stem]
        config = {
            "post_hooks": [],
            "content_type_overrides": {
                "video/mp4": "application/octet-stream",
                "audio/mp4": "application/octet-stream",
                "application/xml": "text/html",
            },
        }
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        package = path.stem.replace("-", "_")
        generate = [str(tools / "openapi-python-client"), "generate", "--meta", "none", "--config", "config.json"]
        ran = run([*generate, "--path", str(path), "--output-path", package], tmp_path)
        assert "WARNING" not in ran.stdout + ran.stderr, ran.stdout
        facts = (path.stem, job.provider, job.submit[1], job.query[1], job.place, job.id, job.status, job.done)
        program = [str(tools / "python"), "job.py", *facts, job.auth_prefix, job.auth_header, example_of(path)]
        said += run(program, tmp_path, {"PYTHONPATH": str(tmp_path), **addresses}).stdout
    assert said.count("done ") == len(SPECS)
