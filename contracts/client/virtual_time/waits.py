"""Sockets and selectors as clients see them: waiting for bytes lets virtual time pass.

Addresses outside the loop cannot be reached.
"""

from __future__ import annotations

import select
import selectors
import socket
from collections.abc import Callable, Sequence
from typing import Any

from contracts.client.virtual_time.parts import Part, part_of_thread
from contracts.client.virtual_time.threads import Wait
from mockserver.interception.lookups import stand_in_infos

_real_getaddrinfo = socket.getaddrinfo
_real_select = select.select
_real_poll: Callable[[], Any] | None = getattr(select, "poll", None)
_READABLE = getattr(select, "POLLIN", 1) | getattr(select, "POLLPRI", 2)
_WRITABLE = getattr(select, "POLLOUT", 4)


def _reading(name: str) -> Callable[..., Any]:
    real = getattr(socket.socket, name)

    def read(sock: socket.socket, *given: Any, **named: Any) -> Any:
        part = part_of_thread()
        if part is not None and sock.gettimeout() != 0 and sock.fileno() >= 0:
            in_time = part.wait(Wait(part.thread), sock.gettimeout(), (sock.fileno(),))
            if not in_time:
                raise TimeoutError("timed out")
        return real(sock, *given, **named)

    return read


def _connecting(name: str) -> Callable[..., Any]:
    real = getattr(socket.socket, name)

    def connect(sock: socket.socket, address: Any, /) -> Any:
        part = part_of_thread()
        if part is not None and isinstance(address, tuple):
            host, port, *more = address
            place = part.loop.find(host, port)
            mapped = sock.family == socket.AF_INET6 and ":" not in place.host
            address = (f"::ffff:{place.host}" if mapped else place.host, place.port, *more)
        return real(sock, address)

    return connect


def _getaddrinfo(
    host: Any,
    port: Any,
    family: int = 0,
    type: int = 0,  # noqa: A002 - as the real one has it
    proto: int = 0,
    flags: int = 0,
) -> Any:
    """Resolve only names of this machine, and of hosts that are mocked: other names would need the network."""
    part = part_of_thread()
    if isinstance(host, bytes | bytearray):  # as some event loops' libraries have it
        host = bytes(host).decode("ascii", "replace")
    if part is None or host is None or str(host) == "localhost":
        return _real_getaddrinfo(host, port, family, type, proto, flags)
    if (address := part.loop.stand_in(host)) is not None:
        return stand_in_infos(host, address, port, family, type, proto, flags)
    try:
        return _real_getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
    except socket.gaierror:
        part.loop.unknown_addresses.append(f"{host}:{port}")
        raise socket.gaierror(socket.EAI_NONAME, f"no host {host} in this loop") from None


# -- selectors --------------------------------------------------------------------------------------


def _waiting(part: Part, timeout: float | None, reads: Sequence[int], writes: Sequence[int]) -> None:
    part.wait(Wait(part.thread), timeout, tuple(dict.fromkeys(reads)), tuple(dict.fromkeys(writes)))


def _of_selector(kind: Any) -> Callable[..., Any]:
    real = kind.select

    def choose(selector: Any, timeout: float | None = None) -> Any:
        part = part_of_thread()
        # The loop's own selector advances time itself.
        if part is None or (part.thread is None and getattr(selector, "loop", None) is not None):
            return real(selector, timeout)
        ready = real(selector, 0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if hasattr(selector, "fileno"):
            _waiting(part, timeout, [selector.fileno()], [])
        else:
            keys = list(selector.get_map().values())
            _waiting(
                part,
                timeout,
                [each.fd for each in keys if each.events & selectors.EVENT_READ],
                [each.fd for each in keys if each.events & selectors.EVENT_WRITE],
            )
        return real(selector, 0)

    return choose


def _number(file: Any) -> int:
    return file if isinstance(file, int) else file.fileno()


def _select(reads: Any, writes: Any, errors: Any, timeout: float | None = None, /) -> Any:
    part = part_of_thread()
    if part is None:
        return _real_select(reads, writes, errors, timeout)
    found = _real_select(reads, writes, errors, 0)
    if any(found) or (timeout is not None and timeout <= 0):
        return found
    _waiting(part, timeout, [_number(each) for each in reads], [_number(each) for each in writes])
    return _real_select(reads, writes, errors, 0)


class _Poll:
    """`select.poll()`."""

    def __init__(self) -> None:
        assert _real_poll is not None
        self._real = _real_poll()
        self._events: dict[int, int] = {}

    def register(self, file: Any, events: int = _READABLE | _WRITABLE) -> None:
        """Watch a file."""
        self._real.register(file, events)
        self._events[_number(file)] = events

    def modify(self, file: Any, events: int) -> None:
        """Watch a file for other events."""
        self._real.modify(file, events)
        self._events[_number(file)] = events

    def unregister(self, file: Any) -> None:
        """Watch a file no more."""
        self._real.unregister(file)
        self._events.pop(_number(file), None)

    def poll(self, timeout_ms: float | None = None, /) -> Any:
        """Wait for events."""
        part = part_of_thread()
        forever = timeout_ms is None or timeout_ms < 0
        if part is None:
            return self._real.poll(timeout_ms)
        found = self._real.poll(0)
        if found or timeout_ms == 0:
            return found
        reads = [file for file, events in self._events.items() if events & _READABLE]
        writes = [file for file, events in self._events.items() if events & _WRITABLE]
        _waiting(part, None if forever or timeout_ms is None else timeout_ms / 1000, reads, writes)
        return self._real.poll(0)


def _poll() -> Any:
    assert _real_poll is not None
    return _real_poll() if part_of_thread() is None else _Poll()


#: What is replaced while a loop runs in virtual time: object, name, replacement.
PATCHES: tuple[tuple[Any, str, Any], ...] = (
    *((socket.socket, name, _reading(name)) for name in ("recv", "recv_into", "recvfrom", "recvmsg", "_accept")),
    *((socket.socket, name, _connecting(name)) for name in ("connect", "connect_ex")),
    (socket, "getaddrinfo", _getaddrinfo),
    *(
        (kind, "select", _of_selector(kind))
        for name in ("EpollSelector", "KqueueSelector", "PollSelector", "DevpollSelector", "SelectSelector")
        if (kind := getattr(selectors, name, None)) is not None
    ),
    (select, "select", _select),
    *(((select, "poll", _poll),) if _real_poll is not None else ()),
)
