"""Real clients of each kind, with hard-coded https hosts, through `mockserver exec`; and one that tries to escape."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CLIENTS = HERE / "clients"
MOCKSERVER = str(Path(sys.executable).parent / "mockserver")
#: Result files of clients, by provider.
LINK = re.compile(r"https://(api\.crun\.ai|api\.evolink\.ai|r2\.googlegeminiomni\.com|toapis\.com)/\S+ (\d+)")


def python(name: str, *words: str) -> list[str]:
    """Return the command of a client in Python."""
    return [sys.executable, str(CLIENTS / f"{name}.py"), *words]


#: What each kind of client needs besides Python, and its command.
PROGRAMS = {
    "urllib": (None, python("with_urllib")),
    "requests": (None, python("with_requests")),
    "httpx": (None, python("with_httpx")),
    "aiohttp": (None, python("with_aiohttp", "trust_env")),
    "fetch": ("node", ["node", str(CLIENTS / "with_fetch.mjs")]),
    "https": ("node", ["node", str(CLIENTS / "with_https.mjs")]),
    "like axios": ("node", ["node", str(CLIENTS / "with_https.mjs"), "like_axios"]),
    "curl": ("curl", ["sh", str(CLIENTS / "with_curl.sh")]),
}
#: The environment that a client has without one: nothing but programs, and its key.
BARE = ("env", "-i", f"PATH={os.environ['PATH']}")
#: Clients that do without any environment, where there is nothing but the mock.
ALONE = {
    "aiohttp": (None, [*BARE, "CRUN_API_KEY=crun-mock-key", *python("with_aiohttp")]),
    "urllib": (None, [*BARE, "EVOLINK_API_KEY=sk-evolink-mock-key", *python("with_urllib")]),
    "curl": ("curl", [*BARE, "EVOLINK_API_KEY=sk-evolink-mock-key", "sh", str(CLIENTS / "with_curl.sh")]),
    "httpx": (None, python("with_httpx")),
    "fetch": ("node", ["node", str(CLIENTS / "with_fetch.mjs")]),
}


def exec_(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `mockserver exec` to its end."""
    env = {**os.environ, **environment}
    return subprocess.run(
        [MOCKSERVER, "exec", *words], capture_output=True, text=True, timeout=300, check=False, env=env
    )


def run_all(programs: dict[str, tuple[str | None, list[str]]], *options: str) -> tuple[dict[str, Any], str]:
    """Run several clients against one mock; return how each ended, and what the mock says of them."""
    commands = {name: command for name, (needed, command) in programs.items() if needed is None or shutil.which(needed)}
    together = (sys.executable, str(HERE / "all_at_once.py"), json.dumps(commands))
    # What the user's environment says of proxies does not matter.
    done = exec_("--speed", "600", *options, "--", *together, NO_PROXY="*", no_proxy=".ai", HTTPS_PROXY="http://x.test")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def made_in(ended: dict[str, Any]) -> list[str]:
    """Check that every client has its file; return the hosts that the files came from."""
    hosts = []
    for name, each in ended.items():
        found = LINK.fullmatch(each["out"].strip())
        assert found, (name, each)
        assert each["code"] == 0
        assert int(found[2]) > 10_000
        hosts.append(found[1])
    return hosts


def isolation() -> str | None:
    """Say why nothing can be isolated here; None where it can."""
    enter = [sys.executable, "-c", "from mockserver.launch import namespaces; namespaces.enter()"]
    done = subprocess.run(enter, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else None


@pytest.mark.slow(about_s=8)
def test_clients_of_each_kind() -> None:
    """Each makes a video at its provider's own host, from submit to file, and knows of no mock."""
    ended, said = run_all(PROGRAMS)
    hosts = made_in(ended)
    assert set(hosts) == {"api.crun.ai", "api.evolink.ai", "r2.googlegeminiomni.com", "toapis.com"}
    assert f"evolink {hosts.count('api.evolink.ai')} completed" in said
    assert f"googlegeminiomni {hosts.count('r2.googlegeminiomni.com')} done" in said
    assert "kept from" not in said
    assert "errors" not in said


@pytest.mark.slow(about_s=6)
def test_clients_that_ignore_their_environment() -> None:
    """With `--isolate`, they make their videos without any environment; Python, curl and Node trust the mock's CA."""
    if (missing := isolation()) is not None:
        pytest.skip(missing)
    ended, said = run_all(ALONE, "--isolate")
    assert len(made_in(ended)) == len(ended)
    assert "crun 1 success" in said
    assert "kept from" not in said


@pytest.mark.slow(about_s=6)
@pytest.mark.skipif(shutil.which("keytool") is None, reason="there is no JDK here")
def test_a_client_in_java() -> None:
    """It finds the proxy and a trust store in its environment."""
    ended, said = run_all({"java": ("java", ["java", str(CLIENTS / "WithJava.java")])})
    assert made_in(ended) == ["api.evolink.ai"]
    assert "evolink 1 completed" in said


@pytest.mark.slow(about_s=10)
@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go here")
@pytest.mark.parametrize("isolate", [False, True])
def test_a_client_in_go(isolate: bool, tmp_path: Path) -> None:
    """Its default transport uses the proxy; one of its own needs `--isolate`."""
    program = tmp_path / "client"
    subprocess.run(["go", "build", "-o", str(program), str(CLIENTS / "with_go.go")], check=True, timeout=300)
    if isolate and (missing := isolation()) is not None:
        pytest.skip(missing)
    ended, _ = run_all({"go": (None, [str(program), *(["own"] * isolate)])}, *(["--isolate"] * isolate))
    assert made_in(ended) == ["api.evolink.ai"]


def has_axios() -> bool:
    """Tell whether Node finds axios."""
    if shutil.which("node") is None:
        return False
    found = ["node", "-e", "require.resolve('axios')"]
    return subprocess.run(found, cwd=CLIENTS, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not has_axios(), reason="Node finds no axios here (NODE_PATH)")
def test_a_client_with_axios() -> None:
    """Axios asks the proxy of its environment itself."""
    ended, _ = run_all({"axios": ("node", ["node", str(CLIENTS / "with_axios.mjs")])})
    assert made_in(ended) == ["api.evolink.ai"]


@pytest.mark.slow
def test_no_way_out() -> None:
    """Other hosts, by name and by address, are refused, in words and in the end; the client goes on."""
    done = exec_("--", *python("escape", "by_proxy"))
    assert done.returncode == 0
    assert "REACHED" not in done.stdout
    assert done.stdout.count("is not mocked: mockserver refuses it") == 5
    kept = "api.openai.com:443, api.openai.com:80, 192.0.2.7:443, 192.0.2.7:8080, [2001:db8::7]:80"
    assert done.stderr.endswith(f"kept from: {kept}\n")


@pytest.mark.slow
def test_no_way_out_of_isolation() -> None:
    """Nor is there one that goes round the proxy; each host is named as it was asked for."""
    if (missing := isolation()) is not None:
        pytest.skip(missing)
    done = exec_("--isolate", "--", *python("escape"))
    assert done.returncode == 0, done.stderr
    assert "REACHED" not in done.stdout
    assert done.stdout.count("Connection refused") == 3
    assert done.stdout.endswith("name server 3\n")
    kept = "api.openai.com (2 times), 192.0.2.7:443, 192.0.2.7:8080, [2001:db8::7]:80, example.org"
    assert done.stderr.endswith(f"no request reached the mock\n  kept from: {kept}\n")
