"""What tests of faults share: adding one, the bytes on a bare socket, and days that run twice.

A day is a fixed script of requests, byte for byte the same each time, by the client that a fault is meant for and
by others beside it. Lived once without the fault and once with it, it shows what the fault touched, and what not.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import orjson

from support.edge import OTHER_KEYS, PATIENCE_S, Edge, receiving, request_bytes, serving
from support.engine import KILN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from support.edge import Receiver

F = TypeVar("F", bound="Callable[..., Any]")

#: Where links lead, so that two servers on two ports give the same bytes.
PUBLIC = "http://127.0.0.1:4010"
#: Where the prompt and the callback's address stand in a submit body.
PROMPTS: dict[str, tuple[str, ...]] = {
    "crun": ("input", "prompt"),
    "evolink": ("prompt",),
    "googlegeminiomni": ("prompt",),
    "kiln": ("wish",),
    "toapis": ("prompt",),
}
HOOKS: dict[str, tuple[str, ...]] = {
    "crun": ("callback_url",),
    "evolink": ("callback_url",),
    "googlegeminiomni": ("callbackUrl",),
    "kiln": ("notify", "address"),
}
SECOND_KEYS = {**OTHER_KEYS, "kiln": "pass-0002"}


def shows(*_names: str) -> Callable[[F], F]:
    """Mark a test as one that shows these faults on the wire; test_catalogue.py sees that every fault has one."""
    return lambda test: test


# -- bytes on a bare socket -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a request on the wire: every byte, and how it ended.

    `kept` is a connection that answers the next request, `closed` one that was closed (by FIN), `reset` one that
    failed with ECONNRESET, `garbled` one whose next answer does not begin where it should.
    """

    raw: bytes
    ending: str

    @property
    def head(self) -> str:
        """The status line and the headers."""
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def status(self) -> int:
        """The status."""
        return int(self.head.split(" ", 2)[1])

    @property
    def body(self) -> bytes:
        """Everything behind the headers, in whatever coding."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)

    def header(self, name: str) -> str | None:
        """The one value of a header that must not be repeated; None where it is absent."""
        values = [
            value.strip()
            for each, _, value in (line.partition(":") for line in self.head.split("\r\n")[1:])
            if each.lower() == name.lower()
        ]
        assert len(values) < 2, f"{name} stands twice: {values}"
        return values[0] if values else None


#: The threads of clients: not the event loop's own, which the mock needs.
_CLIENTS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="client")
_NEXT = request_bytes("GET", "/__admin/health")


def look_now(port: int, request: bytes) -> Seen:
    """Send a request over a socket of its own; read the answer, then check whether the connection stays open."""
    head_only = request.startswith(b"HEAD ")
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as wire:
        try:
            wire.sendall(request)
            while not _is_whole(got, head_only=head_only):
                piece = wire.recv(65_536)
                if not piece:
                    return Seen(got, "closed")
                got += piece
        except ConnectionResetError:
            return Seen(got, "reset")
        return Seen(got, _ending_of(wire))


def _ending_of(wire: socket.socket) -> str:
    """Tell whether a connection whose answer has come answers another request."""
    following = b""
    try:
        wire.sendall(_NEXT)
        while not _is_whole(following, head_only=False):
            piece = wire.recv(65_536)
            if not piece:
                return "garbled" if following else "closed"
            following += piece
    except ConnectionError:
        return "closed"
    return "kept" if following.startswith(b"HTTP/1.1 200 OK\r\n") and b'"status":"ok"' in following else "garbled"


def _is_whole(got: bytes, *, head_only: bool) -> bool:
    head, end, body = got.partition(b"\r\n\r\n")
    if not end:
        return False
    if head_only or head.split(b" ", 2)[1] in (b"204", b"304"):
        return True
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return length is not None and len(body) >= int(length[1])


async def look(edge: Edge, request: bytes) -> Seen:
    """Do the same, beside the mock's own event loop."""
    return await asyncio.get_running_loop().run_in_executor(_CLIENTS, look_now, edge.port, request)


async def until(done: Callable[[], object]) -> None:
    """Let the mock work until something has been done there."""
    async with asyncio.timeout(PATIENCE_S):
        while not done():  # noqa: ASYNC110 - what the mock does sets no event
            await asyncio.sleep(0)


async def timed(edge: Edge, request: bytes) -> tuple[Seen, float]:
    """Do the same, and tell how many seconds of wall time it took."""
    started = time.perf_counter()
    seen = await look(edge, request)
    return seen, time.perf_counter() - started


