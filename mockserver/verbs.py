"""Deprecated: the old names of `mockserver.testing.provider_handle`, for one release."""

from mockserver.mock import old_names

__getattr__ = old_names(
    __name__,
    "",
    ProviderVerbs="mockserver.testing.provider_handle.ProviderHandle",
    InForce="mockserver.testing.provider_handle.ActiveFault",
)
