"""pytest fixtures: `mock_server`, a world of its own for each test, with a manual clock; `clock`, its clock.

One server runs for the whole of a test run (of each worker's, under pytest-xdist), and each test has a fresh
session in it. A marker asks for a server of the test's own, with other settings:
``@pytest.mark.mock_server(seed=7, providers={"evolink": {"failure_rate": 1}})``.

What went over the wire stands in the report of a test that failed.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from mockserver.testing.running import Clock, RunningServer

_LINES_SHOWN = 60
_WORDS_SHOWN = 300
_MOCK = pytest.StashKey["RunningServer"]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "mock_server(**settings): a server of this test's own, with these settings")


@pytest.fixture(scope="session")
def _mock_sessions() -> Iterator[Callable[[], RunningServer]]:
    """Give a fresh session of the one server each time; the server starts when the first is asked for."""
    from mockserver.testing.running import MockServer  # noqa: PLC0415 - only test runs that use it pay for it

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
    """A mock server that is new to this test."""
    marker = request.node.get_closest_marker("mock_server")
    if marker is None:
        session = request.getfixturevalue("_mock_sessions")()
        request.node.stash[_MOCK] = session
        yield session
        session.drop()
        return
    if marker.args:
        raise pytest.UsageError("the marker mock_server takes settings by their names, as mock_server(seed=7)")
    from mockserver.testing.running import MockServer  # noqa: PLC0415

    with MockServer(**marker.kwargs) as running:
        request.node.stash[_MOCK] = running
        yield running


@pytest.fixture
def clock(mock_server: RunningServer) -> Clock:
    """The clock of `mock_server`."""
    return mock_server.clock


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the journal to the report of a test that failed."""
    report = yield
    mock = item.stash.get(_MOCK, None)
    if report.when == "call" and report.failed and mock is not None:
        report.sections.append(("mockserver journal (mock time)", "\n".join(journal_lines(mock.journal))))
    return report


def journal_lines(records: Iterable[dict[str, Any]]) -> list[str]:
    """Write the last records of a journal, a line or two each."""
    lines = []
    for record in records:
        faults = f"  faults: {', '.join(record['faults'])}" if record["faults"] else ""
        request, response = record["request"], record["response"]
        if record["kind"] == "exchange":
            status = "no answer" if response is None else response["status"]
            what = f"{request['method']} {record['provider'] or 'no provider'} {request['path']} -> {status}"
        else:
            what = f"callback {record['event']} to {request['url']} -> {record['outcome']} {record['detail']}".rstrip()
        lines.append(f"{record['seq']:>4} {record['at'][11:-1]} {what}{faults}")
        lines += [f"       {word} {body}" for word, body in _bodies(request, response)]
    left_out = len(lines) - _LINES_SHOWN
    return lines if left_out <= 0 else [f"({left_out} lines before these)", *lines[-_LINES_SHOWN:]]


def _bodies(request: dict[str, Any], response: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    for word, message in (("sent", request), ("got", response)):
        body = None if message is None else message["body"]
        if body:
            yield word, body if len(body) <= _WORDS_SHOWN else f"{body[:_WORDS_SHOWN]}…"
