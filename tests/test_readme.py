"""What the READMEs tell people to type is typed here."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from contracts.cli import main
from contracts.client.in_process import session
from mockserver import MockServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "mockserver/README.md", "mockserver/faults/README.md", "contracts/README.md", "specs/README.md")
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: How many terms a glossary explains at most.
GLOSSARY = 40
BIN = Path(sys.executable).parent
#: Flags of a pytest that leaves out what takes long to load.
QUICK = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest")


def block(kind: str, name: str, readme: str = "README.md") -> str:
    """Return the code block behind a marker such as <!-- command: demo -->."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    found = re.search(rf"<!-- {kind}: {name} -->\n```\w*\n(.*?)```", text, re.DOTALL)
    assert found, f"{readme} has no {kind} {name}"
    return found[1]


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command and return what came of it; the timeout only ends a command that hangs."""
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900, check=False)


@pytest.mark.slow(about_s=40)
def test_the_demo_command(tmp_path: Path) -> None:
    """The first command, typed into a fresh copy of the checkout, makes its environment and shows five good jobs."""
    ignore = shutil.ignore_patterns(".venv", ".git", "__pycache__", "tests", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, tmp_path / "fresh", ignore=ignore)
    command = block("command", "demo").strip()
    # The interpreter is the one under test; nothing else of the command is touched.
    command = command.replace("python3 -m venv", f"{sys.executable} -m venv", 1)
    done = run(["bash", "-euo", "pipefail", "-c", command], tmp_path / "fresh")
    assert done.returncode == 0, done.stderr[-2000:]
    for model in ("google/gemini-omni", "gemini-omni-video", "gemini_omni", "gemini-omni-flash"):
        assert model in done.stdout
    assert "signature valid" in done.stdout
    assert done.stdout.count("(503, 200)") == 3
    assert "went wrong" not in done.stdout


def test_ci_runs_the_test_command() -> None:
    """CI takes the test command from the README, and it is this suite's."""
    assert "command: test" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "-m pytest" in block("command", "test")


def test_ci_runs_the_quick_command() -> None:
    """CI runs the quick tests of the README with the lowest versions."""
    quick = block("command", "quick").strip().removeprefix(".venv/")
    assert f".venv-floors/{quick}" in (ROOT / ".ci/run").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_pytest_example(pytester: pytest.Pytester) -> None:
    """The example test passes as it stands."""
    pytester.makepyfile(block("example", "pytest"))
    pytester.runpytest_subprocess(*QUICK).assert_outcomes(passed=1)


@pytest.mark.slow
def test_the_intercept_example(pytester: pytest.Pytester) -> None:
    """The example of hard-coded hosts passes as it stands."""
    pytester.makepyfile(block("example", "intercept"))
    pytester.runpytest_subprocess(*QUICK).assert_outcomes(passed=1)


@pytest.mark.slow
def test_the_asyncio_example(tmp_path: Path) -> None:
    """The example program runs, and prints the failed job and its one exchange."""
    (tmp_path / "example.py").write_text(block("example", "asyncio"), encoding="utf-8")
    done = run([sys.executable, "example.py"], tmp_path)
    assert done.stdout == "failed 1\n", done.stderr


@pytest.mark.slow
def test_the_verbs_example(pytester: pytest.Pytester) -> None:
    """The example of failures on command passes as it stands."""
    pytester.makepyfile(block("example", "verbs"))
    pytester.runpytest_subprocess(*QUICK).assert_outcomes(passed=2)


@pytest.mark.slow
def test_the_example_of_failures_in_a_shell(tmp_path: Path) -> None:
    """Three tries, typed as they stand (but for the port): two refusals, then a task, which fails."""
    with serving(tmp_path, "--speed", "600") as port:
        typed = block("example", "fail").replace("localhost:4010", f"localhost:{port}")
        answers = run(["bash", "-c", typed], tmp_path).stdout.splitlines()
        assert [json.loads(answer).get("error", {}).get("code") for answer in answers] == [429, 429, None]
        with urllib.request.urlopen(f"http://localhost:{port}/__admin/requests") as found:
            records = json.load(found)["records"]
    assert [record["faults"] for record in records] == [["error"], ["error"], ["fail"]]


@pytest.mark.slow
def test_the_proxy_example(tmp_path: Path) -> None:
    """A request to a hard-coded https host, typed as it stands (but for the port), reaches the mock."""
    with MockServer() as mock:
        typed = block("example", "proxy").replace("localhost:4010", f"localhost:{mock.server.port}")
        typed = typed.replace(".venv/bin/mockserver", str(BIN / "mockserver"))
        answer = run(["bash", "-c", f"unset NO_PROXY no_proxy; {typed}"], tmp_path).stdout
        assert json.loads(answer)["data"]["token"]["remaining_credits"] == 1_000_000
        assert mock.journal.count(provider="evolink") == 1


