"""Deprecated: the old name of `mockserver.testing.pytest_plugin`, which pytest loads by itself; for one release."""

from mockserver.mock import old_names

__getattr__ = old_names(__name__, "mockserver.testing.pytest_plugin", "clock", "journal_lines", "mock_server")
