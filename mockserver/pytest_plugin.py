"""pytest fixtures: `mock_server`, a server for one test on a free port with a manual clock; `clock`, its clock.

A marker changes settings: ``@pytest.mark.mock_server(seed=7, providers={"evolink": {"failure_rate": 1}})``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mockserver.mock import Clock, Mock


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "mock_server(**settings): settings of the mock_server fixture")


@pytest.fixture
def mock_server(request: pytest.FixtureRequest) -> Iterator[Mock]:
    """A mock server, fresh for this test."""
    from mockserver.mock import MockServer  # noqa: PLC0415 - only sessions that use it pay for it

    marker = request.node.get_closest_marker("mock_server")
    if marker is not None and marker.args:
        raise pytest.UsageError("the marker mock_server takes settings by their names, as mock_server(seed=7)")
    with MockServer(**({} if marker is None else marker.kwargs)) as running:
        yield running


@pytest.fixture
def clock(mock_server: Mock) -> Clock:
    """The clock of `mock_server`."""
    return mock_server.clock
