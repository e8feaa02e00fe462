"""What is shipped beside the packages: the distribution, the action for GitHub, the container, the hook."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from mockserver import DISTRIBUTION, MockServer, __version__
from mockserver.cli import main

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(command: list[str], place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=place, env=env)


# -- the distribution -----------------------------------------------------------------------------


def test_the_distribution_says_what_it_is() -> None:
    """One name and one version, and classifiers for each Python that it is tested with."""
    assert (PROJECT["name"], PROJECT["version"]) == (DISTRIBUTION, __version__)
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    tested = ["3.11", *workflow["jobs"]["newest"]["strategy"]["matrix"]["python"]]
    prefix = "Programming Language :: Python :: "
    assert [each.removeprefix(prefix) for each in PROJECT["classifiers"] if each.startswith(prefix + "3.")] == tested


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build sdist and wheel; return their directory."""
    out = tmp_path_factory.mktemp("dist")
    done = run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)], out)
    assert done.returncode == 0, done.stderr[-2000:]
    return out


@pytest.mark.slow(about_s=15)
def test_the_distribution_can_be_published(built: Path) -> None:
    """The index would take both; they hold the packages, the specs and nothing of the tests' output."""
    files = sorted(built.iterdir())
    done = run([sys.executable, "-m", "twine", "check", "--strict", *map(str, files)], built)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"mockserver", "contracts"}
    assert {"mockserver/py.typed", "contracts/py.typed", "mockserver/_specs/x-mock.schema.json"} <= names
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        inner = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"tests/conftest.py", "specs/README.md", "constraints.txt", "CHANGELOG.md"} <= inner
    assert not [
        name for name in inner | names if "__pycache__" in name or (name.startswith(".") and name != ".gitignore")
    ]


@pytest.mark.slow(about_s=15)
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_what_is_installed_runs_away_from_the_checkout(kind: str, built: Path, tmp_path: Path) -> None:
    """Its dependencies are seen from ours; it serves its own specs, and judges a journal of its own."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin/python"
    site = next((environment / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text("\n".join(each for each in sys.path if each.endswith("site-packages")))
    package = str(next(built.glob(kind)))
    installed = run(
        [str(python), "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", str(package)], tmp_path
    )
    assert installed.returncode == 0, installed.stderr[-2000:]
    where = run([str(python), "-c", "import mockserver; print(mockserver.__file__)"], tmp_path).stdout.strip()
    assert where.startswith(str(environment))
    listed = run([str(environment / "bin/mockserver"), "providers", "--json"], tmp_path)
    assert len(json.loads(listed.stdout)) == 4, listed.stderr
    assert "black_friday" in run([str(environment / "bin/mockserver"), "scenarios"], tmp_path).stdout
    assert "lost_answer" in run([str(environment / "bin/mockserver"), "faults"], tmp_path).stdout
    ask = 'curl -fsS https://api.evolink.ai/v1/credits -H "Authorization: Bearer $EVOLINK_API_KEY"'
    journal, ca = str(tmp_path / "journal.ndjson"), str(tmp_path / "ca")
    command = [str(environment / "bin/mockserver"), "exec", "--journal", journal, "--ca-dir", ca, "--", "sh", "-c", ask]
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    judged = run([str(environment / "bin/contracts"), "check", journal], tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr


# -- GitHub ---------------------------------------------------------------------------------------


def steps(path: str) -> dict[str, dict[str, Any]]:
    """Return the steps of an action, by their names; inputs have their default values."""
    action = yaml.safe_load((ROOT / ".github" / path / "action.yml").read_text(encoding="utf-8"))
    defaults = {name: str(each.get("default", "")) for name, each in action["inputs"].items()}
    for step in action["runs"]["steps"]:
        assert step.get("shell") == "bash" or "uses" in step
        for name, value in step.get("env", {}).items():
            step["env"][name] = re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: defaults[found[1]], value)
    return {step["name"]: step for step in action["runs"]["steps"]}


@pytest.mark.slow(about_s=10)
@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("setsid") is None, reason="no curl, or no setsid")
def test_the_action_of_github(tmp_path: Path) -> None:
    """Started, used by the example's client, judged and annotated, as its steps say it; nothing goes on running."""
    (tmp_path / "mockserver").mkdir()
    (tmp_path / "mockserver/bin").symlink_to(BIN)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    files = {name: tmp_path / name.lower() for name in ("GITHUB_ENV", "GITHUB_OUTPUT")}
    given = {"RUNNER_TEMP": str(tmp_path), **{name: str(path) for name, path in files.items()}}
    start, judge = steps("action")["Start"], steps("action/report")["Stop and judge"]

    def step(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        return run(shell, tmp_path, **given, **environment)

    done = step(start["run"], **{**start["env"], "PORT": port, "ARGUMENTS": f"--speed 10000 --ca-dir {tmp_path}/ca"})
    process = int((tmp_path / "mockserver.pid").read_text())
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"url=http://127.0.0.1:{port}" in files["GITHUB_OUTPUT"].read_text()
        variables = dict(line.partition("=")[::2] for line in files["GITHUB_ENV"].read_text().splitlines())
        workflow = yaml.safe_load((ROOT / ".github/workflows/client.yml").read_text(encoding="utf-8"))
        client = next(each for each in workflow["jobs"]["client"]["steps"] if each.get("name") == "The client's tests")
        done = step(client["run"], **variables)
        assert done.returncode == 0, done.stderr
        # A client that goes on polling when its task has ended, so that there is something to annotate.
        url, key = f"http://127.0.0.1:{port}", variables["EVOLINK_API_KEY"]
        body = json.dumps({"model": "gemini-omni-flash-text-to-video", "prompt": "a kite"})
        curl = f"curl -fsS -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json'"
        task = json.loads(step(f"{curl} {url}/evolink/v1/videos/generations -d '{body}'").stdout)["id"]
        step(f"for i in 1 2 3 4 5 6; do {curl} {url}/evolink/v1/tasks/{task}; done")
        done = step(judge["run"], **{**judge["env"], "ARGUMENTS": "--provider evolink --fail-on should"})
        assert done.returncode == 1, done.stdout + done.stderr
        assert re.search(r"^::(error|warning|notice) ", done.stdout, re.MULTILINE), done.stdout
        report = tmp_path / "mockserver-report"
        assert {each.name for each in report.iterdir()} == {"journal.ndjson", "server.log", "report.html", "report.xml"}
        assert (report / "journal.ndjson").read_text(encoding="utf-8").count("\n") == 1 + 1 + 6
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)