def body_of(edge: Edge, name: str, prompt: str, hook: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return the example of a provider's first model with this prompt and this callback address."""
    model = next(iter(edge.provider(name).models.values()))
    assert model.example is not None
    body = {**deepcopy(dict(model.example)), **fields}
    for path, value in ((PROMPTS[name], prompt), (HOOKS.get(name), hook)):
        if path is not None and value is not None:
            holder = body
            for key in path[:-1]:
                holder = holder.setdefault(key, {})
            holder[path[-1]] = value
    return body


def submit_bytes(
    edge: Edge,
    name: str,
    prompt: str = "A red kite",
    hook: str | None = None,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> bytes:
    """Write the submit of the example with this prompt."""
    return request_bytes(
        "POST",
        edge.path_of(name, "submit"),
        headers={"Content-Type": "application/json", **edge.key_headers(name, key), **(headers or {})},
        body=orjson.dumps(body_of(edge, name, prompt, hook, **fields)),
    )


def query_bytes(
    edge: Edge, name: str, task_id: str, *, key: str | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """Write the query of a task."""
    return request_bytes(
        "GET", edge.query_path(name, task_id), headers={**edge.key_headers(name, key), **(headers or {})}
    )


def file_bytes(link: str, method: str = "GET", **headers: str) -> bytes:
    """Write the request for a file behind a link; underscores in names of headers are dashes."""
    parts = urlsplit(link)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return request_bytes(method, target, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def submitted(edge: Edge, name: str, prompt: str = "A red kite", hook: str | None = None, **how: Any) -> str:
    """Submit the example with this prompt; return the task's id, whether it was told or not."""
    before = len(edge.state(name).tasks)
    await look(edge, submit_bytes(edge, name, prompt, hook, **how))
    assert len(edge.state(name).tasks) == before + 1
    return next(reversed(edge.state(name).tasks))


def links_of(edge: Edge, name: str, task_id: str) -> list[str]:
    """Return the links to a task's files, whatever its query says of them."""
    from mockserver.engine.context import RequestContext

    state = edge.state(name)
    context = RequestContext(state, edge.mock.clock.now_ms)
    task = state.tasks[task_id]
    context.set_task(task)
    context.body = task.body
    assert task.result is not None
    return state.links.result_urls(task, task.result, context.result_count(task.result), context.base)


# -- faults in force ------------------------------------------------------------------------------


async def put(
    edge: Edge,
    fault: str,
    where: Mapping[str, str] | None = None,
    when: Mapping[str, float] | None = None,
    **given: Any,
) -> dict[str, Any]:
    """Put a fault in force over the control plane; return the rule's record."""
    fault_request: dict[str, Any] = {"fault": fault, "with": given, "where": where or {}, "when": when or {}}
    reply = await edge.admin("POST", "/faults", fault_request)
    assert reply.status == 200, reply.body
    record: dict[str, Any] = reply.json
    return record


async def rule(edge: Edge, rule_id: str) -> dict[str, Any]:
    """Return a rule's record as it is now."""
    found: list[dict[str, Any]] = (await edge.admin("GET", "/faults")).json["faults"]
    return next(each for each in found if each["id"] == rule_id)


def exchanges(edge: Edge) -> list[dict[str, Any]]:
    """Return the exchanges of the journal."""
    return edge.mock.journal.find(kind="exchange")


def deliveries(edge: Edge) -> list[dict[str, Any]]:
    """Return the delivery attempts of the journal."""
    return edge.mock.journal.find(kind="delivery")


def faults_in(records: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Return the faults that each record names."""
    return [each["faults"] for each in records]


async def ledgers(edge: Edge) -> dict[str, Any]:
    """Return every account with its ledger, and see that each is balanced."""
    out: dict[str, Any] = {}
    for account in (await edge.admin("GET", "/accounts")).json["accounts"]:
        entries = (await edge.admin("GET", f"/accounts/{account['id']}/ledger")).json["entries"]
        sums = {
            kind: sum(each["credits"] for each in entries if each["kind"] == kind)
            for kind in ("grant", "reserve", "settle", "refund", "charge")
        }
        held = (account["available_credits"], account["reserved_credits"], account["spent_credits"])
        assert min(held) >= 0, account
        assert round(sum(held), 6) == round(account["granted_credits"], 6) == round(sums["grant"], 6)
        assert round(sums["reserve"] - sums["settle"] - sums["refund"], 6) == round(account["reserved_credits"], 6)
        assert round(sums["settle"] + sums["charge"], 6) == round(account["spent_credits"], 6)
        out[f"{account['provider']} {account['id']}"] = {"account": account, "ledger": entries}
    return out


# -- days lived twice -----------------------------------------------------------------------------

#: The prompt that faults are put in force for, and the one beside it.
STRUCK, CALM = "A struck kite", "A calm kite"


@dataclass(slots=True)
class Day:
    """What came of a day: each exchange by its label, callbacks, accounts, the journal."""

    labels: list[str] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    exchanges: list[dict[str, Any]] = field(default_factory=list)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    ledgers: dict[str, Any] = field(default_factory=dict)
    #: The tasks by their label, and the links to their files.
    tasks: dict[str, str] = field(default_factory=dict)
    links: dict[str, list[str]] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)


@asynccontextmanager
async def world(**settings: Any) -> AsyncIterator[Edge]:
    """Run a mock with the sixth provider, and links that do not tell its port."""
    async with serving(specs=[KILN], public_url=PUBLIC, **settings) as edge:
        yield edge


async def live(name: str, calm: Day | None = None, requested_rules: Iterable[Mapping[str, Any]] = ()) -> Day:
    """Run a day of a provider's clients; `calm` is the same day without faults, which knows ids and links."""
    async with world() as edge, receiving(edge=edge) as receiver:
        for fault_request in requested_rules:
            reply = await edge.admin("POST", "/faults", fault_request)
            assert reply.status == 200, reply.body
        script = _Script(edge, receiver, name, Day(), calm)
        await script.run()
        day = script.day
        day.exchanges, day.deliveries = exchanges(edge), _comparable(receiver, deliveries(edge))
        day.ledgers = await ledgers(edge)
        day.rules = (await edge.admin("GET", "/faults")).json["faults"]
        return day


def _comparable(receiver: Receiver, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Take out of deliveries what is different on every run."""
    for each in records:
        each["request"]["url"] = each["request"]["url"].replace(f":{receiver.port}/", ":0/")
        del each["wall"], each["seq"], each["response"]
    return records


class _Script:
    """The script of a day."""

    def __init__(self, edge: Edge, receiver: Receiver, name: str, day: Day, calm: Day | None) -> None:
        self.edge = edge
        self.receiver = receiver
        self.name = name
        self.beside = "evolink" if name == "toapis" else "toapis"
        self.day = day
        self.calm = calm

    async def ask(self, label: str, request: bytes) -> Seen:
        """Make a request, and write down what came of it."""
        seen = await look(self.edge, request)
        self.day.labels.append(label)
        self.day.seen.append(seen)
        return seen

    async def submit(self, label: str, name: str, prompt: str, key: str | None = None) -> None:
        """Submit a task; its id is that of the calm day."""
        hook = self.receiver.url(f"/{quote(label)}") if name in HOOKS and name != "crun" else None
        await self.ask(f"submit {label}", submit_bytes(self.edge, name, prompt, hook, key=key))
        tasks = self.edge.state(name).tasks
        self.day.tasks[label] = self.calm.tasks[label] if self.calm is not None else next(reversed(tasks))

    async def query(self, *labels: str) -> None:
        """Ask after tasks."""
        for label in labels:
            name = self.beside if label == "elsewhere" else self.name
            key = SECOND_KEYS[name] if label == "other key" else None
            await self.ask(f"query {label}", query_bytes(self.edge, name, self.day.tasks[label], key=key))

    async def account(self) -> None:
        """Ask for what an account holds, and for the list of its tasks."""
        for role in ("balance", "list"):
            if any(each.role == role for each in self.edge.provider(self.name).operations.values()):
                path = self.edge.path_of(self.name, role)
                for label, key in (("account", None), ("account other key", SECOND_KEYS[self.name])):
                    headers = self.edge.key_headers(self.name, key)
                    await self.ask(f"{role} {label}", request_bytes("GET", path, headers=headers))

    async def download(self, label: str) -> None:
        """Follow a link in every way: whole, in part, without the body, and once more."""
        links = links_of(self.edge, self.name, self.day.tasks[label]) if self.calm is None else self.calm.links[label]
        self.day.links[label] = links
        for request in (
            file_bytes(links[0]),
            file_bytes(links[0], Range="bytes=100-199"),
            file_bytes(links[0], "HEAD"),
            file_bytes(links[0]),
            *(file_bytes(link) for link in links[1:]),
        ):
            await self.ask(f"download {label}", request)

    async def run(self) -> None:
        """Run the day."""
        advance = self.edge.advance
        await self.submit("calm", self.name, CALM)
        await self.submit("struck", self.name, STRUCK)
        await self.submit("other key", self.name, STRUCK, SECOND_KEYS[self.name])
        await self.submit("elsewhere", self.beside, STRUCK)
        await self.query("struck", "calm", "other key", "elsewhere")
        await advance(30)
        await self.query("struck", "calm", "other key")
        await self.account()
        await advance(5)
        await self.query("struck", "other key")
        await advance(115)
        await self.query("struck", "calm", "other key", "elsewhere", "struck")
        await self.account()
        for label in ("struck", "calm", "other key"):
            await self.download(label)
        await advance(750)
        await self.query("struck", "calm")
        await self.account()
        await advance(3600)
        await self.query("struck", "other key")
