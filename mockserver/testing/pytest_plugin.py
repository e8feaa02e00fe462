"""pytest fixtures: `mock_server`, `mock_server_intercepted`, `clock`.

`mock_server` is a server with a manual clock, isolated for each test, `clock` its clock. `mock_server_intercepted` is
the same server; the providers' real hosts lead to it in this process.

One server runs for the whole test run (one in each pytest-xdist worker), and each test has its own session. A
marker starts a server for one test, with other settings:
``@pytest.mark.mock_server(seed=7, providers={"evolink": {"failure_rate": 1}})``.

The report of a failing test contains the journal of its session.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from mockserver.testing.running import RunningServer
    from mockserver.testing.views import Clock

_LINES_SHOWN = 60
_BODY_CHARACTERS = 300
#: So many equal polls at the end are a client that waits in vain.
_IN_VAIN = 3
_SERVER = pytest.StashKey["RunningServer"]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "mock_server(**settings): start a server for this test, with these settings")


@pytest.fixture(scope="session")
def _mock_sessions() -> Iterator[Callable[[], RunningServer]]:
    """Return a function that creates a session of the shared server, which starts at the first call."""
    from mockserver.testing.running import MockServer  # noqa: PLC0415 - loaded only by test runs that use it

    running: RunningServer | None = None
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def fresh() -> RunningServer:
            nonlocal running
            if running is None:
                running = stack.enter_context(MockServer())
            return running.session(f"test-{next(numbers)}")

        yield fresh


@pytest.fixture
def mock_server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A mock server whose state is new to this test."""
    marker = request.node.get_closest_marker("mock_server")
    if marker is None:
        session = request.getfixturevalue("_mock_sessions")()
        request.node.stash[_SERVER] = session
        yield session
        session.drop()
        return
    if marker.args:
        raise pytest.UsageError("the marker mock_server takes keyword arguments only, such as mock_server(seed=7)")
    from mockserver.testing.running import MockServer  # noqa: PLC0415

    with MockServer(**marker.kwargs) as running:
        request.node.stash[_SERVER] = running
        yield running


@pytest.fixture
def mock_server_intercepted(mock_server: RunningServer) -> Iterator[RunningServer]:
    """`mock_server`, to which the providers' real hosts lead: `https://…` as a client has it hard-coded is the mock.

    Other hosts are refused, but for this machine and those of ``@pytest.mark.mock_server(allow_host=[…])``.
    """
    with mock_server.intercept():
        yield mock_server


@pytest.fixture
def clock(mock_server: RunningServer) -> Clock:
    """The clock of `mock_server`."""
    return mock_server.clock


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the journal to the report of a failing test."""
    report = yield
    server = item.stash.get(_SERVER, None)
    if report.when == "call" and report.failed and server is not None:
        lines = journal_lines(server.journal)
        if server.runtime.settings.clock == "manual" and (hint := waiting_hint(server.journal)) is not None:
            lines.insert(0, hint)
        report.sections.append(("mockserver journal (mock time)", "\n".join(lines)))
    return report


def waiting_hint(records: Iterable[dict[str, Any]]) -> str | None:
    """Say what to do where a client has polled one task in vain, because nobody advanced the clock."""
    last, times = None, 0
    for record in records:
        if record["kind"] == "exchange":
            polled = record["task"], record["at"], record["request"]["method"], record["request"]["path"]
            times = times + 1 if polled == last else 1
            last = polled
    if last is None or last[0] is None or last[2] != "GET" or times < _IN_VAIN:
        return None
    return (
        f"the last {times} requests are the same poll at the same instant: the clock is manual and nobody advanced "
        "it: use `clock.advance()`, or @pytest.mark.mock_server(clock='auto'), with which time moves to what a "
        "client polls for, or @pytest.mark.mock_server(clock='real', speed=60)"
    )


def journal_lines(records: Iterable[dict[str, Any]]) -> list[str]:
    """Format the last records of a journal, one to three lines each; equal ones in a row once, with their number."""
    lines: list[str] = []
    for _, group in groupby(records, key=_what_shows):
        record, *others = group
        faults = f"  faults: {', '.join(record['faults'])}" if record["faults"] else ""
        times = f"  ({len(others) + 1} times)" if others else ""
        request, response = record["request"], record["response"]
        if record["kind"] == "exchange":
            status = "no answer" if response is None else response["status"]
            what = f"{request['method']} {record['provider'] or 'no provider'} {request['path']} -> {status}"
        else:
            what = f"callback {record['event']} to {request['url']} -> {record['outcome']} {record['detail']}".rstrip()
        lines.append(f"{record['seq']:>4} {record['at'][11:-1]} {what}{faults}{times}")
        lines += [f"       {label} {body}" for label, body in _bodies(request, response)]
    left_out = len(lines) - _LINES_SHOWN
    return lines if left_out <= 0 else [f"({left_out} earlier lines)", *lines[-_LINES_SHOWN:]]


def _what_shows(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a record has that is shown, but for its number."""
    request, response = record["request"], record["response"] or {}
    where = request.get("path") or request.get("url"), request.get("query")
    answer = response.get("status"), response.get("body"), record.get("outcome"), record.get("detail")
    return (record["at"], record["faults"], request["method"], *where, request["body"], *answer)


def _bodies(request: dict[str, Any], response: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    for label, message in (("sent", request), ("got", response)):
        body = None if message is None else message["body"]
        if body:
            yield label, body if len(body) <= _BODY_CHARACTERS else f"{body[:_BODY_CHARACTERS]}…"
