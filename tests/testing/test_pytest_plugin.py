"""The pytest plugin: `mock_server`, `clock` and the marker, in a test run of their own."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

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

#: `mock_server` is a running server, `clock` is its clock, and a task runs to its end with them.
FIXTURES = """
def test_a_task(mock_server, clock):
    task = mock_server.task(submit(mock_server))
    assert task.status == "pending"
    clock.advance(600)
    assert task.status == "completed"
    assert clock.now_ms == mock_server.clock.now_ms
"""
#: Each test has a server of its own, with new state.
FRESH = """
import pytest
ids = []

@pytest.mark.parametrize("turn", range(3))
def test_turn(mock_server, clock, turn):
    assert len(mock_server.journal) == 0
    ids.append(submit(mock_server))
    clock.advance(5)
    assert len(set(ids)) == 1
"""
#: The marker changes settings: of one test, or of a class, of which the nearer counts.
MARKER = """
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
#: What is said to a provider reads as a sentence, and holds for this test alone.
VERBS = """
import urllib.error
import pytest

def test_fail_next(mock_server, clock):
    failing = mock_server.evolink.fail_next("generation_timeout")
    first, second = submit(mock_server), submit(mock_server)
    clock.advance(600)
    assert mock_server.task(first).status == "failed"
    assert mock_server.task(second).status == "completed"
    assert failing.hits == 1

def test_limit(mock_server):
    mock_server.evolink.limit(per_minute=2)
    submit(mock_server), submit(mock_server)
    with pytest.raises(urllib.error.HTTPError, match="429") as caught:
        submit(mock_server)
    caught.value.close()

def test_untouched(mock_server, clock):
    tasks = [submit(mock_server) for _ in range(5)]
    clock.advance(600)
    assert {mock_server.task(each).status for each in tasks} == {"completed"}

def test_within_a_block(mock_server):
    with mock_server.evolink.refuse(500) as refusing, pytest.raises(urllib.error.HTTPError, match="500") as caught:
        submit(mock_server)
    caught.value.close()
    submit(mock_server)
    assert refusing.hits == 1
"""


@pytest.fixture
def inner(pytester: pytest.Pytester) -> pytest.Pytester:
    """A test run that turns warnings into errors, as this one does, without plugins that load slowly."""
    quick = "-p no:cacheprovider -p no:schemathesis -p no:hypothesispytest -p no:asyncio"
    pytester.makeini(f"[pytest]\naddopts = --strict-markers {quick}\nfilterwarnings = error")
    return pytester


def test_what_tests_are_given(inner: pytest.Pytester) -> None:
    """The server, its clock, the marker and the verbs, each in a file of its own, in one run."""
    files = {"test_fixtures": FIXTURES, "test_fresh": FRESH, "test_marker": MARKER, "test_verbs": VERBS}
    inner.makepyfile(**{name: SUBMIT + text for name, text in files.items()})
    inner.runpytest_subprocess().assert_outcomes(passed=11)


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
    result = inner.runpytest_subprocess()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*ConfigError: unknown key 'sped'*", "*takes keyword arguments only*"])


def test_listed(inner: pytest.Pytester) -> None:
    """Fixtures and marker are listed with what they do."""
    inner.makepyfile("def test_nothing(): ...")
    fixtures = inner.runpytest_subprocess("--fixtures")
    fixtures.stdout.fnmatch_lines(["mock_server *", "*new to this test*", "clock *"])
    inner.runpytest_subprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.mock_server(*settings)*"])


def test_failing_tests_leave_nothing_behind(inner: pytest.Pytester) -> None:
    """A test that fails ends its session; the next one has another in the same server, where time is at its start."""
    inner.makepyfile(
        SUBMIT
        + """
seen = []

def test_one(mock_server, clock):
    submit(mock_server)
    clock.advance(600)
    seen.append((mock_server.server, mock_server.url("evolink"), clock.now_ms))
    assert False

def test_two(mock_server, clock):
    server, url, now_ms = seen[0]
    assert mock_server.server is server
    assert mock_server.url("evolink") != url
    assert clock.now_ms == now_ms - 600_000
    assert list(server.sessions) == [url.split("/~")[1].split("/")[0].replace("1", "2")]
"""
    )
    inner.runpytest_subprocess().assert_outcomes(passed=1, failed=1)


def test_the_journal_of_a_failing_test_is_shown(inner: pytest.Pytester) -> None:
    """The report of a failed test holds what went over the wire, with the faults; that of a passed one does not."""
    inner.makepyfile(
        SUBMIT
        + """
import urllib.error

def test_fails(mock_server):
    mock_server.evolink.refuse_next(503)
    try:
        submit(mock_server)
    except urllib.error.HTTPError as error:
        error.close()
    submit(mock_server)
    assert False

def test_passes(mock_server):
    submit(mock_server)
"""
    )
    result = inner.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*mockserver journal*",
            "*1 00:00:00.000 POST evolink */v1/videos/generations -> 503  faults: error",
            "*sent {*A kite*",
            "*2 00:00:00.000 POST evolink */v1/videos/generations -> 200",
        ]
    )
    assert result.stdout.str().count("mockserver journal") == 1


