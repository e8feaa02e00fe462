"""Deprecated: the old name of `mockserver.settings`, for one release."""

from mockserver.mock import old_names

__getattr__ = old_names(
    __name__,
    {
        name: f"mockserver.settings:{name}"
        for name in ("ConfigError", "ProviderSettings", "Settings", "checked", "read_config")
    },
)
