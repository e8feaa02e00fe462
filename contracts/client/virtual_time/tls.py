"""TLS as clients see it in virtual time: to a mocked host it is verified by the local CA, and reading lets time pass.

A connection of TLS reads in C, where a thread counts as working. So it reads what is there, and waits for the file as
for one without TLS. aiohttp resolves names by itself, or by a library in C: it is told of the mocked hosts.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from aiohttp import TCPConnector

from contracts.client.virtual_time.parts import part_of_thread
from contracts.client.virtual_time.threads import Wait
from mockserver.interception.connecting import stand_in_results
from mockserver.interception.trust import trusting_contexts

_real_resolve_host: Callable[..., Any] | None = getattr(TCPConnector, "_resolve_host", None)


def _ca_of(host: Any) -> str | None:
    part = part_of_thread()
    return None if part is None or host is None or part.loop.stand_in(host) is None else part.loop.ca()


def _reading(name: str) -> Callable[..., Any]:
    """Replace a method of a socket that may wait for bytes."""
    real = getattr(ssl.SSLSocket, name)

    def read(sock: ssl.SSLSocket, *given: Any, **named: Any) -> Any:
        part, timeout_s = part_of_thread(), sock.gettimeout()
        if part is None or timeout_s == 0:
            return real(sock, *given, **named)
        until_s = None if timeout_s is None else part.loop.now_s + timeout_s
        sock.settimeout(0)
        try:
            while True:
                reads: tuple[int, ...] = (sock.fileno(),)
                writes: tuple[int, ...] = ()
                try:
                    return real(sock, *given, **named)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLWantWriteError:
                    reads, writes = writes, reads
                left_s = None if until_s is None else until_s - part.loop.now_s
                if (left_s is not None and left_s <= 0) or not part.wait(Wait(part.thread), left_s, reads, writes):
                    raise TimeoutError("The read operation timed out")
        finally:
            if sock.fileno() >= 0:
                sock.settimeout(timeout_s)

    return read


async def _resolve_host(connector: TCPConnector, host: str, port: int, traces: Any = None) -> Any:
    part = part_of_thread()
    address = None if part is None else part.loop.stand_in(host)
    if address is not None:
        return stand_in_results(connector, host, port, address)
    assert _real_resolve_host is not None
    return await _real_resolve_host(connector, host, port, traces)


#: What is replaced while a loop runs in virtual time: object, name, replacement.
PATCHES: tuple[tuple[Any, str, Any], ...] = (
    *trusting_contexts(_ca_of),
    *((ssl.SSLSocket, name, _reading(name)) for name in ("read", "do_handshake")),
    *(((TCPConnector, "_resolve_host", _resolve_host),) if _real_resolve_host is not None else ()),
)
