"""Who may use the control plane: token, Host and Origin.

On loopback no token is needed; on any other host a token is required. A foreign Host or Origin is refused, so
that no web page can reach the control plane through a browser.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from mockserver.engine.targets import LOOPBACK_HOSTS, is_loopback
from mockserver.settings import Settings

if TYPE_CHECKING:
    from aiohttp import web

#: The live page, by path, and the operation that serves it.
PAGES = {"/ui": "livePage", "/ui/page": "livePageInFolder"}
#: Paths that the document has under another name: in OpenAPI, a path should not end with a slash.
OTHER_SPELLINGS = {"/ui/": "/ui/page"}
#: A browser asks for these without our headers, so the token may be in the query.
_TOKEN_IN_QUERY = frozenset((*PAGES, "/events"))


class RefusedError(Exception):
    """The control plane refuses a request, with this HTTP status."""

    def __init__(self, status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


class Access:
    """The access rules of one server."""

    def __init__(self, settings: Settings) -> None:
        self.token = settings.admin_token or (None if is_loopback(settings.host) else secrets.token_urlsafe(24))
        public = urlsplit(settings.public_url or "").hostname
        self._hosts = LOOPBACK_HOSTS | {settings.host} | ({public} if public else set())

    def check(self, request: web.BaseRequest, path: str, query: str) -> None:
        """Check Host, Origin and token.

        Raises:
            RefusedError: 403 for a foreign Host or Origin, 401 for a missing or wrong token.
        """
        try:
            host = urlsplit(f"//{request.headers.get('Host', '')}").hostname
            origin = request.headers.get("Origin")
            origin_host = None if origin is None else urlsplit(origin).hostname
        except ValueError:
            raise RefusedError(403, "foreign_host", "malformed Host or Origin header") from None
        if host not in self._hosts:
            raise RefusedError(
                403, "foreign_host", "Host must be the address of this server; set another with --public-url"
            )
        if origin is not None and (
            origin_host not in self._hosts or urlsplit(origin).netloc != request.headers.get("Host")
        ):
            raise RefusedError(403, "foreign_origin", "the control plane refuses requests from other sites' pages")
        if self.token is None or (path.startswith("/ui/") and path not in PAGES):
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = request.headers.get("X-Admin-Token", "")
        if not given and path in _TOKEN_IN_QUERY:
            given = parse_qs(query).get("token", [""])[0]
        if not hmac.compare_digest(given.strip().encode("utf-8", "replace"), self.token.encode()):
            raise RefusedError(401, "token_required", "send the admin token as a bearer token in Authorization")
