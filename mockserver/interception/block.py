"""The block in which the real hosts of a server's providers lead to it, for every HTTP client in this process.

What is replaced is the same for all blocks; it is in place while there is one. Blocks of several servers may overlap
if their hosts do not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mockserver.edge.hosts import Hosts
from mockserver.interception.connecting import connections
from mockserver.interception.lookups import lookups
from mockserver.interception.names import normal_name
from mockserver.interception.open_sockets import end_connections
from mockserver.interception.replaced import Replaced
from mockserver.interception.routes import HERE, Routes, Way
from mockserver.interception.stale import stale_connections
from mockserver.interception.trust import trusting_contexts
from mockserver.settings import checked

_routes = Routes()
_replaced = Replaced()
_lock = threading.RLock()


class InterceptionError(RuntimeError):
    """These hosts cannot be intercepted now; the message says why."""


@contextmanager
def interception(hosts: Hosts, port: int, ca: Path, allow_hosts: Iterable[str] | str = ()) -> Iterator[None]:
    """Lead the hosts of a server to it until the block ends; then put everything back.

    Args:
        hosts: the hosts that the server knows.
        port: where it takes the connections, on this machine.
        ca: the file of the certificate that its own are signed with.
        allow_hosts: other hosts that may be reached: NAME, NAME:PORT or `*.NAME`.

    Raises:
        InterceptionError: another block has one of the hosts.
        ConfigError: an entry of `allow_hosts` is not a host.
    """
    entries = [allow_hosts] if isinstance(allow_hosts, str) else list(allow_hosts)
    allowed: Sequence[str] = checked({"allow_host": entries}, ["allow_host"])["allow_host"]
    way = Way(hosts, frozenset(hosts.mocked), port, ca.read_text(encoding="ascii"))
    with _lock:
        taken = sorted(host for host in way.mocked if _routes.way_of(host) is not None)
        if taken:
            raise InterceptionError(
                f"{taken[0]} is intercepted already in this process: end that block first, "
                "or let each server have hosts of its own (MockServer(only=...))"
            )
        if not _routes.ways:
            _replaced.put([*lookups(_routes), *connections(_routes)])
            _replaced.put([*trusting_contexts(_routes.ca_of), *stale_connections(_routes)])
        undo_allow = hosts.also_allow(allowed)
        _routes.open(way)
    try:
        end_connections(_routes.might_be_real)
        yield
    finally:
        with _lock:
            undo_allow()
            _routes.close(way)
            if not _routes.ways:
                _replaced.undo()
        end_connections(lambda host, to: to == port and normal_name(host) == HERE)
