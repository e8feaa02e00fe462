"""The environment of a client, and how `mockserver env` writes it."""

from __future__ import annotations

import json
import os
import shlex
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.tables import for_each

from mockserver import MockServer
from mockserver.certificates import Authority, system_bundles
from mockserver.cli import main
from mockserver.launch import java
from mockserver.launch.environment import ClientFiles, client_environment
from mockserver.launch.formats import FORMATS
from mockserver.spec.catalog import load_providers

URL = "http://127.0.0.1:4999"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClientFiles:
    """Return files of a CA of its own, in a directory with a blank in its name, without Java."""
    monkeypatch.setattr(java, "trust_store", lambda _certificate: None)
    return ClientFiles.of(Authority(tmp_path / "a cache"))


def test_the_variables(files: ClientFiles) -> None:
    """Proxy, CA and keys, by all names that clients read; a bundle where all CAs are asked for."""
    found = client_environment(URL, files, {"X_KEY": "abc"}, {})
    ca, bundle = str(files.certificate), str(files.bundle)
    assert found == {
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "MOCKSERVER_URL"), URL),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "localhost,127.0.0.1,::1"),
        **dict.fromkeys(
            ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO"), bundle
        ),
        **dict.fromkeys(("NODE_EXTRA_CA_CERTS", "DENO_CERT"), ca),
        "NODE_USE_ENV_PROXY": "1",
        "NODE_OPTIONS": f"--require {files.preload}",
        "X_KEY": "abc",
    }


def test_what_a_client_has_already(files: ClientFiles) -> None:
    """Options of Node and Java are kept, and added to once; other trust is replaced; no exception keeps a host real."""
    own = {
        "NODE_OPTIONS": "--max-old-space-size=100",
        "JAVA_TOOL_OPTIONS": "-Xmx100m",
        "NO_PROXY": "*",
        "PIP_CERT": "/own.pem",
        "NODE_EXTRA_CA_CERTS": "/own.pem",
    }
    with_java = files._replace(java=Path("/a b/java.p12"))
    once = client_environment(URL, with_java, {}, own)
    assert once["NODE_OPTIONS"] == f"--max-old-space-size=100 --require {files.preload}"
    assert once["JAVA_TOOL_OPTIONS"].startswith("-Xmx100m -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=4999 ")
    assert '"-Djavax.net.ssl.trustStore=/a b/java.p12"' in once["JAVA_TOOL_OPTIONS"]
    assert once["NO_PROXY"] == "localhost,127.0.0.1,::1"
    assert once["PIP_CERT"] == once["NODE_EXTRA_CA_CERTS"] == str(files.bundle)
    assert client_environment(URL, with_java, {}, {**own, **once}) == once


def test_each_provider_has_its_key() -> None:
    """By its name, and by the name that its document uses."""
    names = {provider.name: provider.key_variables for provider in load_providers()}
    assert names == {
        "toapis": ("TOAPIS_API_KEY",),
        "crun": ("CRUN_API_KEY",),
        "evolink": ("EVOLINK_API_KEY",),
        "googlegeminiomni": ("GOOGLEGEMINIOMNI_API_KEY", "GEMINI_OMNI_API_KEY"),
    }


def test_the_bundle_holds_the_systems_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the system, those that the user's environment names, and ours, each once; again, where it is its own."""
    other = Authority(tmp_path / "other").certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    authority = Authority(tmp_path / "ca")
    content = authority.bundle.read_text(encoding="utf-8")
    assert content.count(authority.certificate.read_text(encoding="utf-8").strip()) == 1
    assert content.count(other.read_text(encoding="utf-8").strip()) == 1
    loaded = ssl.create_default_context(cafile=str(authority.bundle)).cert_store_stats()["x509"]
    systems = [ssl.create_default_context(cafile=str(each)).cert_store_stats()["x509"] for each in system_bundles()]
    assert loaded >= 2 + max(systems, default=0)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    assert Authority(tmp_path / "ca").bundle.read_text(encoding="utf-8").count("BEGIN") == content.count("BEGIN")


