"""Resolves the names of hosts that this server connects to, and keeps the addresses that it may connect to."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from mockserver.engine.targets import Address


class BlockedAddressError(OSError):
    """A host name resolves only to addresses that may not be connected to."""


class CheckingResolver(AbstractResolver):
    """Resolves a host name once and keeps the allowed addresses; the connection goes to one of them.

    Args:
        problem: says what is wrong with an address; None where it is allowed.
    """

    def __init__(self, problem: Callable[[Address], str | None]) -> None:
        self._problem = problem
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a host name.

        Raises:
            BlockedAddressError: none of its addresses is allowed.
            OSError: it cannot be resolved.
        """
        found = await self._inner.resolve(host, port, family)
        problem = None
        allowed = []
        for result in found:
            why = self._problem(ipaddress.ip_address(result["host"]))
            if why is None:
                allowed.append(result)
            problem = why or problem
        if not allowed and problem is not None:
            raise BlockedAddressError(f"{host} {problem}")
        return allowed

    async def close(self) -> None:
        """Do nothing: nothing is kept."""
        await self._inner.close()
