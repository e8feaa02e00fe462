"""Five hundred clients of all providers at once, with every fault at random.

    python tests/benchmarks chaos [SECONDS [CLIENTS]]

No unplanned status, ledgers that balance, every callback accounted for, memory that is level once the journal is
full, no task and no socket left over, a clean stop. tests/faults/test_chaos.py runs three seconds of it.
"""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import uvloop
from aiohttp import web
from benchmarks.servers import mockserver, say, started, use_the_other_core

from mockserver.faults import all_faults
from mockserver.spec.catalog import load_providers

if TYPE_CHECKING:
    from mockserver.provider import Operation, Provider

SECONDS = 60.0
CLIENTS = 500
SPEED = 60
WARM_UP_S = 10.0
#: When a client breaks off itself, at the latest: some faults hold a connection for ever.
PATIENCE_S = 5.0
#: How long the control plane may take: an advance waits for all receivers. What takes longer is judged, not awaited.
ADMIN_PATIENCE_S = 120.0
STOPS_WITHIN_S = 20.0
#: What a task may cost; the rest of the memory must be level.
BYTES_A_TASK = 3_000
MOST_GROWTH_BYTES = 40_000_000
PROBABILITY = 0.02
#: Parameters that keep wall time short, where the defaults would not.
GENTLY: dict[str, dict[str, Any]] = {
    "latency": {"seconds": 0.02, "spread_s": 0.05},
    "slow_body": {"bytes_per_s": 20_000.0},
    "slow_file": {"bytes_per_s": 2_000_000.0},
    "held_open": {"seconds": 0.3},
    "overdue": {"by_s": 60.0},
}
#: Statuses that no provider's document has, but a fault does.
FAULTY_STATUSES = frozenset((200, 202, 206, 403, 502, 503, 520, 416))
#: Faults that need what this storm does not have: an older word, a name of an example.
RARE = frozenset(("older_status", "example"))
MOST_SOCKETS = 20
LEFT_OVER_FOR_S = 20.0
CREDITS_APART = 1e-6
CALLBACKS_LISTED = 10_000
CALLBACK_FIELDS = {"crun": "callback_url", "evolink": "callback_url", "googlegeminiomni": "callbackUrl"}


class Storm:
    """What the clients do, and what they have seen."""

    def __init__(self, port: int, hook: str, http: aiohttp.ClientSession, until_s: float) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.hook = hook
        self.http = http
        self.until_s = until_s
        self.providers = {provider.name: provider for provider in load_providers()}
        self.statuses: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.unplanned: list[str] = []

    async def ask(self, provider: Provider, method: str, url: str, **how: Any) -> tuple[int, bytes]:
        """Make a request; status 0 is one that broke off."""
        try:
            async with self.http.request(method, url, **how) as answer:
                status, body = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            self.broken[type(error).__name__] += 1
            return 0, b""
        self.statuses[f"{provider.name} {status}"] += 1
        known = {error.status for error in provider.errors.values()} | FAULTY_STATUSES
        if status not in known or b"mock server itself" in body:
            self.unplanned.append(f"{method} {url}: {status} {body[:100]!r}")
        return status, body

    async def client(self, number: int) -> None:
        """Submit, poll, download, again and again."""
        luck = random.Random(number)
        names = list(self.providers)
        while time.monotonic() < self.until_s:
            provider = self.providers[names[luck.randrange(len(names))]]
            await self.job(provider, luck, number)

    async def job(self, provider: Provider, luck: random.Random, number: int) -> None:
        """Do one job, whatever comes of it."""
        submit, query = (_operation(provider, role) for role in ("submit", "query"))
        key = provider.key.example if number % 2 else _key(provider, number)
        headers = {provider.key.header: f"Bearer {key}" if provider.key.bearer else key}
        model = luck.choice([each for each in provider.models.values() if each.example is not None])
        body = dict(model.example or {})
        if luck.random() < 0.5 and provider.name in CALLBACK_FIELDS:
            body[CALLBACK_FIELDS[provider.name]] = self.hook
        base = f"{self.root}/{provider.name}"
        status, answer = await self.ask(provider, "POST", base + submit.path, json=body, headers=headers)
        found = _ID[provider.name].search(answer)
        if status != 200 or found is None:
            return
        path, brace, _ = query.path.partition("{")
        where = f"{path}{found[1].decode()}" if brace else f"{path}?task_id={found[1].decode()}"
        for _ in range(luck.randrange(8)):
            _, answer = await self.ask(provider, "GET", base + where, headers=headers)
            link = re.search(rb'"(http://127[^"]+/(?:files|omni)/[^"]+)"', answer)
            if link is not None:
                await self.ask(provider, "GET", link[1].decode())
                return
            await asyncio.sleep(luck.random() * 0.4)