@pytest.mark.slow
def test_the_exec_command(tmp_path: Path) -> None:
    """A command with a hard-coded https host, typed as it stands, is answered by a mock of its own."""
    typed = block("command", "exec").replace(".venv/bin/mockserver", str(BIN / "mockserver"))
    done = run(["bash", "-euo", "pipefail", "-c", typed], tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["token"]["remaining_credits"] == 1_000_000
    assert done.stderr == "mockserver: 1 request reached the mock\n"


@pytest.mark.slow
def test_the_scenario_commands(tmp_path: Path) -> None:
    """The gallery is listed, and a day of it is served; Ctrl-C says how it went."""
    listed, served = block("command", "scenario").replace(".venv/bin/", "").splitlines()
    assert "black_friday" in run([str(BIN / "mockserver"), *listed.split()[1:]], tmp_path).stdout
    with serving(tmp_path, *served.split()[2:]) as port:
        found = urllib.request.urlopen(f"http://localhost:{port}/__admin/scenarios")
        with found:
            assert json.load(found)["running"]["scenario"] == "black friday"
    assert "scenario black friday" in (tmp_path / "said").read_text(encoding="utf-8")


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[int]:
    """Run `mockserver serve` on a free port until the end of the block; what it says goes to a file."""
    said = folder / "said"
    with said.open("w", encoding="utf-8") as output:
        server = subprocess.Popen([str(BIN / "mockserver"), "serve", "--port", "0", *flags], stdout=output, cwd=folder)
        try:
            while not (found := re.search(r"127\.0\.0\.1:(\d+)", said.read_text(encoding="utf-8"))):
                assert server.poll() is None
            yield int(found[1])
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=300)


@pytest.mark.slow
def test_the_contract_example(pytester: pytest.Pytester) -> None:
    """The example of the fixture passes as it stands."""
    pytester.makepyfile(block("example", "contract"))
    pytester.runpytest_subprocess(*QUICK).assert_outcomes(passed=1)


@pytest.mark.slow
def test_the_contracts_commands(tmp_path: Path) -> None:
    """A journal that `serve` writes is judged."""
    serve, check = (
        line.partition("#")[0].replace(".venv/bin/", "").split() for line in block("command", "contracts").splitlines()
    )
    with serving(tmp_path, *serve[2:]) as port:
        urllib.request.urlopen(f"http://localhost:{port}/__admin/health").close()
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://localhost:{port}/evolink/v1/credits").close()
    done = run([str(BIN / check[0]), *check[1:]], tmp_path)
    assert (done.returncode, "auth.key-in-its-header" in done.stdout) == (1, True), done.stderr


@pytest.mark.slow
def test_the_reality_commands(tmp_path: Path) -> None:
    """A journal of this server has no differences, and its task is lived through again."""
    serve, compare, again = (
        line.partition("#")[0].replace(".venv/bin/", "").split() for line in block("command", "reality").splitlines()
    )
    body = json.dumps({"model": "gemini-omni-flash-text-to-video", "prompt": "a kite"}).encode()
    headers = {"Authorization": "Bearer sk-evolink-mock-key", "Content-Type": "application/json"}
    for flags in (serve, again):
        with serving(tmp_path, *flags[2:]) as port:
            url = f"http://localhost:{port}/evolink/v1/videos/generations"
            urllib.request.urlopen(urllib.request.Request(url, body, headers)).close()
            with urllib.request.urlopen(f"http://localhost:{port}/__admin/requests") as found:
                records = json.load(found)["records"]
        done = run([str(BIN / compare[0]), *compare[1:]], tmp_path)
        assert (done.returncode, "evolink: no differences in 1 record" in done.stdout) == (0, True), done.stdout
    assert records[0]["replayed"] == 1


