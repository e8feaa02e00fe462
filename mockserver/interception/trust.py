"""TLS: for the mocked hosts, clients trust the local CA for as long as they are intercepted, whatever they trust else.

A CA cannot be taken out of a context again. So a client's context is left as it is, and a copy of it with the local
CA is used for the one connection: same verification, versions and options. Verification goes on: a client that does
not verify host names still does not, all others do. A client that pins the provider's certificate fails.

A connection to a mocked host that was open before is not used: it ends when a client looks at it or writes to it.
"""

from __future__ import annotations

import errno
import inspect
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from mockserver.interception.names import normal_name
from mockserver.interception.replaced import Replacement
from mockserver.interception.routes import Routes

_REVOCATION = ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF | ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN


class LocalContext(ssl.SSLContext):
    """A copy of a client's context that trusts the local CA."""


def trusting(context: ssl.SSLContext, ca: str) -> ssl.SSLContext:
    """Return a copy of a client's context that trusts a CA (PEM), and no other."""
    made = LocalContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = context.verify_mode
    made.check_hostname = context.check_hostname
    made.options = context.options
    made.verify_flags = context.verify_flags & ~_REVOCATION
    made.minimum_version, made.maximum_version = context.minimum_version, context.maximum_version
    made.sslsocket_class, made.sslobject_class = context.sslsocket_class, context.sslobject_class
    made.set_alpn_protocols(["http/1.1"])  # what a context offers cannot be read; the mock speaks this alone
    made.load_verify_locations(cadata=ca)
    return made


#: Returns the CA (PEM) that is to be trusted for a host that a client names; None for the client's own.
CaOf = Callable[[Any], str | None]


def _wrapping(ca_of: CaOf, real: Callable[..., Any]) -> Callable[..., Any]:
    """Replace a method of contexts that begins TLS."""
    signature = inspect.signature(real)

    def wrap(context: ssl.SSLContext, *given: Any, **named: Any) -> Any:
        if not isinstance(context, LocalContext):
            asked = signature.bind(context, *given, **named).arguments
            ca = None if asked.get("server_side") else ca_of(asked.get("server_hostname"))
            if ca is not None:
                del asked["self"]
                asked.pop("session", None)  # it belongs to the client's context
                return real(trusting(context, ca), **asked)
        return real(context, *given, **named)

    return wrap


# -- connections from before --------------------------------------------------------------------------


def _is_old(routes: Routes, connection: ssl.SSLSocket | ssl.SSLObject) -> bool:
    """Tell whether a connection to a mocked host was open before."""
    if not routes.ways or connection.server_side or isinstance(connection.context, LocalContext):
        return False
    return routes.way_of(connection.server_hostname) is not None


def _writing(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    def write(connection: Any, *given: Any, **named: Any) -> Any:
        if _is_old(routes, connection):
            name = normal_name(connection.server_hostname)
            text = f"this connection to {name} was open before intercept(); mockserver has closed it"
            raise ConnectionResetError(errno.ECONNRESET, text)
        return real(connection, *given, **named)

    return write


def _fileno(routes: Routes, real: Callable[..., Any]) -> Callable[..., Any]:
    """End an old connection when a client asks whether it still lives: it polls the file."""

    def fileno(connection: Any) -> Any:
        file = real(connection)
        if file >= 0 and _is_old(routes, connection):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        return file

    return fileno


def trusting_contexts(ca_of: CaOf) -> Iterator[Replacement]:
    """Return what makes contexts trust a CA for some hosts."""
    for name in ("wrap_socket", "wrap_bio"):
        yield ssl.SSLContext, name, _wrapping(ca_of, getattr(ssl.SSLContext, name))


def trust(routes: Routes) -> Iterator[Replacement]:
    """Return what replaces the ways to speak TLS of this process."""
    yield from trusting_contexts(routes.ca_of)
    for owner, name in ((ssl.SSLSocket, "send"), (ssl.SSLSocket, "write"), (ssl.SSLObject, "write")):
        yield owner, name, _writing(routes, getattr(owner, name))
    yield ssl.SSLSocket, "fileno", _fileno(routes, ssl.SSLSocket.fileno)