@pytest.mark.skipif(shutil.which("setsid") is None, reason="no setsid")
def test_an_action_whose_server_does_not_start(tmp_path: Path) -> None:
    """The step fails, and shows what the server said."""
    (tmp_path / "mockserver").mkdir()
    (tmp_path / "mockserver/bin").symlink_to(BIN)
    start = steps("action")["Start"]
    given = {**start["env"], "ARGUMENTS": "--only nobody", "RUNNER_TEMP": str(tmp_path), "PORT": "0"}
    done = run(["bash", "-eo", "pipefail", "-c", start["run"]], tmp_path, **given)
    assert done.returncode == 1
    assert "nobody" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_action_installs_this_version_or_another() -> None:
    """From the checkout that the action is in, or from the index."""
    script = steps("action")["Install"]["run"]
    assert "$GITHUB_ACTION_PATH/../..[contracts]" in script
    assert (ROOT / ".github/action/../../pyproject.toml").is_file()
    assert f"{DISTRIBUTION}[contracts]$VERSION" in script


# -- containers and hooks -------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Containerfile, with their arguments."""
    text = (ROOT / "mockserver/Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_container_is_made_of_what_there_is() -> None:
    """It copies files that exist, installs extras that exist, and does not run as root."""
    given = instructions()
    for word, rest in given:
        if word == "COPY":
            assert all((ROOT / name).exists() for name in rest.split()[:-1])
    install = next(rest for word, rest in given if word == "RUN" and "pip install" in rest)
    extras = re.search(r"'\.\[([\w,]+)\]'", install)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
    words = [word for word, _ in given]
    user = dict(given)["USER"]
    assert int(user) > 0
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert dict(given)["EXPOSE"] == "4010"
    assert "--uid " + user in next(rest for word, rest in given if word == "RUN" and "useradd" in rest)


def test_the_containers_settings_and_health_check() -> None:
    """It listens for others, and its check succeeds while the server answers, and fails when it does not."""
    given = dict(instructions())
    settings = dict(pair.split("=") for pair in given["ENV"].split())
    assert (settings["MOCKSERVER_HOST"], json.loads(given["CMD"])) == ("0.0.0.0", ["serve"])
    command = json.loads(given["HEALTHCHECK"].partition("CMD ")[2])
    with MockServer(host="0.0.0.0", only="evolink") as mock:
        here = [each.replace("127.0.0.1:4010", f"127.0.0.1:{mock.server.port}") for each in command]
        here[0] = sys.executable
        assert here != command
        assert run(here, ROOT).returncode == 0
    assert run(here, ROOT).returncode == 1


def builder() -> str | None:
    """Return what can build an image here, if anything can."""
    for name in ("docker", "podman"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return name
    return None


@pytest.mark.slow(about_s=5)
def test_the_image() -> None:
    """Built and run: it answers, is healthy, and is not root."""
    name = builder()
    if name is None:
        pytest.skip("no docker or podman with a running engine; the steps of the Containerfile are checked above")
    built = run([name, "build", "-q", "-f", "mockserver/Containerfile", "-t", "mockserver-test", "."], ROOT)
    assert built.returncode == 0, built.stderr
    done = run([name, "run", "--rm", "mockserver-test", "providers", "--json"], ROOT)
    assert len(json.loads(done.stdout)) == 4
    who = run([name, "run", "--rm", "--entrypoint", "id", "mockserver-test", "-u"], ROOT)
    assert who.stdout.strip() == "10001"


def test_the_hook_of_pre_commit(tmp_path: Path) -> None:
    """It is `mockserver check`, for files in folders of specs."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    program, *words = hook["entry"].split()
    assert (program, hook["language"]) == ("mockserver", "python")
    ours = [str(each.relative_to(ROOT)) for each in sorted((ROOT / "specs").glob("*.yaml"))]
    assert all(re.search(hook["files"], each) for each in ours)
    assert not re.search(hook["files"], "docs/other.yaml")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("openapi: 3.1.0\n", encoding="utf-8")
    runner = CliRunner()
    assert runner.invoke(main, [*words, str(ROOT / ours[0])]).exit_code == 0
    assert runner.invoke(main, [*words, str(wrong)]).exit_code == 1
