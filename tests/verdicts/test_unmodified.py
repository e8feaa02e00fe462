"""Commands with hard-coded https hosts, judged as they are: `contracts run --command`, with `--isolate` and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.traffic import Traffic, providers

from contracts.cli import main
from contracts.client.campaign import stray_addresses
from contracts.client.run import Run
from contracts.client.subject import Setting
from contracts.client.subprocess.command import environment
from contracts.client.subprocess.time_scale import scaled_environment
from mockserver.certificates import Authority
from mockserver.launch.environment import ClientFiles

CONTRACTS = str(Path(sys.executable).parent / "contracts")
#: A client of EvoLink that knows nothing of any mock; it also wants to report to somebody.
CLIENT = """
import json, os, sys, time, urllib.request
if "directly" in sys.argv:
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))
headers = {"Authorization": "Bearer " + os.environ["EVOLINK_API_KEY"], "Content-Type": "application/json",
           "User-Agent": "films/1"}
def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
        return json.load(answer)
api = "https://api.evolink.ai/v1"
body = {"model": "gemini-omni-flash-text-to-video", "prompt": os.environ["CONTRACT_PROMPT"], "duration": 6}
task = call(f"{api}/videos/generations", body)
try:
    urllib.request.urlopen("https://errors.example.com/report", timeout=30)
except OSError:
    pass
while task["status"] != "completed":
    time.sleep(5)
    task = call(f"{api}/tasks/{task['id']}")
with urllib.request.urlopen(task["results"][0], timeout=30) as file, open("film.mp4", "wb") as film:
    film.write(file.read())
print("film.mp4")
"""


#: A task ends within a second; the client's waits are a tenth as long.
QUICK = ("--speed", "30", "--time-scale", "10")


def words_of(tmp_path: Path, client: str, *options: str) -> list[str]:
    """Write a client; return the words that judge it without faults."""
    (tmp_path / "client.py").write_text(client, encoding="utf-8")
    (tmp_path / "calm.yaml").write_text("scenario: calm\ntimeline: []\n", encoding="utf-8")
    command = f"{sys.executable} client.py {'directly' if '--isolate' in options else ''}"
    return ["run", "--provider", "evolink", "--command", command, "--scenario", "calm.yaml", *QUICK, *options]


@pytest.fixture
def in_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a directory, where the user's own exceptions would lead to real hosts."""
    monkeypatch.chdir(tmp_path)
    for name, value in EXCEPTIONS.items():
        monkeypatch.setenv(name, value)
    return tmp_path


EXCEPTIONS = {"NO_PROXY": "api.evolink.ai", "no_proxy": "*"}


def judged(folder: Path, client: str) -> tuple[int, str]:
    """Judge a client in this process; return the exit code, and what is said."""
    done = CliRunner().invoke(main, words_of(folder, client))
    return done.exit_code, done.output


@pytest.mark.slow(about_s=4)
def test_a_client_that_needs_no_base_url(in_directory: Path) -> None:
    """It is judged like any other, and clean; the host that it was kept from is named, and no violation."""
    code, said = judged(in_directory, CLIENT)
    assert code == 0, said
    assert "0 violated" in said
    assert "note: the client tried to reach errors.example.com:443, which is not mocked, and was kept from it" in said
    assert "no request" not in said


@pytest.mark.slow(about_s=4)
def test_a_client_that_ignores_its_environment(tmp_path: Path) -> None:
    """With `--isolate` it is judged the same way, and reaches nothing else."""
    words = [CONTRACTS, *words_of(tmp_path, CLIENT, "--isolate")]
    env = {**os.environ, **EXCEPTIONS}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    code, said = done.returncode, done.stdout + done.stderr
    if code == 2 and "not possible" in said:
        pytest.skip(said)
    assert code == 0, said
    assert "0 violated" in said
    assert "note: the client tried to reach errors.example.com, which is not mocked, and was kept from it" in said


@pytest.mark.slow(about_s=3)
def test_a_client_of_another_host(in_directory: Path) -> None:
    """Of a client that asks elsewhere, it is said where it went; of one that was not seen at all, what helps."""
    code, said = judged(in_directory, CLIENT.replace("api.evolink.ai", "api.evolink.example"))
    assert code == 1, said
    assert "note: no request of this client reached evolink" in said
    assert "the client tried to reach api.evolink.example:443, which is not mocked" in said
    hint = "note: it may ignore its environment, and have reached a real host: --isolate keeps it from that"
    assert hint not in said
    code, said = judged(in_directory, "")
    assert code == 1, said
    assert "note: no request of this client reached evolink" in said
    assert hint in said


def test_isolation_is_for_commands() -> None:
    """A Python client runs in this process, which cannot be isolated."""
    words = ["run", "--provider", "evolink", "--client", "contracts.clients.evolink:client", "--isolate"]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, "--isolate is for --command" in done.stderr) == (2, True)


def test_all_that_is_loaded_into_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Node loads what scales its time, what finds the proxy, and what the user's environment says, in one variable."""
    monkeypatch.setenv("NODE_OPTIONS", "--no-warnings")
    monkeypatch.setenv("EVOLINK_API_KEY", "a real one")
    evolink = providers()["evolink"]
    setting = Setting.of(evolink, "http://127.0.0.1:4999", "http://127.0.0.1:5000/callback")
    files = ClientFiles.of(Authority(tmp_path / "ca"))
    made = environment(setting, "a kite", tmp_path / "film.mp4", files, evolink.key_variables)
    scaled = scaled_environment(made, 10, tmp_path)
    assert scaled["NODE_OPTIONS"].endswith(f"--no-warnings --require {files.preload}")
    assert "scaled_time.cjs" in scaled["NODE_OPTIONS"]
    assert scaled["CONTRACT_BASE_URL"] == scaled["HTTPS_PROXY"] == "http://127.0.0.1:4999"
    assert scaled["EVOLINK_API_KEY"] == scaled["CONTRACT_API_KEY"] == evolink.key.example
    assert "127.0.0.1" in scaled["NO_PROXY"]  # where it receives callbacks


def test_hosts_of_links_are_not_strange() -> None:
    """A client that follows a link of an answer is not said to have gone elsewhere, whether a port is known or not."""
    journal = Traffic().submit().query(answer={"jobId": "job_1", "outputUrl": "https://cdn.example/1.mp4"}).journal()
    asked = ("cdn.example", "cdn.example:443", "errors.example", "errors.example:443")
    assert list(stray_addresses(Run(None, journal, asked))) == ["errors.example", "errors.example:443"]
