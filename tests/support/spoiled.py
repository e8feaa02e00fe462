"""A server that is broken in one way: it passes everything on to a mock server, and spoils what comes back."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Said:
    """An answer on its way back, or a callback on its way out; `None` for the status of a callback."""

    method: str
    path: str
    status: int | None
    headers: dict[str, str]
    body: bytes
    #: The request's body.
    asked: bytes = b""

    @property
    def json(self) -> Any:
        """The body as JSON; empty where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def saying(self, **fields: Any) -> Said:
        """Change some fields of its JSON."""
        return replace(self, body=json.dumps({**self.json, **fields}).encode())


_CALLBACK = "/forward/"
_FROM_JUDGE = re.compile(rb"http://(127\.0\.0\.1:[0-9]+)/callback/")


class Spoiled:
    """Listens on a free port, for `with`; callbacks go through it as well.

    Start the mock server with its `root` as `public_url`, then say where that listens as `upstream`. `spoil` changes
    answers and callbacks, `ask` requests; a `deaf` one never hears that a callback was acknowledged.
    """

    def __init__(
        self,
        spoil: Callable[[Said], Said] = lambda said: said,
        *,
        ask: Callable[[Said], Said] = lambda said: said,
        deaf: bool = False,
    ) -> None:
        self.upstream = ""
        self.spoil = spoil
        self.ask = ask
        self.deaf = deaf
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.pass_on
                raise AttributeError(name)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name: value for name, value in self.headers.items() if name != "Host"}
                answer = outer.answer(Said(self.command, self.path, None, headers, body))
                self.send_response(answer.status or 500)
                for name, value in answer.headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
                self.wfile.flush()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.root = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, asked: Said) -> Said:
        """Pass a request or a callback on, and spoil what is to be spoiled."""
        said = self.ask(replace(asked, body=_FROM_JUDGE.sub(self._through, asked.body)))
        if said.path.startswith(_CALLBACK):
            judge, _, path = said.path.removeprefix(_CALLBACK).partition("/")
            answer = _sent(judge, self.spoil(replace(said, path=f"/{path}")))
            return replace(answer, status=500) if self.deaf else answer
        answer = replace(_sent(self.upstream, said), asked=said.body)
        return answer if "/__admin" in said.path else self.spoil(answer)

    def _through(self, found: re.Match[bytes]) -> bytes:
        """Let a callback to the judge come by here."""
        return f"{self.root}{_CALLBACK}{found[1].decode()}/callback/".encode()


def _sent(host: str, said: Said) -> Said:
    connection = HTTPConnection(host, timeout=20)
    try:
        headers = {name: value for name, value in said.headers.items() if name.lower() != "content-length"}
        if said.body:
            headers["Content-Length"] = str(len(said.body))
        connection.request(said.method, said.path, body=said.body or None, headers=headers)
        answer = connection.getresponse()
        return Said(said.method, said.path, answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()