_ID = {
    "crun": re.compile(rb'"([0-9a-f]{8}-[0-9a-f-]{27})"'),
    "evolink": re.compile(rb'"(task-unified-[^"]+)"'),
    "googlegeminiomni": re.compile(rb'"(job_[^"]+)"'),
    "toapis": re.compile(rb'"(task_[^"]+|vid[^"]+)"'),
}


def _operation(provider: Provider, role: str) -> Operation:
    return next(each for each in provider.operations.values() if each.role == role)


def _key(provider: Provider, number: int) -> str:
    example = provider.key.example
    return f"{example[:-4]}{number:04x}"


async def admin(http: aiohttp.ClientSession, port: int, method: str, path: str, body: Any = None) -> Any:
    """Ask the control plane."""
    url, patience = f"http://127.0.0.1:{port}/__admin{path}", aiohttp.ClientTimeout(total=ADMIN_PATIENCE_S)
    async with http.request(method, url, json=body, timeout=patience) as answer:
        answer.raise_for_status()
        return await answer.json()


def sockets_of(pid: int) -> int:
    """Count a process's open sockets."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except OSError:
            continue
    return count


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * 4096


async def chaos(process: subprocess.Popen[str], port: int, seconds: float, clients: int) -> list[str]:
    """Raise the storm; return what went wrong."""
    got: Counter[int] = Counter()

    async def hook(request: web.Request) -> web.Response:
        await request.read()
        got[0] += 1
        return web.Response(status=500 if got[0] % 7 == 0 else 200)

    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    connector = aiohttp.TCPConnector(limit=0)
    patience = aiohttp.ClientTimeout(total=min(PATIENCE_S, seconds / 2))
    async with aiohttp.ClientSession(connector=connector, timeout=patience) as http:
        for name in all_faults():
            fault_request = {"fault": name, "with": GENTLY.get(name, {}), "when": {"probability": PROBABILITY}}
            await admin(http, port, "POST", "/faults", fault_request)
        before = await admin(http, port, "GET", "/health")
        storm = Storm(port, url, http, time.monotonic() + seconds)
        running = [asyncio.create_task(storm.client(number)) for number in range(clients)]
        await asyncio.sleep(min(WARM_UP_S, seconds / 2))
        warm_bytes, warm_tasks = resident_bytes(process.pid), await tasks_made(http, port)
        await asyncio.gather(*running)
        grown_bytes, grown_tasks = resident_bytes(process.pid) - warm_bytes, await tasks_made(http, port) - warm_tasks
        requests, broken = storm.statuses.total(), storm.broken.total()
        say(f"{requests + broken:,} requests of {clients} clients in {seconds:.0f} s, {broken:,} broken off")
        wrong = [f"unplanned: {each}" for each in storm.unplanned[:5]]
        wrong += await settled(http, port, whole=seconds >= SECONDS)
    say(f"memory: {grown_bytes / 1e6:.1f} MB more after the warm-up, for {grown_tasks:,} more tasks")
    level_bytes = grown_bytes - grown_tasks * BYTES_A_TASK
    if seconds >= SECONDS and level_bytes > MOST_GROWTH_BYTES:  # a short run is over before its memory is level
        wrong.append(f"memory is not level: {level_bytes / 1e6:.1f} MB more than the tasks need")
    await runner.cleanup()
    return wrong + await left_over(process.pid, port, before["background_tasks"])


async def left_over(pid: int, port: int, background_tasks: int) -> list[str]:
    """Say what the server still holds when everybody has gone; it has a while to hear that they have."""
    give_up_s = time.monotonic() + LEFT_OVER_FOR_S
    while True:
        async with aiohttp.ClientSession() as http:
            after = await admin(http, port, "GET", "/health")
        wrong, sockets = [], sockets_of(pid)
        if after["background_tasks"] > background_tasks:
            wrong.append(f"background tasks are left over: {background_tasks} became {after['background_tasks']}")
        if after["connections"] > 1 or sockets > MOST_SOCKETS:
            wrong.append(f"{after['connections']} connections, {sockets} sockets are left over")
        if not wrong or time.monotonic() > give_up_s:
            return wrong
        await asyncio.sleep(0.1)


async def tasks_made(http: aiohttp.ClientSession, port: int) -> int:
    """Return how many tasks there are."""
    total: int = (await admin(http, port, "GET", "/tasks?limit=1"))["total"]
    return total


async def settled(http: aiohttp.ClientSession, port: int, *, whole: bool) -> list[str]:
    """Take the faults away, let everything come to its end, and look at the ledgers and the callbacks."""
    wrong = []
    rules = (await admin(http, port, "GET", "/faults"))["faults"]
    await admin(http, port, "DELETE", "/faults")
    await admin(http, port, "POST", "/clock", {"advance_s": 86_400})
    callbacks = (await admin(http, port, "GET", "/callbacks"))["callbacks"]
    states = Counter(each["state"] for each in callbacks)
    say(f"callbacks: {dict(states)}; faults: {len(rules)}, {sum(rule['hits'] for rule in rules):,} hits")
    for account in (await admin(http, port, "GET", "/accounts"))["accounts"]:
        amounts = [account[f"{kind}_credits"] for kind in ("available", "reserved", "spent")]
        if min(amounts) < 0 or abs(sum(amounts) - account["granted_credits"]) > CREDITS_APART:
            wrong.append(f"a ledger does not balance: {account}")
    if states["waiting"]:
        wrong.append(f"{states['waiting']} callbacks are still waiting")
    told = {each["task"] for each in callbacks}
    tasks = (await admin(http, port, "GET", "/tasks?limit=1000"))["tasks"]
    untold = [each["id"] for each in tasks if each["callback_url"] and each["ended"] and each["id"] not in told]
    if untold and len(callbacks) < CALLBACKS_LISTED:
        wrong.append(f"nobody was told of {untold[:5]}")
    never = [rule["fault"] for rule in rules if not rule["hits"] and rule["fault"] not in RARE]
    if whole and never:
        wrong.append(f"never struck: {', '.join(never)}")
    return wrong


def run(seconds: float, clients: int) -> list[str]:
    """Start a server, raise the storm, stop the server; return what went wrong."""
    with started(mockserver("--speed", str(SPEED))) as (process, port):
        use_the_other_core()
        try:
            wrong = uvloop.run(chaos(process, port, seconds, clients))
        except (aiohttp.ClientError, TimeoutError) as error:
            wrong = [f"the control plane did not answer within {ADMIN_PATIENCE_S:g} s: {error!r}"]
        process.terminate()
        stopping_s = time.monotonic()
        try:
            code = process.wait(timeout=STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code or time.monotonic() - stopping_s > STOPS_WITHIN_S / 2:
            wrong.append(f"the server did not stop cleanly: exit code {code}, {time.monotonic() - stopping_s:.1f} s")
    return wrong


def main(arguments: list[str]) -> int:
    """Run it and say what came of it."""
    seconds = float(arguments[0]) if arguments else SECONDS
    clients = int(arguments[1]) if len(arguments) > 1 else CLIENTS
    wrong = run(seconds, clients)
    for each in wrong:
        say(f"WRONG: {each}")
    return 1 if wrong else 0
