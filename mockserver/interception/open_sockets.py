"""Connections of this process that are open already, or still: closed, so that no client's pool uses them again.

The system tells which files are open. A connection is ended in both directions, as if its peer had gone: pools see
that when they look at it. The loop that runs in this thread cannot see it before its next turn; its transports are
told at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_FOLDERS = (Path("/proc/self/fd"), Path("/dev/fd"))


def end_connections(to_address: Callable[[str, int], bool]) -> None:
    """End the connections of this process to some addresses."""
    ended = {file for file in _open_files() if _end(file, to_address)}
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    for transport in _transports(loop):
        own, protocol = transport.get_extra_info("socket"), transport.get_protocol()
        if own is not None and own.fileno() in ended:
            # aiohttp and others hold the outer transport, of TLS
            (getattr(protocol, "_app_transport", None) or transport).abort()


def _open_files() -> list[int]:
    for folder in _FOLDERS:
        with suppress(OSError):
            return [int(each) for each in os.listdir(folder)]  # noqa: PTH208 - names are enough
    return []


def _end(file: int, to_address: Callable[[str, int], bool]) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(file).st_mode):
            return False
        sock = socket.socket(fileno=file)
    except OSError:  # it has been closed meanwhile
        return False
    try:
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
            return False
        host, port, *_ = sock.getpeername()
        if not to_address(host, port):
            return False
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:  # it listens, or has ended
        return False
    finally:
        sock.detach()
    return True


def _transports(loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """Return the transports of a loop of asyncio's own."""
    kept: Any = getattr(loop, "_transports", {})
    return iter(list(kept.values()))
