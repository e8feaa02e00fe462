"""Clients: a good one for each provider, to copy, and broken ones to test the clauses on.

polite      what every good client does: retries, polling, callbacks, downloads
evolink, crun, googlegeminiomni, toapis     one provider each: its paths, fields and figures
broken      mutants, each applied to any of them
"""

from __future__ import annotations

from contracts.client.subject import Factory, Setting
from contracts.clients.crun import Crun
from contracts.clients.evolink import EvoLink
from contracts.clients.googlegeminiomni import GoogleGeminiOmni
from contracts.clients.polite import PoliteClient
from contracts.clients.toapis import ToAPIs

#: The good clients, by provider.
GOOD: dict[str, type[PoliteClient]] = {
    "crun": Crun,
    "evolink": EvoLink,
    "googlegeminiomni": GoogleGeminiOmni,
    "toapis": ToAPIs,
}


def subject(client: type[PoliteClient]) -> Factory:
    """Adapt a polite client to `contracts`."""

    def made(setting: Setting) -> PoliteClient:
        return client(setting.base_url, setting.api_key, setting.callback_url, setting.callback_secret)

    made.__name__ = client.__name__
    return made
