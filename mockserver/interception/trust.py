"""TLS: for the mocked hosts, clients trust the local CA for as long as they are intercepted, whatever they trust else.

A CA cannot be taken out of a context again. So a client's context is left as it is, and a copy of it with the local
CA is used for the one connection: same verification, versions and options. Verification goes on: a client that does
not verify host names still does not, all others do. A client that pins the provider's certificate fails.
"""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Callable, Iterator
from typing import Any

from mockserver.interception.replaced import Replacement

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


def trusting_contexts(ca_of: CaOf) -> Iterator[Replacement]:
    """Return what makes contexts trust a CA for some hosts."""
    for name in ("wrap_socket", "wrap_bio"):
        yield ssl.SSLContext, name, _wrapping(ca_of, getattr(ssl.SSLContext, name))
