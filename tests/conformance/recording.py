"""Sends each provider a fixed sequence of requests and records every byte that comes back.

The clock is manual and the seed fixed, so the same requests give the same bytes. The files in recorded/ hold one
line for each step: what was sent or received, and a digest of all its bytes. `python tests/conformance/recording.py
FOLDER` writes the whole bytes to a folder: run it before and after a change, compare, and after a deliberate change
run it without a folder to write the digests again.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from mockserver import MockServer
from mockserver.faults import all_faults
from mockserver.spec.catalog import load_providers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mockserver.provider import Model, Provider

RECORDED = Path(__file__).parent / "recorded"
ROOT_URL = "http://mock.test"
#: Faults whose wait is real time.
SLOW = {"latency", "held_open", "slow_body", "slow_file"}
TEST_VALUES = (
    *("mock:429x2", "mock:fail", "mock:fail=content_policy", "mock:stuck", "mock:slow=90s", "mock:poll=503x1"),
    *("mock:lost_answer", "mock:lag=5s", "mock:expired", "mock:two_callbacks", "mock:bad_signature", "mock:nonsense"),
)
ADVANCES_S = (0, 2, 13, 45, 200)
#: Headers of files: their values depend on the encoder and on when the file was made.
_VARYING = re.compile(rb"(?im)^(content-length|etag|last-modified|content-range): .*?\r\n")


class Recorder:
    """Sends raw requests to one provider and keeps what was sent and what came back."""

    def __init__(
        self, running: Any, provider: Provider, port: int, receiver_port: int, note: Callable[[str], None]
    ) -> None:
        rule = provider.key
        self.provider = provider
        self.note = note
        self._running = running
        self._port = port
        self._hook = f"http://127.0.0.1:{receiver_port}/hook"
        self._auth = {rule.header: f"Bearer {rule.example}" if rule.bearer else rule.example}
        self._posts = {**self._auth, "Content-Type": "application/json"}
        paths = {each.role: f"/{provider.name}{each.path}" for each in reversed(list(provider.operations.values()))}
        self._submit_path, self._query_path = paths["submit"], paths["query"]

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self._running.clock.advance(seconds)
        self.note(f"advanced {seconds} s")

    def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """Make one request on a connection of its own; return the body of the answer."""
        lines = {"Host": "mock.test", "Connection": "close", **(headers or {})}
        if body:
            lines["Content-Length"] = str(len(body))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        received = b""
        with socket.create_connection(("127.0.0.1", self._port), timeout=20) as connection:
            connection.sendall(head.encode() + b"\r\n" + body)
            try:
                while chunk := connection.recv(65_536):
                    received += chunk
            except ConnectionResetError:
                received += b"<reset>"
        answer_head, _, content = received.partition(b"\r\n\r\n")
        if re.search(rb"(?i)content-type: (video|audio)/", answer_head):
            answer_head = _VARYING.sub(b"", answer_head + b"\r\n")
            shown = "<file>"
        else:
            shown = content.decode("utf-8", "backslashreplace")
        self.note(f"{method} {path} {json.dumps(headers or {})} {body.decode('utf-8', 'backslashreplace')}")
        self.note(answer_head.decode("latin-1").replace("\r\n", "\n") + "\n" + shown + "\n")
        return content

    def example(
        self, prompt: str | None = None, model: Model | None = None, *, callback: bool = True
    ) -> dict[str, Any]:
        """Return a model's example body with another prompt and a callback address."""
        found = next(each for each in self.provider.models.values() if each.example is not None)
        body: dict[str, Any] = json.loads(json.dumps((model or found).example))
        where = body.get("input", body)
        if prompt is not None:
            where["prompt" if "prompt" in where else "script"] = prompt
        if callback and self.provider.callbacks is not None:
            body[self.provider.callbacks.url_keys[-1]] = self._hook
        return body

    def submit(self, body: Any, headers: dict[str, str] | None = None) -> str | None:
        """Submit a body; return the id in the answer."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.send("POST", self._submit_path, content, self._posts if headers is None else headers)
        found = re.search(rb'"(?:task_id|jobId|id)":\s*"([^"]+)"', answer)
        return None if found is None else found[1].decode()

    def poll(self, task_id: str, headers: dict[str, str] | None = None) -> bytes:
        """Query a task."""
        path = re.sub(r"\{[^}]+\}", task_id, self._query_path)
        if path == self._query_path:
            path += f"?task_id={task_id}"
        return self.send("GET", path, b"", {**self._auth, **(headers or {})})

    def follow(self, task_id: str | None) -> bytes:
        """Query a task from its submit to beyond its end; return the last answer."""
        answer = b""
        for seconds in ADVANCES_S if task_id is not None else ():
            self.advance(seconds)
            answer = self.poll(str(task_id))
        return answer

    def jobs(self) -> None:
        """Take one job of each model from its submit to its file."""
        for model in self.provider.models.values():
            answer = self.follow(self.submit(self.example(model=model)))
            for link in re.findall(rb'"http://mock\.test(/[^"]+)"', answer):
                self.send("GET", link.decode(), b"", {"Range": "bytes=0-99"})
                self.send("GET", link.decode().partition("?")[0])

    def fault(self, fault: str) -> None:
        """Ask for a fault with a submit, and with a query on the way and after the end."""
        task_id = self.submit(self.example("a blue kite"), {**self._posts, "X-Mock-Fault": fault})
        plain = self.submit(self.example("a green kite", callback=False)) or "none"
        self.poll(plain, {"X-Mock-Fault": fault})
        self.advance(400)
        self.poll(plain, {"X-Mock-Fault": fault})
        self.poll(task_id or plain)

    def bad_submits(self) -> None:
        """Make submits that are refused, and some that only look so."""
        example, rule = self.example(), self.provider.key
        for body in (b"", b"{", b'{"a": 1, "a": 2}', b"[]", b"{}", b"\xff", b'"' + b"[" * 200):
            self.submit(body)
        for name in example:
            self.submit({each: value for each, value in example.items() if each != name})
            self.submit({**example, name: None})
            self.submit({**example, name: {"unexpected": 10**30}})
        self.submit(example, self._auth)
        self.submit(example, {})
        self.submit(example, {rule.header: "Bearer nonsense", "Content-Type": "application/json"})
        for test_key in rule.test_keys:
            for _ in range(3):
                value = f"Bearer {test_key}" if rule.bearer else test_key
                self.submit(example, {**self._posts, rule.header: value})
        for _ in range(40):
            self.submit(self.example("many"))

    def other_operations(self) -> None:
        """Call everything beside submits and queries, and what does not exist."""
        prefix = f"/{self.provider.name}"
        for operation in self.provider.operations.values():
            if operation.role in ("balance", "list", "estimate", "decoy", "cancel"):
                path = re.sub(r"\{[^}]+\}", "unknown", prefix + operation.path)
                self.send(operation.method, path, json.dumps(self.example()).encode(), self._posts)
        self.send("GET", f"{prefix}/nowhere", b"", self._auth)
        self.send("DELETE", self._submit_path, b"", self._auth)
        self.send("GET", self._query_path, b"", self._auth)
        self.poll("unknown")
        for path in ("tasks", "accounts", "faults", "callbacks"):
            self.send("GET", f"/__admin/{path}")


@contextmanager
def receiving(note: Callable[[str], None]) -> Iterator[int]:
    """Run a receiver of callbacks that refuses each first attempt; give its port."""
    seen: set[bytes] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = sorted((name, value) for name, value in self.headers.items() if name != "Host")
            note(f"callback {self.path} {headers} {body.decode('utf-8', 'backslashreplace')}")
            first = body not in seen
            seen.add(body)
            self.send_response(503 if first else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def drive(recorder: Recorder, faults: Sequence[str]) -> None:
    """Make the whole sequence of requests."""
    recorder.jobs()
    for value in TEST_VALUES:
        for _ in range(2):
            recorder.follow(recorder.submit(recorder.example(f"a red kite {value}")))
    for fault in faults:
        recorder.fault(fault)
    recorder.bad_submits()
    recorder.other_operations()


def record(provider: Provider, faults: Sequence[str]) -> list[str]:
    """Return everything that one provider answers to the sequence, step by step."""
    steps = ["faults: " + " ".join(faults)]
    with socket.create_server(("127.0.0.1", 0)) as free:
        server_port = free.getsockname()[1]
    with receiving(steps.append) as port, MockServer(seed=7, public_url=ROOT_URL, port=server_port) as running:
        drive(Recorder(running, provider, server_port, port, steps.append), faults)
    return [step.replace(f"127.0.0.1:{port}", "RECEIVER") for step in steps]


def digest(step: str) -> str:
    """Return a step's first line, cut, and a digest of the whole."""
    return f"{hashlib.blake2b(step.encode(), digest_size=6).hexdigest()} {step.partition(chr(10))[0][:150]}"


def main() -> None:
    """Record every built-in provider."""
    faults = [name for name in all_faults() if name not in SLOW]
    for provider in load_providers():
        steps = record(provider, faults)
        if len(sys.argv) > 1:
            (Path(sys.argv[1]) / f"{provider.name}.txt").write_text("\n".join(steps), encoding="utf-8")
        else:
            text = "\n".join(map(digest, [steps[0], *steps[1:]]))
            (RECORDED / f"{provider.name}.txt").write_text(f"{steps[0]}\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
