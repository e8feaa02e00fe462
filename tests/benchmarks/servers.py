"""Starting servers on a core of their own, and talking to them by hand."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
SUBMIT = "/evolink/v1/videos/generations"
KEY = "sk-bench"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
BODY = {
    "model": "gemini-omni-flash-text-to-video",
    "prompt": "A red kite loops over a beach at dusk, seen from the pier",
    "duration": 6,
    "aspect_ratio": "16:9",
}


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def say_round(kind: str, spent_s: Sequence[float], seen: Sequence[float], requests: int) -> None:
    """Print a round: CPU seconds, and requests a second, of the yardstick and of ours."""
    sides = [
        f"{name} {cpu / requests * 1e6:5.0f} us, {rate:6.0f}/s"
        for name, cpu, rate in zip(("bare", "mockserver"), spent_s, seen, strict=True)
    ]
    say(f"  {kind:<9} {'   '.join(sides)}")


def say_median(kind: str, ratios: Sequence[float], floor: float) -> bool:
    """Print the median of the ratios of a kind; tell whether it is below its floor."""
    median = statistics.median(ratios)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    say(f"{kind}: {median:.2f} of a bare aiohttp handler ({spread}; floor {floor:.2f})")
    return median < floor


@contextmanager
def started(command: list[str], core: int = 0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a server on one core; give it and its port, which is the first number that it prints."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, {core})
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield process, int(line.split("127.0.0.1:")[1].split()[0]) if ":" in line else int(line)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def mockserver(*arguments: str) -> list[str]:
    """Return the command that starts the mock server, with its defaults but for the arguments."""
    return [sys.executable, "-m", "mockserver", "serve", "--port", "0", *arguments]


def script(name: str) -> list[str]:
    """Return the command that runs a script of this folder."""
    return [sys.executable, str(HERE / name)]


def use_the_other_core() -> None:
    """Keep this process off the servers' core."""
    os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})


@contextmanager
def awake() -> Iterator[None]:
    """Keep the load generator's core from going idle.

    Else a slow server pays for waking it at every answer, and a fast one does not; cores that share their
    units slow each other down, too, by how busy the other one is. This way both servers see the same neighbour.
    """
    spinner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile True: pass",
        ]
    )
    os.sched_setaffinity(spinner.pid, os.sched_getaffinity(0))
    try:
        yield
    finally:
        spinner.kill()
        spinner.wait()


def request_bytes(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Write a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def ask(port: int, method: str, path: str, body: Any = None) -> Any:
    """Ask by hand, and return the JSON of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request_bytes(method, path, HEADERS, b"" if body is None else json.dumps(body).encode()))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        return json.loads(await reader.readexactly(length))
    finally:
        writer.close()


async def enrich(port: int) -> None:
    """Give the account more than it can spend here."""
    account = {"provider": "evolink", "key": KEY, "available_credits": 1_000_000_000}
    assert "id" in await ask(port, "PUT", "/__admin/accounts", account)


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    numbers = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")
