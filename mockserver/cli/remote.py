"""What the commands share that talk to a server which runs already: its control plane, by HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from mockserver.cli.options import fail, option
from mockserver.settings import DEFAULT_PORT

DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"
_LONGEST_S = 10.0
#: An advance of the clock waits for receivers of callbacks.
LONGEST_ADVANCE_S = 90.0


def which_server(command: Any) -> Any:
    """Add the options that name a server, as `url` and `admin_token`."""
    token = option("--admin-token", help="Token of the control plane, if it requires one.")
    return option("--url", metavar="URL", help=f"The server (default {DEFAULT_URL}).")(token(command))


def check_url(url: str) -> None:
    """End with a line unless a server can have this URL."""
    if urlsplit(url).scheme != "http" or not urlsplit(url).hostname:
        fail(f"the server's URL must begin with http://, which its port speaks beside https; got {url!r}")


class Remote:
    """The control plane of a server; whatever goes wrong ends the program with one line.

    Args:
        url: the server's URL; None: the usual one of this machine.
        token: its admin token, if it requires one.
        session: the session to look at; None: the default one.
    """

    def __init__(self, url: str | None, token: str | None, session: str | None = None) -> None:
        self.url = (url or DEFAULT_URL).rstrip("/")
        check_url(self.url)
        self._token = token
        self._session = session

    def ask(
        self,
        path: str,
        expected: Iterable[str],
        parameters: Mapping[str, str | int | None] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        longest_s: float = _LONGEST_S,
    ) -> dict[str, Any]:
        """Ask the control plane, by POST where there is a body, for an answer that has the fields `expected`."""
        import urllib.error  # noqa: PLC0415 - slow to load
        import urllib.request  # noqa: PLC0415

        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        url = f"{self.url}/__admin{path}" + (f"?{urlencode(given)}" if given else "")
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, content)  # noqa: S310 - it begins with http://
        request.add_header("Content-Type", "application/json")
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        if self._session is not None:
            request.add_header("X-Mock-Session", self._session)
        directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with directly.open(request, timeout=longest_s) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                fail(self._refused(error.code, error.read(100_000)), 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            why = getattr(reason, "strerror", None) or reason
            fail(f"no server answers at {self.url} ({why}): start `mockserver serve`, or name another with --url", 1)
        if not isinstance(found, dict) or not found.keys() >= set(expected):
            fail(f"what answers at {self.url} is not a mockserver of this version", 1)
        return found

    def _refused(self, status: int, answer: bytes) -> str:
        """Say what a refusal means."""
        if status == 401:
            return f"the server at {self.url} requires its admin token: --admin-token"
        try:
            error = json.loads(answer)["error"]
            if error.keys() == {"code", "message"}:
                return str(error["message"])
        except (ValueError, LookupError, TypeError, AttributeError):
            pass
        return f"what answers at {self.url} is not a mockserver (status {status} of its control plane)"
