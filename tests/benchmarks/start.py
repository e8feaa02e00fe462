"""From the start of the process to its first answer, beside what importing aiohttp alone takes.

python tests/benchmarks start
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time

from benchmarks.servers import say

ROUNDS = 7
LIMIT_S = 0.6


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def first_answer_s() -> float:
    """Start the server as a user would; return the seconds until it has answered a request."""
    port = free_port()
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "mockserver", "serve", "--port", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                    connection.sendall(b"GET /evolink/v1/credits HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    assert connection.recv(12).startswith(b"HTTP/1.1 401")
                    return time.perf_counter() - start
            except ConnectionRefusedError:
                continue
    finally:
        process.terminate()
        process.wait()


def import_s() -> float:
    """Return the seconds that a process takes to import aiohttp and end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import aiohttp.web, uvloop"], check=True)
    return time.perf_counter() - start


def main(_arguments: list[str]) -> int:
    """Measure, print, judge."""
    answers, imports = zip(*((first_answer_s(), import_s()) for _ in range(ROUNDS)), strict=True)
    ours, bare = statistics.median(answers), statistics.median(imports)
    say(f"start: first answer after {ours:.2f} s (limit {LIMIT_S}); importing aiohttp alone takes {bare:.2f} s")
    return 0 if ours < LIMIT_S else 1
