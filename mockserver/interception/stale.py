"""Connections of TLS to a mocked host that were open before: no pool uses one again, and nobody writes to it.

Before a pool uses a connection again, it asks whether it still lives. Those from before do not: urllib3 and httpcore
poll their files, which are ended here; httpcore (with an event loop) and aiohttp ask their streams. Most have been
ended by their addresses already (`open_sockets`); these are told by the name that they were made for.
"""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from aiohttp.client_proto import ResponseHandler

from mockserver.interception.names import normal_name
from mockserver.interception.replaced import Replacement
from mockserver.interception.routes import Routes
from mockserver.interception.trust import LocalContext

#: The streams of httpcore, where it is loaded: module, class.
_STREAMS = (("httpcore._backends.anyio", "AnyIOStream"), ("httpcore._backends.trio", "TrioStream"))


def _is_stale(routes: Routes, connection: Any) -> bool:
    """Tell whether a connection, if it is one of TLS, was made for a mocked host before."""
    if not isinstance(connection, ssl.SSLSocket | ssl.SSLObject) or connection.server_side or not routes.ways:
        return False
    return not isinstance(connection.context, LocalContext) and routes.way_of(connection.server_hostname) is not None


def _writing(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    def write(connection: Any, *given: Any, **named: Any) -> Any:
        if _is_stale(routes, connection):
            name = normal_name(connection.server_hostname)
            text = f"this connection to {name} was open before intercept(): mockserver keeps it from being used"
            raise ConnectionResetError(errno.ECONNRESET, text)
        return real(connection, *given, **named)

    return write


def _fileno(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    def fileno(connection: Any) -> Any:
        file = real(connection)
        if file >= 0 and _is_stale(routes, connection):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        return file

    return fileno


def _get_extra_info(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    def get_extra_info(stream: Any, info: str) -> Any:
        # A stream that can be read while nothing is expected has ended.
        return (info == "is_readable" and _is_stale(routes, real(stream, "ssl_object"))) or real(stream, info)

    return get_extra_info


def _is_connected(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    def is_connected(protocol: Any) -> Any:
        connected = real(protocol)
        return connected and not _is_stale(routes, protocol.transport.get_extra_info("ssl_object"))

    return is_connected


def stale_connections(routes: Routes) -> Iterator[Replacement]:
    """Return what keeps connections from before out of use."""
    for owner, name in ((ssl.SSLSocket, "send"), (ssl.SSLSocket, "write"), (ssl.SSLObject, "write")):
        yield owner, name, _writing(routes, getattr(owner, name))
    yield ssl.SSLSocket, "fileno", _fileno(routes, ssl.SSLSocket.fileno)
    yield ResponseHandler, "is_connected", _is_connected(routes, ResponseHandler.is_connected)
    for module, name in _STREAMS:
        if (stream := getattr(sys.modules.get(module), name, None)) is not None:
            yield stream, "get_extra_info", _get_extra_info(routes, stream.get_extra_info)
