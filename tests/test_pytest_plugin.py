"""The pytest plugin: `mock_server`, `clock` and the marker, in a test run of their own."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SUBMIT = """
import json, urllib.request

def submit(mock_server):
    request = urllib.request.Request(
        mock_server.url("evolink") + "/v1/videos/generations",
        json.dumps({"model": "gemini-omni-flash-text-to-video", "prompt": "A kite"}).encode(),
        {"Authorization": "Bearer " + mock_server.key("evolink"), "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())["id"]
"""


@pytest.fixture
def inner(pytester: pytest.Pytester) -> pytest.Pytester:
    """A test run that holds warnings to be errors, as this one does."""
    pytester.makeini("[pytest]\naddopts = --strict-markers -p no:cacheprovider\nfilterwarnings = error")
    return pytester


def test_fixtures(inner: pytest.Pytester) -> None:
    """`mock_server` is a running server, `clock` is its clock, and a task goes its way with them."""
    inner.makepyfile(
        SUBMIT
        + """
def test_a_task(mock_server, clock):
    task = mock_server.task(submit(mock_server))
    assert task.status == "pending"
    clock.advance(600)
    assert task.status == "completed"
    assert clock.now_ms == mock_server.clock.now_ms
"""
    )
    inner.runpytest_inprocess().assert_outcomes(passed=1)


def test_fresh_for_each_test(inner: pytest.Pytester) -> None:
    """Each test has a server of its own, as new as the one before it was."""
    inner.makepyfile(
        SUBMIT
        + """
import pytest
ids = []

@pytest.mark.parametrize("turn", range(3))
def test_turn(mock_server, clock, turn):
    assert len(mock_server.journal) == 0
    ids.append(submit(mock_server))
    clock.advance(5)
    assert len(set(ids)) == 1
"""
    )
    inner.runpytest_inprocess().assert_outcomes(passed=3)


def test_marker(inner: pytest.Pytester) -> None:
    """The marker changes settings: of one test, or of a class, of which the nearer counts."""
    inner.makepyfile(
        SUBMIT
        + """
import pytest

@pytest.mark.mock_server(only="evolink", providers={"evolink": {"failure_rate": 1}})
def test_failure(mock_server, clock):
    assert mock_server.url("evolink").count("/") == 2
    task = mock_server.task(submit(mock_server))
    clock.advance(600)
    assert task.status == "failed"

@pytest.mark.mock_server(seed=1)
class TestSeeds:
    def test_of_the_class(self, mock_server):
        assert mock_server.server.settings.seed == 1

    @pytest.mark.mock_server(seed=2)
    def test_of_its_own(self, mock_server):
        assert mock_server.server.settings.seed == 2
"""
    )
    inner.runpytest_inprocess().assert_outcomes(passed=3)


def test_wrong_marker(inner: pytest.Pytester) -> None:
    """A setting that means nothing, or that has no name, is an error of that test, in words."""
    inner.makepyfile(
        """
import pytest

@pytest.mark.mock_server(sped=2)
def test_unknown(mock_server): ...

@pytest.mark.mock_server(7)
def test_nameless(mock_server): ...
"""
    )
    result = inner.runpytest_inprocess()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*ConfigError: unknown key 'sped'*", "*takes settings by their names*"])


def test_listed(inner: pytest.Pytester) -> None:
    """Fixtures and marker are listed with what they do."""
    inner.makepyfile("def test_nothing(): ...")
    fixtures = inner.runpytest_inprocess("--fixtures")
    fixtures.stdout.fnmatch_lines(["mock_server *", "*fresh for this test*", "clock *"])
    inner.runpytest_inprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.mock_server(*settings)*"])


def test_failing_tests_close_their_server(inner: pytest.Pytester) -> None:
    """A test that fails leaves no server behind."""
    inner.makepyfile(
        """
import socket, threading
ports = []

def test_one(mock_server):
    ports.append(mock_server.server.port)
    assert False

def test_two():
    try:
        socket.create_connection(("127.0.0.1", ports[0])).close()
    except ConnectionRefusedError:
        return
    raise AssertionError("it is still there")
"""
    )
    inner.runpytest_inprocess().assert_outcomes(passed=1, failed=1)


def test_loaded_by_itself(inner: pytest.Pytester) -> None:
    """The installed package brings the plugin along, and nothing of the server is loaded before it is wanted."""
    inner.makepyfile(
        """
import sys

def test_quick():
    assert "mockserver.pytest_plugin" in sys.modules
    assert "mockserver.mock" not in sys.modules

def test_there(mock_server, clock):
    assert clock.now_ms > 0
"""
    )
    result = inner.runpytest_subprocess("-p", "no:xdist", "-p", "no:schemathesis", "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=2)
