"""A mock server for each test of a `unittest.TestCase`."""

from __future__ import annotations

import unittest
from typing import ClassVar

from mockserver.testing.given import GivenSettings
from mockserver.testing.running import MockServer, RunningServer


class MockServerMixin(unittest.TestCase):
    """Gives a test case `self.mock_server`, with the settings of its class, new for each test.

    It goes before `unittest.TestCase` or `unittest.IsolatedAsyncioTestCase`; in coroutines of the latter, use
    `self.mock_server.awaited()`.
    """

    mock_server_settings: ClassVar[GivenSettings] = {}
    mock_server: RunningServer

    def setUp(self) -> None:
        """Start the server."""
        super().setUp()
        self.mock_server = self.enterContext(MockServer(**self.mock_server_settings))
