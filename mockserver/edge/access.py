"""Who may use the control plane: token, Host and Origin. Who may make a session: no page of another site.

On loopback no token is needed; on any other host a token is required. A foreign Host or Origin is refused, so that no
web page can reach the control plane through a browser. Where a token is required, any address may be in Host: a page
that a browser has from this machine's own address can only be our own.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from mockserver.engine.targets import LOOPBACK_HOSTS, is_loopback, literal_address
from mockserver.settings import Settings

if TYPE_CHECKING:
    from aiohttp import web

#: The live page, by path, and the operation that serves it.
PAGES = {"/ui": "livePage", "/ui/page": "livePageInFolder"}
#: Paths that the document has under another name: in OpenAPI, a path should not end with a slash.
OTHER_SPELLINGS = {"/ui/": "/ui/page"}
#: A browser asks for these without our headers, so the token may be in the query.
_TOKEN_IN_QUERY = frozenset((*PAGES, "/events"))
#: They say only that the server is there, and where its page is: a container's probe knows no token and no name.
OPEN = frozenset(("/ready", "/"))


class RefusedError(Exception):
    """The control plane refuses a request, with this HTTP status."""

    def __init__(self, status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


class Throttle:
    """Wrong tokens, by the address that sent them: `MOST` within `WITHIN_S` seconds of wall time."""

    MOST = 10
    WITHIN_S = 60.0
    _ADDRESSES = 1000

    def __init__(self, wall_s: Callable[[], float] = time.monotonic) -> None:
        self._wall_s = wall_s
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """Return how many seconds an address has to wait before its next token is looked at; 0 for not at all."""
        times = self._wrong.get(address)
        if times is None or len(times) < self.MOST:
            return 0
        return max(0, int(times[0] + self.WITHIN_S - self._wall_s() + 1))

    def count(self, address: str) -> None:
        """Count a wrong token."""
        times = self._wrong.pop(address, None) or deque(maxlen=self.MOST)
        times.append(self._wall_s())
        self._wrong[address] = times
        if len(self._wrong) > self._ADDRESSES:
            self._wrong.popitem(last=False)


class Access:
    """The access rules of one server."""

    def __init__(self, settings: Settings, wall_s: Callable[[], float] = time.monotonic) -> None:
        self.token = settings.admin_token or (None if is_loopback(settings.host) else secrets.token_urlsafe(24))
        public = _host_of(settings.public_url or "")
        self._hosts = LOOPBACK_HOSTS | {settings.host} | ({public} if public else set())
        if self.token is not None:
            self._hosts |= {socket.gethostname().lower()}
        self._throttle = Throttle(wall_s)

    def check(self, request: web.BaseRequest, path: str, query: str) -> None:
        """Check Host, Origin and token.

        Raises:
            RefusedError: 403 for a foreign Host or Origin, 401 for a missing or wrong token, 429 for too many of them.
        """
        if path in OPEN:
            return
        try:
            host = urlsplit(f"//{request.headers.get('Host', '')}").hostname
            origin = request.headers.get("Origin")
            origin_host = None if origin is None else urlsplit(origin).hostname
        except ValueError:
            raise RefusedError(403, "foreign_host", "malformed Host or Origin header") from None
        if not self.is_ours(host):
            raise RefusedError(
                403, "foreign_host", "Host must be the address of this server; set another with --public-url"
            )
        if origin is not None and (
            not self.is_ours(origin_host) or urlsplit(origin).netloc != request.headers.get("Host")
        ):
            raise RefusedError(403, "foreign_origin", "the control plane refuses requests from other sites' pages")
        if self.token is None or (path.startswith("/ui/") and path not in PAGES):
            return
        self._check_token(_token_in(request.headers, path, query), request.remote or "", self.token)

    def _check_token(self, given: str, address: str, token: str) -> None:
        wait_s = self._throttle.wait_s(address) if given else 0
        if wait_s:
            message = f"too many wrong tokens from {address}; wait {wait_s} s"
            raise RefusedError(429, "too_many_wrong_tokens", message, (("Retry-After", str(wait_s)),))
        if not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
            if given:
                self._throttle.count(address)
            raise RefusedError(401, "token_required", "send the admin token as a bearer token in Authorization")

    def is_ours(self, host: str | None) -> bool:
        """Tell whether a host is that of this server's own pages."""
        return host in self._hosts or (
            self.token is not None and host is not None and literal_address(host) is not None
        )

    def check_page(self, headers: Mapping[str, str], *, of_provider: bool) -> None:
        """Check that a request which would make a session does not come from another site's page.

        A name without a dot, such as that of a container, cannot be another site's.

        Raises:
            RefusedError: it does.
        """
        host = _host_of(f"//{headers.get('Host', '')}")
        origin = headers.get("Origin")
        if not of_provider and not (self._is_local(host) or self.is_ours(host)):
            raise RefusedError(403, "foreign_host", "a session is made only under the address of this server")
        if origin is not None:
            origin_host = _host_of(origin)
            foreign = not (self._is_local(origin_host) or self.is_ours(origin_host))
        else:
            foreign = headers.get("Sec-Fetch-Site", "none") == "cross-site"
        if foreign:
            raise RefusedError(403, "foreign_origin", "no session is made for other sites' pages")

    @staticmethod
    def _is_local(host: str) -> bool:
        return is_loopback(host) or "." not in host.rstrip(".") or literal_address(host) is not None


def _token_in(headers: Mapping[str, str], path: str, query: str) -> str:
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        given = headers.get("X-Admin-Token", "")
    if not given and path in _TOKEN_IN_QUERY:
        given = parse_qs(query).get("token", [""])[0]
    return given.strip()


def _host_of(url: str) -> str:
    """Return the host of a URL in lower case; empty if it has no host."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
