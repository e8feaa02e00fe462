"""The `servers` of a document: the hosts that it names, and the paths that its paths come after."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://|//", re.IGNORECASE)


def hosts_of(servers: Any) -> Iterator[str]:
    """Yield the hosts of servers, in their order."""
    for host, _ in _parts(servers):
        if host:
            yield host


def base_paths(servers: Any) -> tuple[str, ...]:
    """Return the paths that the paths of operations come after, each without a slash at its end; the first is usual."""
    return tuple(dict.fromkeys(path for _, path in _parts(servers))) or ("",)


def _parts(servers: Any) -> Iterator[tuple[str, str]]:
    for server in servers if isinstance(servers, list | tuple) else ():
        url = server.get("url") if isinstance(server, dict) else None
        if not isinstance(url, str):
            continue
        variables = server.get("variables")
        known = variables if isinstance(variables, dict) else {}
        for name in _VARIABLE.findall(url):
            url = url.replace(f"{{{name}}}", _default(known.get(name), name))
        try:
            parts = urlsplit(url if _SCHEME.match(url) else f"//{'' if url[:1] == '/' else '/'}{url}")
            yield parts.hostname or "", _path(parts.path)
        except ValueError:
            continue


def _default(variable: Any, name: str) -> str:
    value = variable.get("default") if isinstance(variable, dict) else None
    return name if value is None else str(value)


def _path(path: str) -> str:
    pieces = [each for each in unquote(path).split("/") if each not in ("", ".")]
    return "".join(f"/{each}" for each in pieces)
