"""Addressing: the URLs of a server, and which provider and session a request is for.

In this order: a provider's real host in `Host`, with its real paths; the control plane under /__admin/; a provider's
name as the first segment of the path; with `--only`, that provider at the root. A session is named by a header, or by
the path: /~NAME/….

Links follow how the client came (`Address.base`): behind a provider's real name they lead to its real hosts, where
the client has come by TLS or a proxy, so that these names lead here; behind another name, to that name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp.hdrs import HOST, X_FORWARDED_HOST, X_FORWARDED_PROTO

from mockserver.edge.access import Access
from mockserver.edge.arrival import DIRECT, Arrival
from mockserver.edge.hosts import HostPort, Hosts, host_port_of, is_local_name, without_user
from mockserver.edge.runtime import Runtime
from mockserver.edge.sessions import SESSION_HEADER, Sessions
from mockserver.engine.messages import REAL_HOST
from mockserver.engine.state import ProviderState
from mockserver.engine.targets import LOOPBACK_HOSTS
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
    #: What links in the response begin with; empty: the provider's URL, as configured. See `Request.base`.
    base: str = ""
    #: A session that the control plane makes once it has let the request in; until then `runtime` is the main one.
    new_session: str | None = None

    @property
    def admin_path(self) -> str | None:
        """The path within the control plane; None where the request is not for it."""
        rest = self.path.removeprefix(ADMIN)
        is_admin = self.state is None and self.path.startswith(ADMIN) and rest[:1] in ("", "/")
        return (rest or "/") if is_admin else None


class ElsewhereError(Exception):
    """A request is for a host that this server does not answer for."""

    def __init__(self, asked: HostPort | None, url: str) -> None:
        super().__init__(url)
        #: None where the URL names no host and port alone, but a user as well, for example.
        self.asked = asked
        self.url = url


class _Name(NamedTuple):
    """What a host name in a request leads to."""

    provider: str | None
    #: What links begin with: `REAL_HOST` in it behind a real name; empty: as configured.
    root: str = ""
    #: Behind this real name, paths may begin with a provider's name as well: it is that of the public URL.
    is_public: bool = False
    #: A client that has come through this proxy asks for another host than it was let through to.
    is_elsewhere: bool = False


class Addresses:
    """The URLs of one server."""

    _NAMES_KEPT = 1000

    def __init__(self, settings: Settings, providers: Sequence[Provider], port: int) -> None:
        self.port = port
        self.access = Access(settings)
        self.hosts = Hosts(settings, providers, self.access, port)
        self._settings = settings
        self._only = settings.only
        self._public_host = (urlsplit(settings.public_url or "").hostname or "").lower()
        self._trusts_forwarded = settings.trust_forwarded
        #: The arrival of most requests; their Host says it all.
        self._usual = None if settings.trust_forwarded else DIRECT
        #: What each Host has led to, by whether the client has come by TLS, and through this proxy or by a real name.
        self._names: dict[tuple[bool, bool], dict[str, _Name]] = {
            (secure, proxied): {} for secure in (False, True) for proxied in (False, True)
        }
        self._direct = self._names[False, False]

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

    def find(
        self, target: str, headers: Mapping[str, str], main: Runtime, sessions: Sessions, arrival: Arrival = DIRECT
    ) -> Address:
        """Find out what a request is for.

        Raises:
            SessionError: it names a session that cannot be had.
            RefusedError: it would make a session, and comes from another site's page.
            ElsewhereError: it is for another host, which is to be reached through this server.
        """
        path, _, query = target.partition("?")
        host = headers.get(HOST, "")
        name = self._direct.get(host) if arrival is self._usual else None
        if name is None or path[:1] != "/":
            path, name = self._name_and_path(path, target, host, headers, arrival)
        provider, base, is_public, _ = name
        session = headers.get(SESSION_HEADER)
        if path.startswith(_SESSION_MARKS):
            session, slash, rest = path[2 if path[1] == "~" else 4 :].partition("/")
            path = slash + rest or "/"
        first, slash, rest = path[1:].partition("/")
        is_admin = first == _ADMIN_SEGMENT
        runtime = main
        if is_public and (is_admin or first in main.world.providers):
            provider, base = None, ""
        if session is not None:
            if sessions.known(session) is None:
                if provider is None and is_admin:
                    return Address(main, None, path, query, new_session=session)
                self.access.check_page(headers, of_provider=provider is not None)
            runtime = sessions.get(session)
            base = base and f"{base}/~{session}"
        elif arrival.session is not None:  # so do all links that its client follows
            runtime = sessions.get(arrival.session)
        providers = runtime.world.providers
        if provider is not None:
            return Address(runtime, providers[provider], path, query, base)
        if is_admin:
            return Address(runtime, None, path, query)
        if self._only is not None:
            return Address(runtime, providers[self._only], path, query, base)
        state = providers.get(first)
        if state is None:
            return Address(runtime, None, path, query)
        return Address(runtime, state, f"/{rest}" if slash else "/", query, base and f"{base}/{first}")

    def _name_and_path(
        self, path: str, target: str, host: str, headers: Mapping[str, str], arrival: Arrival
    ) -> tuple[str, _Name]:
        """Return the path of a request, and what its host name leads to.

        Raises:
            ElsewhereError: it is for another host, which is to be reached through this server.
        """
        secure, proxied = arrival.secure, arrival.proxied
        if not path.startswith("/"):
            scheme, _, rest = path.partition("://")
            authority, slash, rest = rest.partition("/")
            if authority:
                host, path, proxied = authority, slash + rest or "/", True
                secure = scheme.lower() == "https"
                asked = host_port_of(authority.lower())
                if asked is None or self.hosts.judge(asked, 443 if secure else 80) not in ("mocked", "ours"):
                    raise ElsewhereError(asked, without_user(target))
        if self._trusts_forwarded:
            if forwarded := _first_of(headers, X_FORWARDED_HOST):
                host, proxied = forwarded, True
            if (scheme := _first_of(headers, X_FORWARDED_PROTO).lower()) in ("http", "https"):
                secure = scheme == "https"
        names = self._names[secure, proxied]
        name = names.get(host)
        if name is None:
            if len(names) >= self._NAMES_KEPT:
                names.clear()
            name = names[host] = self._name_of(host, secure=secure, proxied=proxied)
        if name.is_elsewhere:
            raise ElsewhereError(host_port_of(host.lower()), f"{'https' if secure else 'http'}://{host}{target}")
        return path, name

    def _name_of(self, host: str, *, secure: bool, proxied: bool) -> _Name:
        scheme = "https" if secure else "http"
        asked = host_port_of(host.lower())
        if asked is None:
            return _Name(None)
        provider = self.hosts.providers.get(asked.host)
        if provider is not None:
            port = "" if asked.port in (None, 443 if secure else 80) else f":{asked.port}"
            is_public = asked.host == self._public_host
            return _Name(provider, f"{scheme}://{REAL_HOST}{port}" if secure or proxied else "", is_public)
        if proxied and not self._trusts_forwarded and not self.hosts.may_certify(asked.host):
            return _Name(None, is_elsewhere=True)
        is_default = not secure and asked.host in LOOPBACK_HOSTS and asked.port in (None, self.port)
        as_configured = is_default or self._settings.public_url is not None
        may_follow = self._trusts_forwarded or is_local_name(asked.host) or self.access.is_ours(asked.host)
        if as_configured or not may_follow:
            return _Name(None)
        return _Name(None, f"{scheme}://{host.lower()}")


def _first_of(headers: Mapping[str, str], name: str) -> str:
    """Return the first entry of a header that proxies add to; empty where there is none."""
    return headers.get(name, "").partition(",")[0].strip()