@pytest.mark.slow(about_s=8)
def test_the_commands_from_a_bare_document_to_a_judged_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typed as they stand, but for the port, and fewer situations."""
    (tmp_path / "clips.yaml").write_text(block("example", "bare"), encoding="utf-8")
    (tmp_path / "my_clips.py").write_text(block("example", "bare-client"), encoding="utf-8")
    init, check, once, serve, judge = [
        each.replace(".venv/bin/", f"{BIN}/") for each in block("command", "bare").replace("\\\n", "").splitlines()
    ]
    for command, said in ((init, "queued → running → succeeded → its file"), (check, "no errors"), (once, "queued")):
        done = run(["bash", "-euo", "pipefail", "-c", command], tmp_path)
        assert (done.returncode, said in done.stdout) == (0, True), done.stdout + done.stderr
    with serving(tmp_path, *shlex.split(serve)[2:]) as port:
        request = urllib.request.Request(f"http://localhost:{port}/clips/v1/clips/none")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    judged = CliRunner().invoke(main, [*shlex.split(judge)[1:], "--max-examples", "0"])
    assert (judged.exit_code, "Traceback" in judged.stderr) == (1, False), judged.output
    assert "VIOLATED (must)  clips  results.without-key" in judged.stdout


@pytest.mark.slow(about_s=8)
def test_the_client_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of a client is judged by the command beside it, which says what the README shows.

    It asks without end where a task fails. Here it is stopped sooner than usual, and meets nothing that is drawn.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(session, "MOST_REQUESTS_PER_JOB", 200)
    (tmp_path / "my_client.py").write_text(block("example", "client"), encoding="utf-8")
    install, judge = block("command", "run").splitlines()
    assert install == ".venv/bin/pip install -q -e '.[contracts]'"
    done = CliRunner().invoke(main, [*shlex.split(judge)[1:], "--max-examples", "0"])
    assert (done.exit_code, "Traceback" in done.stderr) == (1, False)
    written = re.sub(r"\d+", "N", done.stdout).splitlines()
    for line in re.sub(r"\d+", "N", block("output", "run")).splitlines():
        assert line in written
    assert "MyClient" in (tmp_path / "report.html").read_text(encoding="utf-8")
    replay = block("output", "run").splitlines()[-1].partition("replay: ")[2]
    again = run([str(BIN / "contracts"), *shlex.split(replay)[1:]], tmp_path)
    assert again.returncode == 1
    assert "VIOLATED (must)  evolink  results.without-key" in again.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_the_command_for_any_language(tmp_path: Path) -> None:
    """A client of another language is judged by the command of the README; here in one situation."""
    words = shlex.split(block("command", "anything"))
    command = [str(BIN / "contracts"), *words[1:-2], "--speed", "600"]
    scenario = tmp_path / "calm.yaml"
    scenario.write_text("scenario: calm\ntimeline: []\n", encoding="utf-8")
    done = run([*command, "--scenario", str(scenario)], ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 violated" in done.stdout


@pytest.mark.slow
def test_the_provider_command(tmp_path: Path) -> None:
    """The server that the README starts is judged by the command of the README, and is in order."""
    words = shlex.split(block("command", "provider"))
    with serving(tmp_path) as port:
        command = [word.replace(":4010", f":{port}") for word in words[1:]]
        done = run([str(BIN / "contracts"), *command, "--max-examples", "3"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 violated" in done.stdout


@pytest.mark.slow
def test_every_flag_of_the_readme_exists() -> None:
    """Each --flag that the README names is one that the commands take, or curl."""
    help_text = "--cacert"
    for command in ("serve", "exec", "env", "record", "ca", "init", "tasks", "requests", "advance"):
        help_text += run([str(BIN / "mockserver"), command, "--help"], ROOT).stdout
    for command in ("run", "check", "drift", "provider"):
        help_text += run([str(BIN / "contracts"), command, "--help"], ROOT).stdout
    flags = set(re.findall(r"`(--[a-z-]+)", README)) | set(re.findall(r" (--[a-z]+-?[a-z]*) ", README))
    assert flags
    for flag in flags:
        assert flag in help_text, flag


@pytest.mark.parametrize("readme", READMES)
def test_every_link_leads_somewhere(readme: str) -> None:
    """Links to files in the checkout have a file behind them, and links to headings a heading."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    for target, heading in re.findall(r"\]\(([^)#:]*)(#[^)]*)?\)", text):
        path = (ROOT / readme).parent / target if target else ROOT / readme
        assert path.exists(), target
        if heading:
            headings = re.findall(r"(?m)^#+ (.*)$", path.read_text(encoding="utf-8"))
            assert heading in {"#" + re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("readme", ["mockserver/README.md", "contracts/README.md"])
def test_the_glossary_is_short(readme: str) -> None:
    """Each package explains its terms, and not too many of them."""
    _, _, glossary = (ROOT / readme).read_text(encoding="utf-8").partition("## Glossary")
    assert 10 < len(re.findall(r"(?m)^\| (?!term|---)", glossary.partition("\n## ")[0])) <= GLOSSARY


def test_the_provider_example(tmp_path: Path) -> None:
    """The provider of the package's README passes `check` as the command beside it says, and serves a job."""
    spec = tmp_path / "my-api.yaml"
    spec.write_text(block("example", "provider", "mockserver/README.md"), encoding="utf-8")
    check, serve = block("command", "check", "mockserver/README.md").replace(".venv/bin/", "").splitlines()
    done = run([str(BIN / "mockserver"), *check.split()[1:]], tmp_path)
    assert done.returncode == 0, done.stdout
    assert serve == f"mockserver serve --spec {spec.name}"
    with MockServer(specs=spec) as mock:
        headers = {"Authorization": f"Bearer {mock.key('my-api')}", "Content-Type": "application/json"}
        job = fetch(f"{mock.url('my-api')}/v1/jobs", headers, {"model": "film-1", "prompt": "a red kite"})
        mock.clock.advance(120)
        ended = fetch(f"{mock.url('my-api')}/v1/jobs/{job['id']}", headers)
        with urllib.request.urlopen(ended["url"]) as file:
            assert (ended["status"], file.headers["Content-Type"]) == ("succeeded", "video/mp4")


def fetch(url: str, headers: dict[str, str], body: Any = None) -> Any:
    """Send a request, and read the JSON of the answer."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
        return json.load(answer)
