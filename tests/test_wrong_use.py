"""Wrong use of the command line and its files is refused in words, with exit code 2: never by a traceback."""

from __future__ import annotations

import contextlib
import json
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.cli import main as contracts
from contracts.journal import JournalError, read
from mockserver import MockServer
from mockserver.cli import main as mockserver
from mockserver.settings import ConfigError, checked, read_config
from mockserver.spec.catalog import load_providers

KUBERNETES = {
    "MOCKSERVER_PORT": "tcp://10.0.0.1:4010",
    "MOCKSERVER_SERVICE_HOST": "10.0.0.1",
    "MOCKSERVER_SERVICE_PORT": "4010",
    "MOCKSERVER_SERVICE_PORT_HTTP": "4010",
    "MOCKSERVER_PORT_4010_TCP": "tcp://10.0.0.1:4010",
    "MOCKSERVER_PORT_4010_TCP_ADDR": "10.0.0.1",
    "MOCKSERVER_PORT_4010_TCP_PROTO": "tcp",
    "MOCKSERVER_PORT_4010_TCP_PORT": "4010",
}


def run(command: Any, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a command; return its exit code and all that it says; no exception leaves it."""
    done = CliRunner(env=environment).invoke(command, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert "Traceback" not in done.output
    return done.exit_code, done.output


def test_what_kubernetes_sets_is_ignored_and_said() -> None:
    """The variables of a service that is called mockserver are no settings."""
    code, said = run(mockserver, "serve", "--clock", "sundial", **KUBERNETES)
    assert code == 2
    assert "must be one of real, manual" in said
    assert "ignored, as set by Kubernetes: MOCKSERVER_PORT, MOCKSERVER_PORT_4010_TCP," in said


def test_other_variables_are_still_checked() -> None:
    """A port that is a number is a setting, and an unknown variable is an error."""
    assert "unknown environment variable MOCKSERVER_SERVICE" in run(mockserver, "serve", MOCKSERVER_SERVICE="x")[1]
    code, said = run(mockserver, "serve", MOCKSERVER_PORT="99999999")
    assert (code, "ignored" in said) == (2, False)


@pytest.mark.parametrize(
    "url", ["http://[", "http://[::1", "http://x:port", "http://x:99999", "https://:4010", "http://a]b", "ftp://x", ""]
)
def test_public_urls(url: str) -> None:
    """A public URL that is none is refused, by its name."""
    with pytest.raises(ConfigError, match="public_url must be"):
        checked({"public_url": url}, ["public_url"])


def test_kills_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """`contracts kills` says what to install."""

    class Missing(MetaPathFinder):
        def find_spec(self, name: str, *_: object) -> None:
            if name == "contracts.mutation":
                raise ModuleNotFoundError("No module named 'tenacity'", name="tenacity")

    monkeypatch.delitem(sys.modules, "contracts.mutation", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    code, said = run(contracts, "kills")
    assert code == 2
    assert "pip install 'mockserver-genvideo[contracts]'" in said


def test_a_misspelt_setting_names_the_known() -> None:
    """`MockServer(sped=3)` says which names there are."""
    with pytest.raises(ConfigError, match=r"unknown key 'sped'; known: .*speed"):
        MockServer(sped=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (mockserver, ["check", "{}/none.yaml"]),
        (mockserver, ["scenarios", "{}/none.yaml"]),
        (mockserver, ["serve", "--config", "{}/none.toml"]),
        (mockserver, ["serve", "--spec", "{}/none.yaml"]),
        (mockserver, ["serve", "--scenario", "{}/none.yaml"]),
        (mockserver, ["serve", "--journal", "{}/none/run.ndjson"]),
        (mockserver, ["serve", "--host", "\udcff"]),
        (mockserver, ["providers", "--spec", "{}"]),
        (contracts, ["check", "{}/none.ndjson"]),
        (contracts, ["check", "{}"]),
        (contracts, ["run", "--provider", "nobody", "--client", "x.py:Y"]),
    ],
)
def test_wrong_use_ends_with_two(command: Any, arguments: list[str], tmp_path: Path) -> None:
    """A file that cannot be read, or a name that does not exist, is wrong use."""
    code, said = run(command, *(each.replace("{}", str(tmp_path)) for each in arguments))
    assert code == 2, said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
FUZZ = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PROVIDERS = load_providers()


def judged(path: Path) -> None:
    """Read a journal; only one error may leave it."""
    with contextlib.suppress(JournalError):
        read(path, PROVIDERS)


def altered(value: Any, change: Any, at: int) -> Any:
    """Replace one of the values within a value, by number."""
    places: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        inner = each.items() if isinstance(each, dict) else enumerate(each) if isinstance(each, list) else ()
        for key, below in inner:
            places.append((each, key))
            waiting.append(below)
    if places:
        holder, key = places[at % len(places)]
        holder[key] = change
    return value


ENTRY = {
    "startedDateTime": "2026-06-05T00:00:00.000Z",
    "request": {
        "method": "POST",
        "url": "https://api.evolink.ai/v1/videos/generations",
        "headers": [{"name": "Authorization", "value": "Bearer sk-evolink-mock-key"}],
        "postData": {"text": "{}"},
    },
    "response": {
        "status": 200,
        "headers": [{"name": "Content-Length", "value": "7"}],
        "content": {"size": 7, "text": '{"id":1}'},
    },
}
RECORD = {
    "seq": 1,
    "kind": "exchange",
    "at": "2026-06-05T00:00:00.000Z",
    "wall": "2026-06-05T00:00:00.000Z",
    "provider": "evolink",
    "operation": None,
    "task": None,
    "account": None,
    "gate": None,
    "error": None,
    "faults": [],
    "request": {"method": "GET", "path": "/v1/credits", "query": "", "headers": [["a", "b"]], "body": None},
    "response": {"status": 200, "headers": [["a", "b"]], "body": "{}", "body_bytes": 2, "body_cut": False},
}


@FUZZ
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_file_as_a_journal(tmp_path: Path, content: bytes) -> None:
    """Any bytes and any JSON are read, or refused in words."""
    path = tmp_path / "x.har"
    path.write_bytes(content)
    judged(path)


@FUZZ
@given(JSON, st.integers(0, 100), st.sampled_from(["har", "journal"]))
def test_odd_records(tmp_path: Path, change: Any, at: int, kind: str) -> None:
    """A HAR file or a journal with one odd value is read, or refused in words."""
    whole = {"log": {"entries": [ENTRY]}} if kind == "har" else RECORD
    path = tmp_path / "x.har"
    path.write_text(json.dumps(altered(json.loads(json.dumps(whole)), change, at)), encoding="utf-8")
    judged(path)


NAMES = [
    "port",
    "host",
    "speed",
    "spec",
    "providers",
    "clock",
    "public_url",
    "journal",
    "seed",
    "keep_tasks",
    "drain_s",
]
TOML = st.sampled_from(
    ["1", "-1", "nan", "inf", '""', '"x"', "[]", "[[]]", "{}", "{a=1}", "true", "1979-05-27", "'\\0'"]
)


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(NAMES), TOML), max_size=3), st.text(max_size=20))
def test_any_configuration(tmp_path: Path, lines: list[tuple[str, str]], tail: str) -> None:
    """Any text as a configuration file is read, or refused in words."""
    path = tmp_path / "x.toml"
    path.write_text("".join(f"{name} = {value}\n" for name, value in lines) + tail, encoding="utf-8", errors="replace")
    with contextlib.suppress(ConfigError):
        read_config(path)


OPTIONS = [
    "--port",
    "--speed",
    "--seed",
    "--clock",
    "--credits",
    "--dialect",
    "--plan",
    "--public-url",
    "--only",
    "--drain-s",
]


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(OPTIONS), st.text(max_size=8)), min_size=1, max_size=3))
def test_any_options(options: list[tuple[str, str]]) -> None:
    """Any values of options are refused in words, or taken; the last one here never is."""
    code, said = run(mockserver, "serve", *(each for option in options for each in option), "--clock", "sundial")
    assert code == 2, said
