"""How a connection came to this server: with TLS or without, through a tunnel, by a real name, or directly.

Its requests do not say; links in their responses depend on it.
"""

from __future__ import annotations

from typing import NamedTuple


class Arrival(NamedTuple):
    """How a connection came."""

    #: Its client speaks TLS to this server.
    secure: bool = False
    #: The host and port that its client asked this server, as its proxy, to connect to; empty for none.
    tunnel: str = ""
    #: Its client believes that it has connected to a provider's real host: in its process, that name leads here.
    by_name: bool = False
    #: The session of its requests that name none.
    session: str | None = None

    @property
    def proxied(self) -> bool:
        """Whether its client was let through to a real host, and can follow a link to another one."""
        return self.by_name or bool(self.tunnel)


#: Plain HTTP, straight to this server.
DIRECT = Arrival()
