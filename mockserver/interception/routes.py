"""What becomes of a connection or a lookup in this process.

a mocked host, at any port       led to the server that mocks it
a proxy of the environment       led to the server as well, which is a proxy
this machine                     let through
an allowed host                  let through
anything else                    refused, in words
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies

from mockserver.edge.hosts import HostPort, Hosts
from mockserver.engine.targets import is_loopback, literal_address
from mockserver.interception.names import Names, normal_name

HERE = "127.0.0.1"
_PORT_OF_SCHEME = {"http": 80, "https": 443}
_ANY = frozenset(("", "0.0.0.0", "::", "<broadcast>"))  # noqa: S104 - to connect there is to connect to this machine


class HostRefusedError(ConnectionRefusedError):
    """A host that is neither mocked nor allowed, while hosts are intercepted; the message names it."""


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """The way to one server."""

    hosts: Hosts
    mocked: frozenset[str]
    #: Where the server takes connections that were meant for these hosts, on this machine.
    port: int
    #: The certificate of its CA (PEM).
    ca: str


@dataclass(frozen=True, slots=True)
class EnvironmentProxy:
    """A proxy that the environment names."""

    host: str
    port: int
    speaks_http: bool

    def is_at(self, host: str, port: int) -> bool:
        """Tell whether it is at an address, or under a name."""
        return port == self.port and (host == self.host or (is_loopback(host) and is_loopback(self.host)))


def environment_proxies() -> tuple[EnvironmentProxy, ...]:
    """Return the proxies that the environment names."""
    found = []
    for scheme, url in getproxies().items():
        if scheme == "no":
            continue
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port or _PORT_OF_SCHEME.get(parts.scheme, 1080)
        except ValueError:
            continue
        if parts.hostname:
            found.append(EnvironmentProxy(normal_name(parts.hostname), port, parts.scheme == "http"))
    return tuple(dict.fromkeys(found))


class Routes:
    """The ways that are open in this process, for all its threads."""

    def __init__(self) -> None:
        self.names = Names()
        self.ways: tuple[Way, ...] = ()
        self._proxies: tuple[EnvironmentProxy, ...] = ()
        #: The names that real addresses were looked up for.
        self._looked_up: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()

    def open(self, way: Way) -> None:
        """Open a way."""
        if not self.ways:
            self._proxies = environment_proxies()
            self._looked_up.clear()
        for host in sorted(way.mocked):
            self.names.address_of(host)
        self.ways = (*self.ways, way)

    def close(self, way: Way) -> None:
        """Close a way."""
        self.ways = tuple(each for each in self.ways if each is not way)

    def way_of(self, host: str | bytes | None) -> Way | None:
        """Return the way to the server that mocks a host."""
        name = normal_name(host)
        return next((each for each in self.ways if name in each.mocked), None)

    def ca_of(self, host: str | bytes | None) -> str | None:
        """Return the certificate of the CA that is to be trusted for a host (PEM); None where it is not mocked."""
        way = self.way_of(host)
        return None if way is None else way.ca

    # -- lookups --------------------------------------------------------------------------------

    def stand_in(self, host: str | bytes | bytearray) -> str | None:
        """Return the address that a lookup of a name gives here; None where it may really be looked up.

        Raises:
            HostRefusedError: nobody may look it up.
        """
        name, ways = normal_name(host), self.ways
        if not ways or name in _ANY or is_loopback(name) or literal_address(name) is not None:
            return None
        is_proxy = any(each.host == name for each in self._proxies)
        if is_proxy or any(name in each.mocked for each in ways):
            with self._lock:
                return self.names.address_of(name)
        if any(each.hosts.allows_name(name) for each in ways):
            return None
        raise self._refused(ways, name)

    def note(self, host: str | bytes | bytearray, addresses: Iterable[str]) -> None:
        """Remember the real addresses of a host that is allowed."""
        name = normal_name(host)
        with self._lock:
            for each in map(normal_name, addresses):
                self._looked_up[each] = self._looked_up.get(each, frozenset()) | {name}

    # -- connections ----------------------------------------------------------------------------

    def destination(self, host: str | bytes | bytearray, port: int) -> tuple[str, int] | None:
        """Return where a connection leads; None where it is let through.

        Raises:
            HostRefusedError: it is neither mocked nor allowed.
        """
        ways = self.ways
        if not ways:
            return None
        name = normal_name(host)
        name = self.names.host_of(name) or name
        for way in ways:
            if name in way.mocked:
                return HERE, way.port
        for proxy in self._proxies:
            if proxy.is_at(name, port):
                if not proxy.speaks_http:
                    raise self._refused(ways, name, port)
                return HERE, ways[-1].port
        if self._lets_through(ways, name, port):
            return None
        raise self._refused(ways, name, port)

    def check_datagram(self, host: str | bytes | bytearray, port: int) -> None:
        """Check where a datagram goes: a mocked host takes none.

        Raises:
            HostRefusedError: it may not go there.
        """
        if self.destination(host, port) is not None:
            raise self._refused(self.ways, normal_name(host), port)

    def _lets_through(self, ways: Sequence[Way], name: str, port: int) -> bool:
        """Tell whether a host that is not mocked may be connected to."""
        if name in _ANY or is_loopback(name):
            return True
        known_as = (name, *self._looked_up.get(name, ()))
        return any(
            way.hosts.judge(HostPort(each, port), port) in ("allowed", "passed") for way in ways for each in known_as
        )

    def might_be_real(self, host: str, port: int) -> bool:
        """Tell whether a connection that was open before may lead to a host that is mocked now, or to a proxy."""
        name = normal_name(host)
        if any(each.is_at(name, port) for each in self._proxies):
            return True
        return port in _PORT_OF_SCHEME.values() and not is_loopback(name)

    def _refused(self, ways: Sequence[Way], name: str, port: int | None = None) -> HostRefusedError:
        host = name if port is None else HostPort(name, port).with_port(port)
        shown = f"[{name}]" if ":" in name else name
        with self._lock:
            text = ways[-1].hosts.refuse(host, remedy=f"intercept(allow_hosts=['{shown}'])")
        return HostRefusedError(errno.ECONNREFUSED, text)