def env(*words: str, **own: str) -> tuple[int, str, str]:
    """Run `mockserver env` in this process; return its code, and what it says."""
    done = CliRunner(env=own).invoke(main, ["env", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Serve one provider."""
    with MockServer(only="evolink", ca_dir=tmp_path_factory.mktemp("a ca")) as mock:
        yield mock


def test_env_finds_the_server(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By --url or MOCKSERVER_URL; all formats say the same."""
    monkeypatch.setattr(java, "trust_store", lambda _certificate: None)
    url = served.server.root_url
    code, out, _ = env("--format", "json", MOCKSERVER_URL=url)
    found = json.loads(out)
    assert code == 0
    assert found["HTTPS_PROXY"] == found["MOCKSERVER_URL"] == url
    assert found["EVOLINK_API_KEY"] == served.key("evolink")
    assert found["SSL_CERT_FILE"] == str(served.server.authority.directory / "bundle.pem")
    assert found == client_environment(url, ClientFiles.of(served.server.authority), served_keys(served), os.environ)
    # What a shell makes of its lines.
    lines = env("--url", url)[1]
    read = subprocess.run(["sh", "-c", f"{lines}env"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert {f"{name}={value}" for name, value in found.items()} <= set(read.splitlines())
    assert all(line.startswith("export ") for line in lines.splitlines())
    plain = [f"{name}={value}" for name, value in found.items()]
    assert env("--url", url, "--format", "dotenv")[1].splitlines() == plain


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fish", "set -gx HTTP_PROXY 'http://127.0.0.1:4010'\nset -gx NO_PROXY 'a\\\\b\\'c $d'\n"),
        ("powershell", "$env:HTTP_PROXY = 'http://127.0.0.1:4010'\n$env:NO_PROXY = 'a\\b''c $d'\n"),
    ],
)
def test_env_for_other_shells(name: str, said: str, tmp_path: Path) -> None:
    """Nothing in a value is special to them."""
    variables = {"HTTP_PROXY": "http://127.0.0.1:4010", "NO_PROXY": "a\\b'c $d"}
    assert FORMATS[name](variables, ClientFiles.of(Authority(tmp_path))) == said


def served_keys(served: Any) -> dict[str, str]:
    """Return the keys that its clients are given."""
    return {"EVOLINK_API_KEY": served.key("evolink")}


def test_env_for_github(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub refuses NODE_OPTIONS for later steps, so that one is left out, and that is said."""
    monkeypatch.setattr(java, "trust_store", lambda _certificate: None)
    code, out, err = env("--url", served.server.root_url, "--format", "github")
    assert code == 0
    assert "HTTPS_PROXY=" in out
    assert "NODE_OPTIONS" not in out
    assert err.startswith("mockserver: without NODE_OPTIONS, which GitHub refuses")


def test_env_for_a_dockerfile(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image has the files; nothing of this machine's environment is in it; clients see the server elsewhere."""
    monkeypatch.setattr(java, "trust_store", lambda _certificate: None)
    words = ("--url", served.server.root_url, "--client-url", "http://mock:4010/", "--format", "dockerfile")
    code, out, _ = env(*words, NODE_OPTIONS="--of-this-machine")
    copied, copy, *pairs = out.splitlines()
    assert code == 0
    for path in shlex.split(copied.partition(": ")[2])[1:-1]:
        assert Path(path).is_file()
    assert copy == "COPY ca.pem bundle.pem node_proxy.cjs /etc/mockserver/"
    assert pairs[0] == 'ENV HTTP_PROXY="http://mock:4010" \\'
    assert '    SSL_CERT_FILE="/etc/mockserver/bundle.pem" \\' in pairs
    assert '    NODE_OPTIONS="--require /etc/mockserver/node_proxy.cjs" \\' in pairs
    assert pairs[-1] == f'    EVOLINK_API_KEY="{served.key("evolink")}"'
    assert all(line.endswith(" \\") for line in pairs[:-1])


def test_env_without_a_server() -> None:
    """One line says that none answers, and what helps."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    code, out, err = env("--url", f"http://127.0.0.1:{port}")
    assert (code, out) == (1, "")
    assert err == (
        f"mockserver: no server answers at http://127.0.0.1:{port} (Connection refused): "
        "start `mockserver serve`, or name another with --url\n"
    )


@for_each(
    ("words", "code", "complaint"),
    {
        "not a URL": (["--url", "localhost:4010"], 2, "the server's URL must begin with http://"),
        "https": (["--url", "https://localhost:4010"], 2, "which its port speaks beside https"),
        "clients' URL": (["--client-url", "mock:4010"], 2, "the server's URL must begin with http://"),
        "a format": (["--format", "cobol"], 2, "'cobol' is not one of"),
    }.values(),
)
def test_env_is_used_wrongly(words: list[str], code: int, complaint: str) -> None:
    """Wrong use is told in words."""
    found, out, err = env(*words)
    assert (found, out) == (code, "")
    assert complaint in err


def test_env_of_a_server_that_is_elsewhere(served: Any, tmp_path: Path) -> None:
    """Where its CA is not on this machine, that is said, and how it is brought here."""
    code, _, err = env("--url", served.server.root_url, "--ca-dir", str(tmp_path))
    assert code == 1
    assert f"is not on this machine ({tmp_path / 'ca.pem'})" in err
    assert not any(tmp_path.iterdir())


def test_env_asks_for_the_token(served: Any) -> None:
    """A control plane with a token is asked with it; anything else that answers is no mockserver."""
    with MockServer(only="evolink", admin_token="secret") as mock:
        url = mock.server.root_url
        code, _, err = env("--url", url)
        assert (code, err) == (1, f"mockserver: the server at {url} requires its admin token: --admin-token\n")
        assert env("--url", url, "--admin-token", "secret", "--format", "json")[0] == 0
        code, _, err = env("--url", f"{served.server.root_url}/v1/credits")
        assert code == 1
        assert "is not a mockserver" in err
