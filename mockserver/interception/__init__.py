"""Leads the providers' real hosts to a mock server, for every HTTP client in this process, while a block runs.

names           addresses that stand for host names
replaced        functions of other modules, replaced and put back
routes          what becomes of a connection or a lookup: led to a server, let through, or refused
lookups         name lookups
connecting      `connect` of sockets, and what event loops do in its place
trust           TLS: the local CA is trusted for the mocked hosts, also by contexts that exist already
open_sockets    connections that were open before, or are left afterwards, told by their addresses
stale           connections that were open before, told by their names
block           the block, with which all of this begins and ends
"""

from mockserver.interception.block import InterceptionError, interception
from mockserver.interception.routes import HostRefusedError

__all__ = ["HostRefusedError", "InterceptionError", "interception"]
