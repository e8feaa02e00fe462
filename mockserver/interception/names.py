"""Addresses that stand for host names: a client looks a name up, and connects to the address that it was given.

They are addresses of this machine where nothing listens. So a client that keeps one for longer than it is valid
reaches nobody. A name keeps its address as long as the process lives.
"""

from __future__ import annotations

from collections.abc import Iterable

_NETWORK = "127.83"


def normal_name(host: str | bytes | bytearray | None) -> str:
    """Return a host as it is compared: in lower case, without the dot at its end, and as it is sent in DNS."""
    if host is None:
        return ""
    text = bytes(host).decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
    if not text.isascii():
        try:
            text = text.encode("idna").decode("ascii")
        except UnicodeError:
            return text
    return text.lower().rstrip(".").removeprefix("::ffff:")


class Names:
    """Host names with their addresses."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._addresses: dict[str, str] = {}
        self._hosts: dict[str, str] = {}
        for host in hosts:
            self.address_of(host)

    def address_of(self, host: str) -> str:
        """Return the address that stands for a host; it gets one on first use."""
        address = self._addresses.get(host)
        if address is None:
            number = len(self._addresses) + 1
            address = self._addresses[host] = f"{_NETWORK}.{number >> 8}.{number & 255}"
            self._hosts[address] = host
        return address

    def host_of(self, address: str) -> str | None:
        """Return the host that an address stands for."""
        return self._hosts.get(address)
