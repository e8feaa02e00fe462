"""pytest fixtures: `mock_server`, `async_mock_server`, `mock_server_intercepted`, `clock`.

`mock_server` is a server with a manual clock, isolated for each test, `clock` its clock. `async_mock_server` is the
same server, for coroutines. `mock_server_intercepted` is the same server; the providers' real hosts lead to it in this
process.

One server runs for the whole test run (one in each pytest-xdist worker), and each test has its own session. A
marker starts a server for one test, with other settings:
``@pytest.mark.mock_server(seed=7, providers={"evolink": {"failure_rate": 1}})``.

The report of a failing test contains the journal of its session.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from mockserver.testing.journal_lines import shown_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from mockserver.testing.running import AsyncRunningServer, RunningServer
    from mockserver.testing.views import Clock

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
def async_mock_server(mock_server: RunningServer) -> AsyncRunningServer:
    """`mock_server` for coroutines, of asyncio or trio: await what moves time or a task, and `reset` and `drop`.

    A receiver of callbacks in the test's own event loop is reached meanwhile.
    """
    return mock_server.awaited()


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
        shown = shown_journal(server.journal, is_manual=server.runtime.settings.clock == "manual")
        report.sections.append(("mockserver journal (mock time)", shown))
    return report
