"""Hosts: for which this server answers, which its clients may reach through it, and from which it kept them.

A server that is its clients' proxy answers for the hosts of its providers, and for its own address. All others are
refused, so that no client reaches a real provider in the middle of a run; `--allow-host` and `--passthrough` say
otherwise. `Hosts` is the main type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from mockserver.edge.access import Access
from mockserver.engine.targets import is_loopback, literal_address
from mockserver.provider import Provider, keys_by_variable
from mockserver.settings import Settings

Verdict = Literal["mocked", "ours", "allowed", "passed", "refused"]
#: Names that belong to nobody on the internet (RFC 6761, RFC 6762, ICANN 2024), such as host.docker.internal.
_LOCAL_ENDINGS = (".internal", ".local", ".localhost", ".test", ".home.arpa")
_COUNTED = 1000
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,255}")
_USER = re.compile(r"^([^/?#]*://)?[^/?#]*@")


class KeptFrom(NamedTuple):
    """A host that clients asked for and did not reach; with the port, where they named one."""

    host: str
    times: int


class HostPort(NamedTuple):
    """A host and a port, as a URL or a Host header names them; the port is None where it names none."""

    host: str
    port: int | None

    def with_port(self, port: int) -> str:
        """Return both in the usual notation; `port` stands in where none is named."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port or port}"


def host_port_of(text: str) -> HostPort | None:
    """Read a host and an optional port; None where the text is neither."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return None
    more = parts.path or parts.query or parts.fragment or parts.username is not None
    if not _HOST.fullmatch(host) or port == 0 or more:
        return None
    return HostPort(host, port)


def without_user(text: str) -> str:
    """Return a URL, or a host and a port, without the name and password of a user: nobody is to read them."""
    return _USER.sub(r"\1", text)


def is_local_name(host: str) -> bool:
    """Tell whether a name cannot be that of a site on the internet, such as the name of a container."""
    return is_loopback(host) or "." not in host or host.endswith(_LOCAL_ENDINGS) or literal_address(host) is not None


class Hosts:
    """The hosts that one server knows."""

    def __init__(self, settings: Settings, providers: Iterable[Provider], access: Access, port: int) -> None:
        self._settings = settings
        self._access = access
        self._ports = {port}
        public = urlsplit(settings.public_url or "")
        self._public = (public.hostname, public.port or (443 if public.scheme == "https" else 80))
        #: The providers, by their real hosts. A name of this machine is none.
        self.providers = {
            host.lower(): provider.name for provider in providers for host in provider.hosts if not is_loopback(host)
        }
        #: One that begins with a dot stands for all names that end so.
        self._allowed = _host_ports(settings.allow_host)
        self._kept_from: dict[str, int] = {}

    @property
    def mocked(self) -> tuple[str, ...]:
        """The real hosts of the providers, sorted."""
        return tuple(sorted(self.providers))

    @property
    def kept_from(self) -> tuple[KeptFrom, ...]:
        """The hosts that clients were kept from, in the order of their first requests."""
        return tuple(KeptFrom(*each) for each in self._kept_from.items())

    def also_at(self, port: int) -> None:
        """Note another port of this server."""
        self._ports.add(port)

    def no_more_at(self, port: int) -> None:
        """Forget a port."""
        self._ports.discard(port)

    def also_allow(self, entries: Iterable[str]) -> Callable[[], None]:
        """Let clients reach more hosts, written as for `--allow-host`, until the returned function is called."""
        before, self._allowed = self._allowed, [*self._allowed, *_host_ports(entries)]

        def undo() -> None:
            self._allowed = before

        return undo

    def allows_name(self, host: str) -> bool:
        """Tell whether clients may reach a host that is not mocked, at one port at least."""
        return self._settings.passthrough or any(_covers(each._replace(port=None), host, 0) for each in self._allowed)

    def judge(self, asked: HostPort, default_port: int) -> Verdict:
        """Tell what becomes of a request for a host."""
        host, port = asked.host, asked.port or default_port
        if host in self.providers:
            return "mocked"
        at_our_port = port in self._ports
        if (host, port) == self._public or (at_our_port and self._access.is_ours(host)):
            return "ours"
        if any(_covers(each, host, port) for each in self._allowed):
            return "allowed"
        if at_our_port and self._is_ours(host):
            return "ours"
        return "passed" if self._settings.passthrough else "refused"

    def _is_ours(self, host: str) -> bool:
        """Tell whether a name or address, with a port of ours, is that of this server."""
        if self._access.is_ours(host):
            return True
        address = literal_address(host)
        return is_local_name(host) if address is None else not address.is_global

    def may_certify(self, name: str) -> bool:
        """Tell whether this server speaks TLS under a name."""
        return name in self.providers or name == self._public[0] or self._is_ours(name)

    def refuse(self, host: str, *, why: str = "is not mocked", remedy: str = "") -> str:
        """Count a host that a client is kept from; say so in one line, with what would let it through."""
        if host in self._kept_from or len(self._kept_from) < _COUNTED:
            self._kept_from[host] = self._kept_from.get(host, 0) + 1
        name = host.rpartition(":")[0]  # without a port, it has come with TLS only: there is nothing to let through
        remedy = remedy or (name and f"--allow-host {name}")
        return f"{host} {why}: mockserver refuses it" + (f" ({remedy} lets it through)" if remedy else "")


def _host_ports(entries: Iterable[str]) -> list[HostPort]:
    return [each for text in entries if (each := host_port_of(text.lower().removeprefix("*"))) is not None]


def _covers(allowed: HostPort, host: str, port: int) -> bool:
    """Tell whether an entry of `--allow-host` allows a host and port."""
    if allowed.port not in (None, port):
        return False
    return host.endswith(allowed.host) if allowed.host.startswith(".") else host == allowed.host


def proxy_record(hosts: Hosts, providers: Iterable[Provider], ca: str | None) -> dict[str, Any]:
    """Describe what a server is for clients that use it as their proxy."""
    kept_from = [each._asdict() for each in hosts.kept_from]
    return {
        "mocked_hosts": list(hosts.mocked),
        "kept_from": kept_from,
        "ca": ca,
        "keys": keys_by_variable(providers),
    }
