"""Addressing: the URLs of a server, and which provider and session a request is for.

In this order: a provider's real host in `Host`, with its real paths; the control plane under /__admin/; a provider's
name as the first segment of the path; with `--only`, that provider at the root. A session is named by a header, or by
the path: /~NAME/….
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp.hdrs import HOST

from mockserver.edge.access import Access
from mockserver.edge.runtime import Runtime
from mockserver.edge.sessions import SESSION_HEADER, Sessions
from mockserver.engine.state import ProviderState
from mockserver.provider import Provider
from mockserver.settings import Settings

ADMIN = "/__admin"
_ADMIN_SEGMENT = ADMIN[1:]
#: A tilde, and how some clients encode one in a path.
_SESSION_MARKS = ("/~", "/%7E", "/%7e")


class Address(NamedTuple):
    """Where a request leads: a session, a provider in it, and the rest of the path.

    Without a provider it is for the control plane (see `admin_path`), or for nothing that is served.
    """

    runtime: Runtime
    state: ProviderState | None
    path: str
    query: str
    #: A session that the control plane makes once it has let the request in; until then `runtime` is the main one.
    new_session: str | None = None

    @property
    def admin_path(self) -> str | None:
        """The path within the control plane; None where the request is not for it."""
        rest = self.path.removeprefix(ADMIN)
        is_admin = self.state is None and self.path.startswith(ADMIN) and rest[:1] in ("", "/")
        return (rest or "/") if is_admin else None


class Addresses:
    """The URLs of one server."""

    def __init__(self, settings: Settings, providers: Sequence[Provider], port: int) -> None:
        self.port = port
        self.access = Access(settings)
        self._settings = settings
        self._only = settings.only
        self._names_by_host = {
            spelling: provider.name
            for provider in providers
            for host in provider.hosts
            for spelling in (host, f"{host}:80", f"{host}:443", f"{host}:{port}")
        }

    @property
    def root_url(self) -> str:
        """URL of the server itself, without a slash at the end."""
        settings = self._settings
        if settings.public_url is not None:
            return settings.public_url.rstrip("/")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def session_root_url(self, session: str | None) -> str:
        """URL under which everything in a session begins."""
        return self.root_url if session is None else f"{self.root_url}/~{session}"

    def base_url(self, name: str, session: str | None = None) -> str:
        """URL under which a provider's paths begin."""
        root = self.session_root_url(session)
        return root if self._settings.only == name else f"{root}/{name}"

    def find(self, target: str, headers: Mapping[str, str], main: Runtime, sessions: Sessions) -> Address:
        """Find out what a request is for.

        Raises:
            SessionError: it names a session that cannot be had.
            RefusedError: it would make a session, and comes from another site's page.
        """
        path, _, query = target.partition("?")
        host = headers.get(HOST, "")
        if not path.startswith("/"):
            absolute = urlsplit(path)
            path, host = absolute.path or "/", absolute.netloc or host
        session = headers.get(SESSION_HEADER)
        if path.startswith(_SESSION_MARKS):
            session, slash, rest = path[2 if path[1] == "~" else 4 :].partition("/")
            path = slash + rest or "/"
        first, slash, rest = path[1:].partition("/")
        is_admin = first == _ADMIN_SEGMENT
        name = self._names_by_host.get(host) or self._names_by_host.get(host.lower())
        runtime = main
        if session is not None:
            if sessions.known(session) is None:
                if name is None and is_admin:
                    return Address(main, None, path, query, session)
                self.access.check_page(headers, of_provider=name is not None)
            runtime = sessions.get(session)
        providers = runtime.world.providers
        if name is not None:
            return Address(runtime, providers[name], path, query)
        if is_admin:
            return Address(runtime, None, path, query)
        if self._only is not None:
            return Address(runtime, providers[self._only], path, query)
        state = providers.get(first)
        if state is None:
            return Address(runtime, None, path, query)
        return Address(runtime, state, f"/{rest}" if slash else "/", query)
