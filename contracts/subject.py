"""The old place of `contracts.client.subject`, for one release."""

from __future__ import annotations

import warnings

from contracts.client.subject import Client, Factory, Setting, SubjectError, load

__all__ = ["Client", "Factory", "Setting", "SubjectError", "load"]

warnings.warn("contracts.subject is now contracts.client.subject", DeprecationWarning, stacklevel=2)
