"""Deprecated: the old name of `mockserver.settings`, for one release."""

from mockserver.mock import old_names

__getattr__ = old_names(
    __name__, "mockserver.settings", "ConfigError", "ProviderSettings", "Settings", "checked", "read_config"
)
