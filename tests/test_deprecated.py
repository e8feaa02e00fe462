"""Old names: each still works, and warns which name to use."""

from __future__ import annotations

import importlib

import pytest
from support.tables import for_each

import mockserver

OLD = [
    ("mockserver.mock", "MockServer", "mockserver.MockServer"),
    ("mockserver.mock", "Mock", "mockserver.RunningServer"),
    ("mockserver.mock", "AsyncMock", "mockserver.AsyncRunningServer"),
    ("mockserver.mock", "Task", "mockserver.testing.views.Task"),
    ("mockserver.verbs", "ProviderVerbs", "mockserver.testing.provider_handle.ProviderHandle"),
    ("mockserver.verbs", "InForce", "mockserver.testing.provider_handle.ActiveFault"),
    ("mockserver.config", "Settings", "mockserver.settings.Settings"),
    ("mockserver.config", "ConfigError", "mockserver.settings.ConfigError"),
    ("mockserver.pytest_plugin", "mock_server", "mockserver.testing.pytest_plugin.mock_server"),
]


@for_each(("module", "old", "new"), OLD)
def test_an_old_name_is_the_new_one(module: str, old: str, new: str) -> None:
    """The old name gives the same object as the new one, with a warning that names the new one."""
    where, _, name = new.rpartition(".")
    with pytest.warns(DeprecationWarning, match=f"{module}.{old} is deprecated; use {new}$"):
        found = getattr(importlib.import_module(module), old)
    assert found is getattr(importlib.import_module(where), name)


@pytest.mark.parametrize("module", sorted({module for module, _, _ in OLD}))
def test_an_unknown_name(module: str) -> None:
    """A name that never existed is an ordinary error."""
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'Nothing'"):
        importlib.import_module(module).Nothing  # noqa: B018 - only asked for


@pytest.mark.parametrize("name", mockserver.__all__)
def test_what_the_package_exports(name: str) -> None:
    """Every exported name exists."""
    assert hasattr(mockserver, name)
