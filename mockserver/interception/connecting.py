"""Connecting: `connect` and datagrams of sockets, and what event loops and aiohttp do in its place.

asyncio's usual loops connect Python sockets. uvloop looks names up and connects in C, Windows' proactor connects in C,
and aiohttp keeps the addresses that it has looked up, or lets a library in C look them up.
"""

from __future__ import annotations

import socket
from asyncio.proactor_events import BaseProactorEventLoop
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from aiohttp import TCPConnector

from mockserver.interception.names import normal_name
from mockserver.interception.replaced import Replacement
from mockserver.interception.routes import Routes

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

try:
    from uvloop import Loop as UvLoop
except ImportError:  # not on Windows
    UvLoop = None  # type: ignore[assignment,misc]

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def _led(routes: Routes, sock: socket.socket, address: Any) -> Any:
    """Return the address to connect a socket to.

    Raises:
        HostRefusedError: it may not be connected to.
    """
    if sock.family not in _FAMILIES or not isinstance(address, tuple) or len(address) < 2:
        return address
    to = routes.destination(address[0], address[1])
    if to is None:
        return address
    return to if sock.family == socket.AF_INET else (f"::ffff:{to[0]}", to[1], 0, 0)


def _connect(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    def connect(sock: socket.socket, address: Any, /) -> Any:
        return real(sock, _led(routes, sock, address))

    return connect


def _sending(routes: Routes, real: Callable[..., Any], place: int) -> Callable[..., Any]:
    """Replace a method that sends a datagram; at `place`, or last, its address is given."""

    def send(sock: socket.socket, *given: Any) -> Any:
        address = given[-1] if len(given) > place else None
        if sock.family in _FAMILIES and isinstance(address, tuple) and routes.ways:
            routes.check_datagram(address[0], address[1])
        return real(sock, *given)

    return send


def _sock_connect(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    async def sock_connect(loop: Any, sock: socket.socket, address: Any) -> Any:
        return await real(loop, sock, _led(routes, sock, address))

    return sock_connect


# -- uvloop -------------------------------------------------------------------------------------------


def _create_connection(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    async def create_connection(loop: Any, factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        to = None if host is None else routes.destination(host, port or 0)
        if to is not None:
            if options.get("ssl") and options.get("server_hostname") is None:
                options["server_hostname"] = normal_name(host)
            for name in ("family", "local_addr"):  # they are meant for another address
                options.pop(name, None)
            host, port = to
        return await real(loop, factory, host, port, **options)

    return create_connection


def _loop_getaddrinfo(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    async def getaddrinfo(loop: Any, host: Any, port: Any, **options: int) -> Any:
        if not routes.ways:
            return await real(loop, host, port, **options)
        return await loop.run_in_executor(None, lambda: socket.getaddrinfo(host, port, **options))

    return getaddrinfo


def _create_datagram_endpoint(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    async def create_datagram_endpoint(
        loop: Any, factory: Any, local_addr: Any = None, remote_addr: Any = None, **options: Any
    ) -> Any:
        if isinstance(remote_addr, tuple) and routes.ways:
            routes.check_datagram(remote_addr[0], remote_addr[1])
        return await real(loop, factory, local_addr, remote_addr, **options)

    return create_datagram_endpoint


# -- aiohttp ------------------------------------------------------------------------------------------


def stand_in_results(connector: TCPConnector, host: str, port: int, address: str) -> list[ResolveResult]:
    """Return what a connector of aiohttp resolves a host to that has a stand-in."""
    is_v6 = connector.family == socket.AF_INET6
    return [
        {
            "hostname": host,
            "host": f"::ffff:{address}" if is_v6 else address,
            "port": port,
            "family": socket.AF_INET6 if is_v6 else socket.AF_INET,
            "proto": 0,
            "flags": socket.AI_NUMERICHOST,
        }
    ]


def _resolve_host(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    async def resolve(connector: Any, host: str, port: int, traces: Any = None) -> Any:
        address = routes.stand_in(host)
        if address is not None:
            return stand_in_results(connector, host, port, address)
        found = await real(connector, host, port, traces)
        if routes.ways:
            routes.note(host, (each["host"] for each in found))
        return found

    return resolve


def connections(routes: Routes) -> Iterator[Replacement]:
    """Return what replaces the ways to connect of this process."""
    for name in ("connect", "connect_ex"):
        yield socket.socket, name, _connect(routes, getattr(socket.socket, name))
    yield socket.socket, "sendto", _sending(routes, socket.socket.sendto, 1)
    if hasattr(socket.socket, "sendmsg"):
        yield socket.socket, "sendmsg", _sending(routes, socket.socket.sendmsg, 3)
    yield BaseProactorEventLoop, "sock_connect", _sock_connect(routes, BaseProactorEventLoop.sock_connect)
    if UvLoop is not None:
        yield UvLoop, "sock_connect", _sock_connect(routes, UvLoop.sock_connect)
        yield UvLoop, "create_connection", _create_connection(routes, UvLoop.create_connection)
        yield UvLoop, "getaddrinfo", _loop_getaddrinfo(routes, UvLoop.getaddrinfo)
        endpoint = UvLoop.create_datagram_endpoint
        yield UvLoop, "create_datagram_endpoint", _create_datagram_endpoint(routes, endpoint)
    if hasattr(TCPConnector, "_resolve_host"):  # a private name
        yield TCPConnector, "_resolve_host", _resolve_host(routes, TCPConnector._resolve_host)  # noqa: SLF001
