"""Where callbacks may go. Checked twice: the URL at submit, and the address that it resolves to at delivery.

Modes: `documented` is the provider's own rule; `loopback` is the same, but also allows this machine, over plain
http too, because receivers of offline tests run here; `any` allows everything.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import unquote, urlsplit

from mockserver.provider import CallbackTarget, TargetMode

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: The usual spellings of this machine; `is_loopback` knows the others.
LOOPBACK_HOSTS = frozenset(("127.0.0.1", "::1", "localhost"))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: Networks for one site, the second for its own NAT64, that the standard library takes for the world's.
_OF_A_SITE = (ipaddress.IPv6Network("fec0::/10"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def is_loopback(host: str) -> bool:
    """Tell whether a host, given as a name or an address, is this machine."""
    host = host.lower().rstrip(".")
    if host in LOOPBACK_HOSTS or host.endswith(".localhost"):
        return True
    address = literal_address(host)
    return address is not None and address.is_loopback


def url_problem(url: object, target: CallbackTarget, mode: TargetMode) -> str | None:
    """Return what is wrong with a callback URL, without resolving its host; None where nothing is wrong."""
    if not isinstance(url, str):
        return "is not a string"
    if len(url) > target.max_length:
        return f"is {len(url)} characters long; at most {target.max_length} are allowed"
    if any(character <= " " or character >= "\x7f" or character == "\\" for character in url):
        return "holds blanks, control characters or letters that a URI spells with percent signs or punycode"
    try:
        parts = urlsplit(url)
        host, _ = unquote(parts.hostname or "").lower().rstrip("."), parts.port  # as HTTP libraries decode it
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return "is not an absolute http(s) URL"
    if mode == "any":
        return None
    loopback = is_loopback(host)
    if loopback and mode == "loopback":
        return None
    if parts.scheme not in target.schemes:
        return f"must be {' or '.join(target.schemes)}"
    if loopback and target.internal_addresses_refused:
        return "leads to an internal address"
    address = literal_address(host)
    return None if address is None else address_problem(address, target, mode)


def address_problem(address: Address, target: CallbackTarget, mode: TargetMode) -> str | None:
    """Return why an address must not be connected to; None where it may."""
    if mode == "any" or not target.internal_addresses_refused:
        return None
    if mode == "loopback" and _unmapped(address).is_loopback:
        return None
    return "leads to an internal address" if is_internal(address) else None


def is_internal(address: Address) -> bool:
    """Tell whether an address is not one of the internet's, such as that of this machine or of its network."""
    address = _unmapped(address)
    of_a_site = isinstance(address, ipaddress.IPv6Address) and any(address in network for network in _OF_A_SITE)
    return not address.is_global or address.is_multicast or address.is_reserved or of_a_site


def literal_address(host: str) -> Address | None:
    """Parse a host that is an address, in any spelling that a resolver accepts; None for a name."""
    try:
        return _unmapped(ipaddress.ip_address(host))
    except ValueError:
        pass
    if host[:1].isdigit():
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError):
            pass
    return None


def _unmapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address contains, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
