"""`--isolate`: a server and its client in a network where there is nothing else.

The mocked hosts are in /etc/hosts, ports 80 and 443 are served, and the mock's CA is among those that the system
trusts: so clients that know no proxy reach the mock under its real names, and nothing else at all.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from mockserver.certificates import system_bundles
from mockserver.edge.server import Server
from mockserver.engine.targets import literal_address
from mockserver.launch.environment import ClientFiles
from mockserver.launch.hashed import hashed_directories, hashed_name
from mockserver.launch.lookout import Lookout
from mockserver.launch.namespaces import enter, replace_files
from mockserver.settings import ConfigError, Settings

__all__ = ["Isolation", "check_settings", "enter"]

_PORTS = (80, 443)
_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_HOSTS, _RESOLVER, _SWITCH = Path("/etc/hosts"), Path("/etc/resolv.conf"), Path("/etc/nsswitch.conf")
#: A cache of names that asks outside of the namespaces.
_NAME_CACHE = Path("/var/run/nscd")


def check_settings(settings: Settings) -> None:
    """Check that settings do not let through what cannot be reached.

    Raises:
        ConfigError: they do.
    """
    if settings.passthrough or settings.allow_host:
        raise ConfigError("--isolate lets nothing through: leave out --allow-host and --passthrough, or --isolate")


class Isolation:
    """What a server does in the namespaces that this process has entered.

    Args:
        server: the server.
        files: the CA that clients are to trust, and all CAs.
    """

    def __init__(self, server: Server, files: ClientFiles) -> None:
        self._server = server
        self._certificate = files.certificate.read_bytes()
        self._bundle = files.bundle.read_bytes()
        self._own = (socket.gethostname().lower(), "localhost")
        self._lookout = Lookout({*server.mocked_hosts, *self._own}, server.keep_from)

    async def start(self) -> None:
        """Serve the mocked hosts.

        Raises:
            NamespaceError: the system does not allow it.
        """
        served: dict[str, None] = {}
        for port in _PORTS:
            for family, address in _LOOPBACK:
                with contextlib.suppress(OSError):  # a kernel without IPv6
                    await self._server.also_listen(socket.create_server((address, port), family=family, backlog=1024))
                    served[address] = None
        self._lookout.start()
        names = [name for name in self._server.mocked_hosts if literal_address(name) is None]
        replaced = {path: content for path in (_HOSTS, _RESOLVER, _SWITCH) if (content := _new(path, names, served))}
        replaced |= dict.fromkeys(system_bundles(), self._bundle)
        added = {
            directory / hashed_name(self._certificate, directory): self._certificate
            for directory in hashed_directories()
        }
        replace_files(replaced, added=added, hidden=(_NAME_CACHE,))

    def close(self) -> None:
        """Stop looking out."""
        self._lookout.close()


def _new(path: Path, names: Iterable[str], addresses: Iterable[str]) -> bytes:
    """Return what a file says in here; nothing where there is none."""
    if not path.is_file():
        return b""
    old = path.read_text(encoding="utf-8", errors="surrogateescape")
    if path == _HOSTS:
        new = hosts_file(old, names, addresses)
    elif path == _RESOLVER:
        new = "nameserver 127.0.0.1\n"
    else:
        new = re.sub(r"(?m)^(\s*hosts\s*:).*$", r"\1 files dns", old)
    return new.encode("utf-8", "surrogateescape")


def hosts_file(old: str, names: Iterable[str], addresses: Iterable[str]) -> str:
    """Return what a file of hosts says when some names have other addresses.

    They come last: the first name of an address is what it is called.
    """
    ours = list(names)
    lines = [f"{address} {name}" for address in addresses for name in ours]
    return "\n".join((*_without(old, set(ours)), *lines, ""))


def _without(old: str, names: set[str]) -> Iterator[str]:
    for line in old.splitlines():
        address, *named = line.partition("#")[0].split() or [""]
        kept = [name for name in named if name.lower() not in names]
        if kept:
            yield " ".join((address, *kept))
