"""`time` and `socket` as clients see them in virtual time.

Seconds are those of the loop; sleeping and waiting for bytes advance them. Addresses outside the loop cannot be
reached. This applies only to threads that take part; other threads of the process keep the real functions. A
function that was imported by name (`from time import sleep`) before the patch stays real.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from contracts.client.virtual_time.threads import VirtualThread

_real = {
    name: getattr(time, name) for name in ("time", "monotonic", "perf_counter", "sleep", "time_ns", "monotonic_ns")
}
_real_getaddrinfo = socket.getaddrinfo
_virtual = threading.local()
_lock = threading.Lock()
#: How many loops run in virtual time; the patches are in place while there is one.
_loops = 0


class VirtualClock(Protocol):
    """The loop, as far as patched functions need it."""

    now_s: float
    start_s: float
    known_as: dict[int, int]
    unknown_addresses: list[str]

    def skip(self, seconds: float) -> None:
        """Advance time."""

    def find(self, host: str, port: int) -> object:
        """Find the server at an address."""


@dataclass(slots=True)
class _Part:
    """A thread's part in virtual time."""

    loop: VirtualClock
    #: None is the loop's own thread: while it sleeps, nothing else runs.
    thread: VirtualThread | None


def _part() -> _Part | None:
    return getattr(_virtual, "part", None)


def is_virtual() -> bool:
    """Tell whether this thread takes part in virtual time."""
    return _part() is not None


# -- time -------------------------------------------------------------------------------------------


def _unix_s() -> float:
    part = _part()
    return float(_real["time"]()) if part is None else part.loop.start_s + part.loop.now_s


def _monotonic_s() -> float:
    part = _part()
    return float(_real["monotonic"]()) if part is None else part.loop.now_s


def _perf_s() -> float:
    part = _part()
    return float(_real["perf_counter"]()) if part is None else part.loop.now_s


def _sleep(seconds: float, /) -> None:
    part = _part()
    if part is None:
        _real["sleep"](seconds)
    elif seconds < 0:
        raise ValueError("sleep length must be non-negative")
    elif part.thread is None:
        part.loop.skip(seconds)
    else:
        part.thread.sleep(seconds)


_PATCHES: dict[str, Callable[..., object]] = {
    "time": _unix_s,
    "monotonic": _monotonic_s,
    "perf_counter": _perf_s,
    "sleep": _sleep,
    "time_ns": lambda: int(_unix_s() * 1_000_000_000),
    "monotonic_ns": lambda: int(_monotonic_s() * 1_000_000_000),
}


# -- sockets of threads -----------------------------------------------------------------------------


def _reading(name: str) -> Callable[..., Any]:
    real = getattr(socket.socket, name)

    def read(sock: socket.socket, *given: Any, **named: Any) -> Any:
        part = _part()
        if part is not None and part.thread is not None and sock.gettimeout() != 0:
            part.thread.await_bytes(sock)
        return real(sock, *given, **named)

    return read


def _connecting(name: str) -> Callable[..., Any]:
    real = getattr(socket.socket, name)

    def connect(sock: socket.socket, address: Any, /) -> Any:
        part = _part()
        if part is not None and isinstance(address, tuple):
            host, port, *more = address
            part.loop.find(host, port)
            address = (host, part.loop.known_as.get(port, port), *more)
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
    """Resolve only names of this machine: other names would need the network."""
    part = _part()
    if part is None or host is None or str(host) == "localhost":
        return _real_getaddrinfo(host, port, family, type, proto, flags)
    try:
        return _real_getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
    except socket.gaierror:
        part.loop.unknown_addresses.append(f"{host}:{port}")
        raise socket.gaierror(socket.EAI_NONAME, f"no host {host} in this loop") from None


#: Methods that `socket.socket` inherits; the patch defines them on the class itself.
_SOCKET_PATCHES = {
    "recv": _reading("recv"),
    "recv_into": _reading("recv_into"),
    "connect": _connecting("connect"),
    "connect_ex": _connecting("connect_ex"),
}


# -- taking part ------------------------------------------------------------------------------------


@contextmanager
def virtual_time(loop: VirtualClock, start_s: float) -> Iterator[None]:
    """Put a loop's own thread in virtual time. `start_s` is the value of `time.time()` at its start."""
    loop.start_s = start_s
    _patch(1)
    try:
        with _as(_Part(loop, None)):
            yield
    finally:
        _patch(-1)


@contextmanager
def in_virtual_time(loop: VirtualClock, thread: VirtualThread) -> Iterator[None]:
    """Put another thread in a loop's virtual time."""
    with _as(_Part(loop, thread)):
        yield


@contextmanager
def _as(part: _Part) -> Iterator[None]:
    before = _part()
    _virtual.part = part
    try:
        yield
    finally:
        _virtual.part = before


def _patch(more: int) -> None:
    global _loops  # noqa: PLW0603 - it counts the loops that need the patches of two modules
    with _lock:
        _loops += more
        if _loops == 1 and more == 1:
            for name, patch in _PATCHES.items():
                setattr(time, name, patch)
            for name, patch in _SOCKET_PATCHES.items():
                setattr(socket.socket, name, patch)
            socket.getaddrinfo = _getaddrinfo
        elif _loops == 0:
            for name, real in _real.items():
                setattr(time, name, real)
            for name in _SOCKET_PATCHES:
                delattr(socket.socket, name)
            socket.getaddrinfo = _real_getaddrinfo
