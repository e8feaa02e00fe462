"""How a connection came to this server: with TLS or without, and through a tunnel or directly.

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


#: Plain HTTP, straight to this server.
DIRECT = Arrival()
