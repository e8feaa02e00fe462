"""The command line, as a person meets it: real processes, real signals."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from mockserver import terminal as banner
from mockserver.cli import main
from mockserver.edge.rule_codec import catalogue
from mockserver.faults import FAMILIES, all_faults, described, directives
from mockserver.scenarios.read import gallery, read
from mockserver.spec.catalog import load_providers

if TYPE_CHECKING:
    from collections.abc import Iterator

MOCKSERVER = str(Path(sys.executable).parent / "mockserver")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run mockserver to its end."""
    env = {**os.environ, **environment}
    return subprocess.run([MOCKSERVER, *arguments], capture_output=True, text=True, timeout=300, check=False, env=env)


def refused_with(complaint: str, *arguments: str) -> None:
    """Run wrong use in this process, which is quicker; it exits with 2 and says so, without a traceback."""
    done = CliRunner().invoke(main, arguments)
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 2, done.output
    assert complaint in done.output
    assert "Traceback" not in done.output


@contextmanager
def serving(
    *arguments: str, program: tuple[str, ...] = (MOCKSERVER,), **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """Start `serve` on a free port; give the process, the address and the banner."""
    process = subprocess.Popen(
        [*program, "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    banner: list[str] = []
    try:
        for line in process.stdout:
            banner.append(line.rstrip())
            if line.startswith("stop with"):
                break
        found = re.search(r"http://\S+", "\n".join(banner))
        assert found, process.stderr.read()
        yield process, found[0], banner
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def fetch(url: str, headers: dict[str, str] | None = None, body: Any = None) -> Any:
    """Ask, and return the JSON of the answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end the server, with exit 0 and nothing on stderr."""
    with serving() as (process, url, _):
        assert fetch(f"{url}/__admin/health")["status"] == "ok"
        process.send_signal(number)
        assert process.wait(timeout=300) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.slow
def test_signals_end_it_with_open_connections() -> None:
    """An idle connection and a half-sent request do not keep the server from ending."""
    with serving() as (process, url, _):
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(b"POST /evolink/v1/videos/generations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            fetch(f"{url}/__admin/health")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=300) == 0


#: A Python as on Windows: without uvloop, Unix's modules and signals, and with loops that know no signals.
AS_ON_WINDOWS = """
import asyncio, os, signal, sys
for name in ("uvloop", "fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCHLD"):
    delattr(signal, name)
for name in ("fork", "getuid", "geteuid", "setsid"):
    delattr(os, name)

def unknown(*_given):
    raise NotImplementedError

asyncio.unix_events._UnixSelectorEventLoop.add_signal_handler = unknown
from mockserver.__main__ import main
sys.argv = ["mockserver", *sys.argv[1:]]
main()
"""


@pytest.mark.slow
def test_where_there_is_no_uvloop_and_no_unix(tmp_path: Path) -> None:
    """`serve` answers, keeps a journal and ends by Ctrl-C; `exec` says what to use instead."""
    journal = tmp_path / "journal.ndjson"
    with serving("--journal", str(journal), program=(sys.executable, "-c", AS_ON_WINDOWS)) as (process, url, _):
        assert fetch(f"{url}/__admin/health")["status"] == "ok"
        fetch(f"{url}/evolink/v1/credits", {"Authorization": "Bearer sk-a-key-of-mine"})
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert journal.read_text(encoding="utf-8").count("\n") == 1
    command = [sys.executable, "-c", AS_ON_WINDOWS, "exec", "--", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "use `mockserver serve`" in done.stderr) == (2, True), done.stderr


@pytest.mark.slow
def test_a_taken_port_is_one_line() -> None:
    """A port in use is one line that says what to do, and exit 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port))
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(rf"mockserver: cannot listen on 127\.0\.0\.1:{port}: .*--port.*\n", done.stderr)


@pytest.mark.slow
def test_the_banner_is_true(tmp_path: Path) -> None:
    """The banner names every base URL with a key that works, the seed, the CA, and what is not as documented."""
    ca = str(tmp_path / "a ca")
    with serving("--seed", "7", "--speed", "60", "--ca-dir", ca) as (_, url, banner):
        text = "\n".join(banner)
        assert f"`mockserver ca --ca-dir '{ca}'`" in text
        assert "seed 7" in text
        assert "60x real time" in text
        for provider in fetch(f"{url}/__admin/providers")["providers"]:
            assert provider["base_url"] in text
        curl = next(line.strip() for line in banner if line.strip().startswith("curl"))
        done = subprocess.run(["bash", "-c", f"{curl} -s"], capture_output=True, text=True, timeout=300, check=True)
        assert json.loads(done.stdout)["data"]["task_id"]
        assert f"live page: {url}/__admin/ui" in banner


@pytest.mark.slow
def test_one_provider_at_the_root() -> None:
    """`--only` serves one provider at its real paths, and nothing of the others."""
    with serving("--only", "evolink") as (_, url, banner):
        key = next(line.split("key: ")[1] for line in banner if "key: " in line)
        body = {"model": "gemini-omni-flash-text-to-video", "prompt": "a kite"}
        task = fetch(f"{url}/v1/videos/generations", {"Authorization": f"Bearer {key}"}, body)
        assert task["status"] == "pending"
        assert len(fetch(f"{url}/__admin/providers")["providers"]) == 1


@pytest.mark.slow
def test_another_host_wants_a_token() -> None:
    """On a host that others can reach, the banner prints a token and the control plane asks for it."""
    with serving("--host", "0.0.0.0") as (_, url, banner):
        token = next(line.split(": ")[1] for line in banner if line.startswith("admin token"))
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(f"{url}/__admin/health")
        assert refused.value.code == 401
        refused.value.close()
        assert fetch(f"{url}/__admin/health", {"Authorization": f"Bearer {token}"})["status"] == "ok"
        page = next(line.split(": ")[1] for line in banner if line.startswith("live page"))
        with urllib.request.urlopen(page) as answer:
            assert answer.status == 200


@pytest.mark.slow
def test_settings_by_file_environment_and_flag(tmp_path: Path) -> None:
    """Flags win over the environment, the environment over the file, the file over the defaults."""
    config = tmp_path / "mockserver.toml"
    config.write_text('seed = 1\nclock = "manual"\n[providers.crun]\ndialects = ["always_200"]\n')
    with serving("--config", str(config), "--seed", "3", MOCKSERVER_SEED="2", MOCKSERVER_SPEED="4") as (_, url, banner):
        assert "seed 3" in banner[0]
        assert any("crun uses the dialect always_200" in line for line in banner)
        assert fetch(f"{url}/__admin/clock")["speed"] == 0
        assert fetch(f"{url}/crun/api/v1/nowhere")["code"] == 404


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sped = 1", "unknown key 'sped'"),
        ("speed = 'fast'", "got 'fast'"),
        ("port = 70000", "got 70000"),
        ("credits = 'many'", "must be one of ample, documented"),
        ("[providers.evolink]\nplans = 'x'", "unknown key 'plans'"),
        ("[providers.nobody]\nplan = 'x'", "unknown provider; known: "),
        ("[providers.googlegeminiomni]\nplan = 'gold'", "must be one of "),
        ("[providers.crun]\ndialects = ['nope']", "unknown dialect 'nope'"),
        ("speed = ", "not valid TOML"),
        ('host = "a\\u0000b"', "must be a non-empty string without null characters"),
        ('journal = "a\\u0000b"', "must be a non-empty string without null characters"),
        ('spec = ["a\\u0000b"]', "must be a list of strings"),
        ('public_url = "http:// a b"', "must be a URL that starts with"),
        ("request_timeout_s = 1\nrequest-timeout-s = 2", "is set twice"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """A mistake in the configuration file is a line that says what and what would do, and exit 2."""
    config = tmp_path / "mockserver.toml"
    config.write_text(text, encoding="utf-8")
    refused_with(complaint, "serve", "--port", "0", "--config", str(config))


@pytest.mark.slow
def test_a_host_that_cannot_be_a_name_is_refused(tmp_path: Path) -> None:
    """A host that no resolver takes is a line, too."""
    config = tmp_path / "mockserver.toml"
    config.write_text('host = "\u00fc..b"', encoding="utf-8")
    done = run("serve", "--port", "0", "--config", str(config))
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a host name" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--speed", "-1"], "got -1.0"),
        (["--clock", "sundial"], "one of real, manual"),
        (["--clock", "manual", "--speed", "60"], "--speed 60 has no effect on a manual clock"),
        (["--only", "nobody"], "unknown provider 'nobody'"),
        (["--dialect", "crun"], "PROVIDER=NAME"),
        (["--dialect", "nobody=x"], "unknown provider 'nobody'"),
        (["--plan", "crun=gold"], "got 'gold'"),
        (["--spec", "missing.yaml"], "missing.yaml: cannot be read"),
        (["--config", "missing.toml"], "missing.toml: not readable"),
        (["--host", "no.such.host.invalid"], "cannot listen on"),
        (["--journal", "/no/such/folder/journal.ndjson"], "journal"),
        (["--callback-ca", "/no/such/ca.pem"], "callback"),
        (["--no-builtin"], "no specs to serve"),
    ],
)
def test_wrong_flags_are_refused(arguments: list[str], complaint: str) -> None:
    """A wrong flag is told in a line, with exit 2 and without a traceback."""
    refused_with(complaint, "serve", *arguments)


@pytest.mark.slow
def test_paths_of_a_file_are_beside_it(tmp_path: Path) -> None:
    """What a configuration file names is looked for, and written, where the file is."""
    folder = tmp_path / "beside"
    folder.mkdir()
    (folder / "day.yaml").write_text("scenario: a day of mine\ntimeline: []\n")
    (folder / "mockserver.toml").write_text('scenario = "day.yaml"\njournal = "journal.ndjson"\n')
    with serving("--config", str(folder / "mockserver.toml")) as (process, url, banner):
        assert any("day.yaml is active" in line for line in banner)
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(f"{url}/evolink/v1/credits")
        refused.value.close()
        process.terminate()
        assert process.wait(60) == 0
    assert (folder / "journal.ndjson").read_text(encoding="utf-8").count("\n") == 1


@pytest.mark.slow
def test_an_unknown_variable_is_refused() -> None:
    """A misspelt MOCKSERVER_ variable is refused, not ignored."""
    done = run("serve", MOCKSERVER_SPEDD="60")
    assert done.returncode == 2
    assert "unknown environment variable MOCKSERVER_SPEDD; known: MOCKSERVER_" in done.stderr


def test_not_a_number_is_no_speed() -> None:
    """`nan` is told to be no number, by the flag's own name."""
    done = run("serve", "--speed", "nan")
    assert done.returncode == 2
    assert "--speed must be a number from 0 to 1,000,000; got nan" in done.stderr


@pytest.mark.slow
def test_the_journal_file_is_whole_after_a_signal(tmp_path: Path) -> None:
    """Everything that was exchanged stands in the journal's file when the server has been stopped."""
    file = tmp_path / "run.ndjson"
    with serving("--journal", str(file)) as (process, url, _):
        for _ in range(5):
            with pytest.raises(urllib.error.HTTPError) as refused:
                fetch(f"{url}/evolink/v1/credits")
            refused.value.close()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=300)
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert [record["seq"] for record in records] == [1, 2, 3, 4, 5]
    assert {record["gate"] for record in records} == {"key"}


def test_providers_lists_what_is_served() -> None:
    """`providers` names every model, plan and dialect, and how to switch it on."""
    text = said("providers")
    for word in ("google/gemini-omni", "premium", "always_200", "--dialect crun=always_200", "POST /api/v1/generate"):
        assert word in text
    listed = json.loads(said("providers", "--json"))
    assert {each["name"] for each in listed} == {"toapis", "crun", "evolink", "googlegeminiomni"}


@pytest.mark.slow
def test_check_says_file_line_and_fix(tmp_path: Path) -> None:
    """`check` names the line of each fault and what to do, and exits 1; a good spec exits 0."""
    specs = Path(__file__).parent.parent / "specs"
    assert said("check", *map(str, sorted(specs.glob("*.yaml"))))
    good = (specs / "evolink-gemini-omni-flash.yaml").read_text()
    bad = tmp_path / "bad.yaml"
    bad.write_text(good.replace("timeout_s: 10", "timeout_s: 10\n    patience: 3"))
    done = run("check", str(bad))
    line = next(number for number, text in enumerate(bad.read_text().splitlines(), 1) if "patience" in text)
    assert done.returncode == 1
    assert f"{bad}:{line}: x-mock/callbacks/patience: unknown key: patience (" in done.stdout


@pytest.mark.slow
def test_demo_drives_every_document() -> None:
    """`demo` ends with exit 0, a good line for each document, and a table."""
    done = run("demo", COLUMNS="160")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if " > " in line]
    assert len(lines) == 5
    assert all(line.endswith("bytes") for line in lines)
    assert "signature valid" in done.stdout
    assert done.stderr == ""


# -- what is listed -------------------------------------------------------------------------------


def said(*arguments: str, columns: int = 200) -> str:
    """Run a command that lists something in this process; return what it writes."""
    done = CliRunner(env={"COLUMNS": str(columns)}).invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def words_of(text: str) -> str:
    """Return the words of a table, without its lines and without where it was broken."""
    return " ".join(re.sub(r"[\u2500-\u257f]", " ", text).split())


def test_faults_lists_every_fault() -> None:
    """`faults` names every fault, family by family, with what it breaks, how a client notices, and its parameters."""
    text = words_of(said("faults", columns=400))
    for kind in all_faults().values():
        about = described(kind)
        assert f"{about['name']} {about['breaks']} A client notices: {about['notice']}" in text
        for parameter in about["parameters"]:
            assert f"{parameter['name']} = {json.dumps(parameter['default'])}" in text
            assert parameter["summary"] in text
            assert all(choice in text for choice in parameter["choices"])
    assert next(word for word in text.split() if word in FAMILIES) == "answers"


def test_faults_as_json() -> None:
    """`faults --json` is the catalogue, as the control plane has it."""
    assert json.loads(said("faults", "--json")) == json.loads(json.dumps(catalogue()))


def test_scenarios_lists_the_gallery() -> None:
    """`scenarios` names each scenario of the gallery by the name that `serve` takes, and what a good client does."""
    text = said("scenarios")
    for name, path in gallery().items():
        scenario = read(path)
        assert f"{name}\n  {scenario.summary}\n  A good client: {scenario.good_client}\n" in text


@pytest.mark.slow
def test_scenarios_checks_files_as_a_process(tmp_path: Path) -> None:
    """`scenarios FILE` ends with 0 for a good file, and with 1 and a line for a bad one; a folder is wrong usage."""
    good = next(iter(gallery().values()))
    bad = tmp_path / "bad.yaml"
    bad.write_text("scenario: a\ntimeline:\n  - fault: eror\n")
    done = run("scenarios", str(good))
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 scenario checked: no errors\n", "")
    done = run("scenarios", str(good), str(bad))
    assert (done.returncode, done.stderr) == (1, "1 error\n")
    assert done.stdout == f"{bad}:3: timeline/0/fault: unknown fault 'eror'; did you mean 'error'?\n"
    assert CliRunner().invoke(main, ["scenarios", str(tmp_path)]).exit_code == 2


def test_providers_shows_test_values_and_keys() -> None:
    """`providers` shows every test value with what it does, and every test key with whose it is."""
    text = words_of(said("providers", columns=400))
    for value, summary in directives.test_values():
        assert f"{value} {summary}" in text
    for provider in load_providers():
        for key, kind in provider.key.test_keys.items():
            assert f"{key} ({banner._KEYS[kind]})" in text


def test_a_spec_is_listed_by_the_letter(tmp_path: Path) -> None:
    """What stands in a spec of one's own is shown as it is, although other programs would take it for markup."""
    text = (Path(__file__).parent.parent / "specs" / "evolink-gemini-omni-flash.yaml").read_text()
    spec = tmp_path / "mine.yaml"
    spec.write_text(text.replace("title: EvoLink\n", "title: 'EvoLink [/b] [red]:key:'\n"))
    assert spec.read_text() != text
    assert "EvoLink [/b] [red]:key:" in said("providers", "--spec", str(spec))


@pytest.mark.parametrize("columns", [1, 20, 40, 80])
@pytest.mark.parametrize("command", ["providers", "faults", "scenarios"])
def test_narrow_terminals(command: str, columns: int) -> None:
    """However narrow the terminal, everything is listed; from 40 columns on, no name of a fault is cut."""
    text = said(command, columns=columns)
    assert text
    if command != "scenarios" and columns >= 40:
        assert max(map(len, text.splitlines())) <= columns
    if command == "faults" and columns >= 40:
        assert [name for name in all_faults() if name not in text] == []


def test_help() -> None:
    """`--help` names every command, and each command's every option with what it does, and its variable."""
    of_a_server = {"tasks", "requests", "advance"}
    assert set(main.commands) == of_a_server | {
        *("serve", "exec", "record", "env", "demo", "providers", "faults", "scenarios", "init", "check", "ca")
    }
    text = said("--help")
    for name, command in main.commands.items():
        assert re.search(rf"^  {name}  +[A-Z]", text, re.MULTILINE)
        shown = said(name, "--help")
        assert shown.startswith(f"Usage: main {name} ")
        assert (command.help or "").split(".")[0] in " ".join(shown.split())
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help
                assert all(flag in shown for flag in option.opts)
                assert option.envvar is None or str(option.envvar) in shown
    assert "-h, --help" in said("serve", "-h")


@pytest.mark.parametrize("command", ["faults", "scenarios", "providers", "serve", "exec", "env", "demo", "check", "ca"])
def test_flags_that_are_none(command: str) -> None:
    """A flag that a command does not know is wrong usage, told in words."""
    done = CliRunner().invoke(main, [command, "--colour"])
    assert done.exit_code == 2
    assert "No such option" in done.output


def test_watch_wants_a_scenario() -> None:
    """`serve --watch` with nothing to watch is refused, not passed over."""
    done = CliRunner().invoke(main, ["serve", "--watch"])
    assert done.exit_code == 2
    assert "requires a scenario file" in done.output
