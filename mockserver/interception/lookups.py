"""Name lookups: a mocked host has the address that stands for it, an allowed one its own; no other name is looked up.

Python's functions in `socket` and the C functions below them are replaced, because modules hold the former by name.
"""

from __future__ import annotations

import _socket
import socket
from collections.abc import Callable, Iterator
from typing import Any

from mockserver.interception.names import normal_name
from mockserver.interception.replaced import Replacement
from mockserver.interception.routes import Routes

_real_getaddrinfo = socket.getaddrinfo


def stand_in_infos(host: Any, address: str, port: Any, family: int, kind: int, proto: int, flags: int) -> list[Any]:
    """Return what `getaddrinfo` finds for a host that has a stand-in."""
    literal = f"::ffff:{address}" if family == socket.AF_INET6 else address
    flags &= ~(socket.AI_ADDRCONFIG | socket.AI_V4MAPPED | socket.AI_ALL)
    found = _real_getaddrinfo(literal, port, family, kind, proto, flags | socket.AI_NUMERICHOST)
    return [(*each[:3], normal_name(host) if each[3] else "", each[4]) for each in found]


def _getaddrinfo(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    def getaddrinfo(
        host: Any,
        port: Any,
        family: int = 0,
        type: int = 0,  # noqa: A002 - as the real one has it
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        if host is None or not routes.ways:
            return real(host, port, family, type, proto, flags)
        address = routes.stand_in(host)
        if address is not None:
            return stand_in_infos(host, address, port, family, type, proto, flags)
        found = real(host, port, family, type, proto, flags)
        routes.note(host, (each[4][0] for each in found))
        return found

    return getaddrinfo


def _by_name(routes: Routes, real: Callable[..., Any], shown: Callable[[str, str], Any]) -> Callable[..., Any]:
    """Replace a lookup that takes a name and returns, of a stand-in, what `shown` makes of name and address."""

    def lookup(host: Any, /) -> Any:
        address = routes.stand_in(host)
        if address is not None:
            return shown(normal_name(host), address)
        found = real(host)
        routes.note(host, [found] if isinstance(found, str) else found[2])
        return found

    return lookup


def _host_entry(name: str, address: str) -> tuple[str, list[str], list[str]]:
    return name, [], [address]


def _gethostbyaddr(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    lookup = _by_name(routes, real, _host_entry)

    def gethostbyaddr(host: Any, /) -> Any:
        name = routes.names.host_of(normal_name(host))
        return lookup(host) if name is None or not routes.ways else _host_entry(name, normal_name(host))

    return gethostbyaddr


def _getnameinfo(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    def getnameinfo(address: Any, flags: int, /) -> Any:
        name = routes.names.host_of(normal_name(address[0])) if routes.ways else None
        if name is None or flags & socket.NI_NUMERICHOST:
            return real(address, flags)
        return name, real(address, flags | socket.NI_NUMERICHOST)[1]

    return getnameinfo


def lookups(routes: Routes) -> Iterator[Replacement]:
    """Return what replaces the lookups of this process."""
    for module in (socket, _socket):
        yield module, "getaddrinfo", _getaddrinfo(routes, module.getaddrinfo)
        yield module, "gethostbyname", _by_name(routes, module.gethostbyname, lambda _, address: address)
        yield module, "gethostbyname_ex", _by_name(routes, module.gethostbyname_ex, _host_entry)
        yield module, "gethostbyaddr", _gethostbyaddr(routes, module.gethostbyaddr)
        yield module, "getnameinfo", _getnameinfo(routes, module.getnameinfo)