def test_under_xdist(inner: pytest.Pytester) -> None:
    """Workers of pytest-xdist have a server each, and do not meet."""
    pytest.importorskip("xdist")
    inner.makepyfile(
        SUBMIT
        + """
import pytest

@pytest.mark.parametrize("turn", range(12))
def test_turn(mock_server, clock, turn):
    submit(mock_server)
    clock.advance(turn)
    assert len(mock_server.journal) == 1
"""
    )
    inner.runpytest_subprocess("-n", "2").assert_outcomes(passed=12)


INTERCEPTED = """
import urllib.error, urllib.request
import pytest

KEY = {"Authorization": "Bearer sk-evolink-mock-key"}

def credits(url="https://api.evolink.ai/v1/credits"):
    with urllib.request.urlopen(urllib.request.Request(url, headers=KEY)) as answer:
        return answer.status

@pytest.mark.parametrize("turn", range(8))
def test_turn(mock_server_intercepted, mock_server, clock, turn):
    assert mock_server_intercepted is mock_server
    for _ in range(turn):
        assert credits() == 200
    assert len(mock_server.journal) == turn
    with pytest.raises(urllib.error.URLError, match="example.org is not mocked"):
        credits("https://example.org/")

@pytest.mark.mock_server(allow_host=["example.org"], only="evolink")
def test_allowed(mock_server_intercepted, monkeypatch):
    with pytest.raises(urllib.error.URLError) as caught:
        credits("http://example.org:1/")
    assert "not mocked" not in str(caught.value)
    assert credits() == 200

@pytest.fixture
def one_that_fails(mock_server_intercepted):
    raise ZeroDivisionError

def test_fails(one_that_fails): ...

def test_other(mock_server):
    import socket
    assert socket.socket.connect.__qualname__ == "socket.connect"

def test_judged(mock_server_intercepted, contract):
    credits()
    assert {each.clause.id: each.judgement for each in contract.verdicts()}["auth.key-in-its-header"] == "kept"
"""


def test_intercepted_under_xdist(inner: pytest.Pytester) -> None:
    """Tests with the real hosts are isolated as others are, in each worker; the hosts are real again afterwards."""
    pytest.importorskip("xdist")
    inner.makepyfile(INTERCEPTED)
    inner.runpytest_subprocess("-n", "2").assert_outcomes(passed=11, errors=1)


def test_loaded_by_itself(inner: pytest.Pytester) -> None:
    """The installed package brings the plugin along, and nothing of the server is loaded before it is wanted."""
    inner.makepyfile(
        """
import sys

def test_quick():
    assert "mockserver.testing.pytest_plugin" in sys.modules
    assert "mockserver.testing.running" not in sys.modules

def test_there(mock_server, clock):
    assert clock.now_ms > 0
"""
    )
    result = inner.runpytest_subprocess("-p", "no:xdist")
    result.assert_outcomes(passed=2)


#: A client that polls: in vain while the clock stands, and to the end where it moves by itself.
WAITING = """
import urllib.request
import pytest

def poll(mock_server, times):
    task = submit(mock_server)
    seen = []
    for _ in range(times):
        request = urllib.request.Request(
            mock_server.url("evolink") + "/v1/tasks/" + task,
            headers={"Authorization": "Bearer " + mock_server.key("evolink")},
        )
        with urllib.request.urlopen(request) as answer:
            seen.append(json.loads(answer.read())["status"])
    return seen

def test_in_vain(mock_server):
    assert poll(mock_server, 30)[-1] == "completed"

@pytest.mark.mock_server(clock="auto")
def test_by_itself(mock_server):
    assert poll(mock_server, 3) == ["pending", "processing", "completed"]
"""


def test_a_client_that_polls_while_the_clock_stands(inner: pytest.Pytester) -> None:
    """The report says what to do, and does not repeat the poll; with the clock `auto`, the client ends at once."""
    inner.makepyfile(SUBMIT + WAITING)
    done = inner.runpytest_subprocess()
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["the last 30 requests are the same poll at the same instant: the clock is manual and*"])
    done.stdout.fnmatch_lines(["*clock.advance()*clock='auto'*clock='real', speed=60*"])
    assert sum("GET evolink /evolink" in line or "GET evolink /~" in line for line in done.outlines) == 1
    done.stdout.fnmatch_lines(["*GET evolink * -> 200  (30 times)"])
