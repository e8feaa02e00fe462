"""Clients that misbehave at the level of bytes while faults are in force: they harm only themselves.

No traceback, no 500 that was not asked for, others are served meanwhile; and when they have gone, nothing of them is
left: no connection, no background task, no credits that do not add up.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import socket
import struct
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st
from support.edge import LOOPS, PATIENCE_S, Edge, Wire, nothing_logged, request_bytes, run_on, serving
from support.faults import exchanges, ledgers, put, query_bytes, submit_bytes, until

from mockserver.edge import server
from mockserver.edge.request_body import read_body
from mockserver.edge.sessions import NAME
from mockserver.faults import all_faults
from mockserver.media.cache import MediaCache

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from mockserver.media.shape import Shape

#: The provider that is abused; the others are calm.
ABUSED = "evolink"
CALM = ("crun", "googlegeminiomni", "toapis")
#: Every transport fault, with parameters that keep wall time short, and the share of requests that it hits.
TRANSPORT: list[tuple[str, dict[str, Any]]] = [
    ("broken_chunking", {}),
    ("broken_gzip", {}),
    ("held_open", {"seconds": 0.02}),
    ("latency", {"seconds": 0.001, "spread_s": 0.005}),
    ("lost_answer", {}),
    ("reset", {"at": "before_headers"}),
    ("reset", {"at": "within_headers"}),
    ("reset", {"at": "after_headers"}),
    ("reset", {"at": "within_body"}),
    ("slow_body", {"bytes_per_s": 20_000}),
    ("truncated_body", {"keep_fraction": 0.9}),
]
PROBABILITY = 0.12
#: The loop that `serve` runs on is tried in the quick tests; the other one as well where all tests run.
DAILY_LOOP = ["uvloop", pytest.param("asyncio", marks=pytest.mark.slow)]
#: A status line where an answer may begin, and those that abuse may meet; none of them is the server's own failure.
STATUS = re.compile(rb"(?:\A|\n|\}|>)HTTP/1\.1 ([0-9]{3}) ")
STATUSES = {100, 200, 206, 400, 401, 402, 404, 405, 408, 413, 416, 429}
_RST = struct.pack("ii", 1, 0)
ENDINGS = ("half-close", "close", "reset")


def quick_file(shape: Shape, path: Path, stop: threading.Event) -> None:
    """Take the place of the encoder, which is not what these tests are about."""
    path.write_bytes(shape.file_name.encode() * 50)


class _Failures(logging.Handler):
    """Records what aiohttp would log of uncaught exceptions, which the mock does not show."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def nothing_failed() -> Iterator[None]:
    """Hold the mock to it that nothing is logged, and that no exception got as far as aiohttp."""
    failures, quiet = _Failures(), logging.getLogger("mockserver.http")
    quiet.addHandler(failures)
    try:
        with nothing_logged():
            yield
    finally:
        quiet.removeHandler(failures)
    assert failures.lines == []


@pytest.fixture(autouse=True)
def _quiet(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make files quickly, and hold every test to it that nothing is logged and nothing printed."""
    monkeypatch.setattr(server, "MediaCache", partial(MediaCache, encode=quick_file))
    with nothing_failed():
        yield
    assert capfd.readouterr() == ("", "")


# -- a server under attack, and at rest again -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Inside(Edge):
    """The same mock and client, in a session."""

    name: str = ""

    @property
    def root(self) -> str:
        """Address under which the session's paths begin."""
        return f"http://127.0.0.1:{self.port}/~{self.name}"


async def health(edge: Edge) -> dict[str, int]:
    """Return what is open and under way."""
    found = (await edge.admin("GET", "/health")).json
    return {name: found[name] for name in ("connections", "background_tasks")}


@asynccontextmanager
async def watched(**settings: Any) -> AsyncIterator[Edge]:
    """Run a mock, and a client that keeps no connection open; see in the end that nothing is left over."""
    plain = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True), timeout=aiohttp.ClientTimeout(total=PATIENCE_S)
    )
    async with serving(request_timeout_s=0.1, **settings) as running, plain as http:
        edge = Edge(running.mock, http)
        before = await health(edge)
        yield edge
        await at_rest(edge, before)


@asynccontextmanager
async def attacked(**settings: Any) -> AsyncIterator[Edge]:
    """Run one with all transport faults in force at one provider."""
    async with watched(**settings) as edge:
        for fault, given_ in TRANSPORT:
            await put(edge, fault, {"provider": ABUSED}, {"probability": PROBABILITY}, **given_)
        yield edge


async def at_rest(edge: Edge, before: dict[str, int]) -> None:
    """Let everything come to its end; see that it does, that the books are balanced, and that all can be read."""
    for name in list(edge.mock.server.sessions):
        inside = Inside(edge.mock, edge.http, name)
        await inside.advance(86_400)
        await ledgers(inside)
        assert (await edge.admin("DELETE", f"/sessions/{name}")).status == 200
    await only(edge, before)
    assert (await edge.admin("DELETE", "/faults")).status == 200
    for path in ("/requests", "/requests/export", "/requests/export?format=har", "/accounts", "/tasks"):
        assert (await edge.admin("GET", path)).status == 200
    await edge.advance(86_400)
    for books in (await ledgers(edge)).values():
        assert (books["account"]["reserved_credits"], books["account"]["running_tasks"]) == (0, 0)
    await check_served(edge, ABUSED)
    await only(edge, before)


async def only(edge: Edge, expected: dict[str, int]) -> None:
    """Wait until no more is open and under way than is expected; an answer's wait looks up five times a second."""
    async with asyncio.timeout(PATIENCE_S):
        while await health(edge) != expected:
            pass


async def check_served(edge: Edge, *names: str) -> None:
    """Other clients are served: they submit a task and ask after it."""
    for name in names or CALM:
        reply = await edge.try_submit(name)
        if reply.status == 429:
            await edge.mock.clock.advance(3600)
            reply = await edge.try_submit(name)
        assert reply.status == 200, reply.body
        told = reply.body.decode()
        task_id = next(each for each in reversed(edge.state(name).tasks) if each in told)
        reply = await edge.query(name, task_id)
        assert reply.status == 200
        assert task_id in reply.body.decode()


def statuses_in(got: bytes) -> list[int]:
    """Return the statuses of the answers that came, all of them such as may come."""
    assert b"Traceback" not in got
    assert b"itself failed" not in got
    found = [int(each) for each in STATUS.findall(got)]
    assert set(found) <= STATUSES, got
    return found


def leave(wire: Wire, ending: str) -> None:
    """End a connection in one of the ways that there are."""
    transport = wire._writer.transport
    if transport.is_closing():
        return  # the mock was quicker
    if ending == "half-close":
        wire.end()
    elif ending == "close":
        transport.close()
    else:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        transport.abort()


async def anything(wire: Wire) -> bytes:
    """Wait until something comes, or the end."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await wire._reader.read(65_536)
    except ConnectionError:
        return b""


async def abuse(edge: Edge, ending: str, *pieces: bytes) -> bytes:
    """Send bytes, let others be served, leave; return what was received, if it was read."""
    async with edge.raw() as wire:
        await wire.send(*pieces)
        await check_served(edge, "toapis")
        leave(wire, ending)
        return await wire.closed() if ending == "half-close" else b""


def drawn(
    loop: str, examples: int, strategy: st.SearchStrategy[Any], what: Callable[[Edge, Any], Awaitable[Any]]
) -> None:
    """Do something to one server under attack, with whatever is drawn."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner, ExitStack() as stack:
        entered = attacked()
        edge = runner.run(entered.__aenter__())
        stack.push(lambda *error: runner.run(entered.__aexit__(*error)))

        async def once(value: Any) -> None:
            await what(edge, value)

        @settings(max_examples=examples)
        @given(strategy)
        def each(value: Any) -> None:
            runner.run(once(value))

        each()


def test_all_transport_faults_are_in_force() -> None:
    """The attacks meet every fault of the family."""
    assert {fault for fault, _ in TRANSPORT} == {
        name for name, kind in all_faults().items() if kind.family == "transport"
    }


# -- what is sent ---------------------------------------------------------------------------------


def whole_requests(edge: Edge) -> list[bytes]:
    """Return requests that are as they should be, some of them for tasks and paths that are not there."""
    key = edge.key_headers(ABUSED)
    known = next(iter(edge.state(ABUSED).tasks), "task-unified-1780617600-zzzzzzzz")
    return [
        submit_bytes(edge, ABUSED),
        submit_bytes(edge, ABUSED, "A kite mock:429"),
        submit_bytes(edge, ABUSED, key="sk-evolink-a-third-key"),
        query_bytes(edge, ABUSED, known),
        query_bytes(edge, ABUSED, "task-unified-1780617600-zzzzzzzz"),
        request_bytes("GET", f"/{ABUSED}/v1/credits", headers=key),
        request_bytes("HEAD", f"/{ABUSED}/v1/credits", headers=key),
        request_bytes("GET", f"/{ABUSED}/files/{known}/0.mp4", headers={"Range": "bytes=0-5"}),
        request_bytes("GET", f"/~one/{ABUSED}/v1/credits", headers=key),
        request_bytes("DELETE", f"/{ABUSED}/v1/credits", headers=key),
        request_bytes("GET", "/__admin/health"),
        request_bytes("GET", "/nowhere"),
    ]


COUNT = 12
_ENDING = st.sampled_from(ENDINGS)
_CHANGE = st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=4))
_PIECE = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.integers(0, COUNT - 1), st.lists(_CHANGE, max_size=4)),
)


def spoilt(request: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """Change some bytes of a request."""
    out = bytearray(request)
    for place, taken, put_in in changes:
        at = int(place * len(out))
        out[at : at + taken] = put_in
    return bytes(out)


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_any_bytes(loop: str) -> None:
    """Noise, requests with bytes changed, and several of both one after the other, left in any way."""

    async def send(edge: Edge, value: tuple[list[Any], str]) -> None:
        requests = whole_requests(edge)
        assert len(requests) == COUNT
        pieces, ending = value
        statuses_in(
            await abuse(
                edge,
                ending,
                *(piece if isinstance(piece, bytes) else spoilt(requests[piece[0]], piece[1]) for piece in pieces),
            )
        )

    drawn(loop, 60, st.tuples(st.lists(_PIECE, min_size=1, max_size=4), _ENDING), send)


@pytest.mark.parametrize("loop", DAILY_LOOP)
def test_half_a_request(loop: str) -> None:
    """A request that breaks off anywhere does nothing: no task is made, and an answer, if any, is a refusal."""

    async def send(edge: Edge, value: tuple[int, float, str]) -> None:
        number, place, ending = value
        request = whole_requests(edge)[number]
        before = len(edge.state(ABUSED).tasks)
        got = await abuse(edge, ending, request[: int(place * len(request))])
        assert set(statuses_in(got)) <= {400, 408}
        assert len(edge.state(ABUSED).tasks) == before

    drawn(loop, 60, st.tuples(st.integers(0, COUNT - 1), st.floats(0, 1, exclude_max=True), _ENDING), send)


@pytest.mark.slow
def test_half_a_body_that_stalls() -> None:
    """A submit whose body stops coming is given up, whatever faults do to its refusal; no task is made."""

    async def main() -> None:
        async with attacked() as edge:

            async def stall(number: int) -> None:
                head, _, body = submit_bytes(edge, ABUSED).partition(b"\r\n\r\n")
                async with edge.raw() as wire:
                    await wire.send(head + b"\r\n\r\n" + body[: number * len(body) // 40])
                    assert statuses_in(await anything(wire)) in ([], [408])
                    await check_served(edge, "toapis")

            await asyncio.gather(*(stall(number) for number in range(40)))
            assert edge.state(ABUSED).tasks == {}

    run_on("uvloop", main())  # once: aiohttp waits two seconds for what is left of a body


@pytest.mark.parametrize("fault_request", ["", "slow_body;bytes_per_s=1e9", "latency;seconds=0.001"])
async def test_a_refusal_of_half_a_body_says_that_it_closes(fault_request: str) -> None:
    """What is left of the body may still be on its way: the answer says so, whether a fault touches it or not."""
    lines = {
        "stalled": (b"Content-Length: 100\r\n", b'{"model"', 408),
        "oversized": (b"Content-Length: 100000000\r\n", b"", 413),
        "bad chunks": (b"Transfer-Encoding: chunked\r\n", b"5\r\n12345", 408),
    }

    async with serving(request_timeout_s=0.1) as edge:
        head = request_bytes("POST", edge.path_of(ABUSED, "submit"), headers=edge.key_headers(ABUSED))[:-2]
        header = b"" if not fault_request else b"X-Mock-Fault: %b\r\n" % fault_request.encode()
        for framing, body, status in lines.values():
            async with edge.raw() as wire:
                await wire.send(head + header + framing + b"\r\n" + body)
                answer = await wire.answer()
                assert answer is not None
                assert (answer.status, answer.header("Connection")) == (status, "close")
        named = [] if not fault_request else [fault_request.partition(";")[0]]
        assert [each["faults"] for each in exchanges(edge)] == [named] * len(lines)


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_pipelined(loop: str) -> None:
    """Requests in one go, cut into any pieces, are dealt with in order, up to one whose answer breaks off."""

    async def send(edge: Edge, value: tuple[list[int], list[float], str]) -> None:
        numbers, cuts, ending = value
        every = whole_requests(edge)[:8]  # those that the journal tells of
        sent = [every[number] for number in numbers]
        stream = b"".join(sent)
        places = [0, *sorted(int(cut * len(stream)) for cut in cuts), len(stream)]
        before, tasks = len(edge.mock.journal), len(edge.state(ABUSED).tasks)
        async with edge.raw() as wire:
            await wire.send(*(stream[start:stop] for start, stop in pairwise(places)))
            leave(wire, ending)
            got = await wire.closed() if ending == "half-close" else b""
        await check_served(edge, "toapis")
        done = [each for each in exchanges(edge)[before:] if each["provider"] == ABUSED]
        dealt_with = [(each["request"]["method"], each["request"]["path"]) for each in done]
        asked = [tuple(request.decode().split(" ", 2)[:2]) for request in sent]
        assert dealt_with == asked[: len(done)]
        assert len(statuses_in(got)) <= len(done)
        made = {each["task"] for each in done if each["operation"] == "createVideo" and each["task"] is not None}
        assert len(edge.state(ABUSED).tasks) - tasks == len(made)

    strategy = st.tuples(
        st.lists(st.integers(0, 7), min_size=2, max_size=8), st.lists(st.floats(0, 1), max_size=4), _ENDING
    )
    drawn(loop, 60, strategy, send)


# -- headers --------------------------------------------------------------------------------------

_PLAIN = st.binary(max_size=30).map(lambda raw: raw.translate(None, b"\r\n\x00"))
_QUICK = [
    *(b"reset;at=" + at for at in (b"before_headers", b"within_headers", b"after_headers", b"within_body", b"dawn")),
    *(b"lost_answer", b"truncated_body;keep_fraction=0", b"broken_gzip", b"broken_chunking", b"empty_body"),
    *(b"held_open;seconds=0", b"latency;seconds=0", b"slow_body;bytes_per_s=1e9", b"error;status=404", b"code=404"),
    *(
        b"extra_fields;field=\xff",
        b'null_field;field="',
        b";;;",
        b",,,",
        b"held_open;seconds=-1",
        b"=",
        b"wait=1, \xfe",
    ),
]
_WISH = st.one_of(st.sampled_from(_QUICK), _PLAIN, st.lists(st.sampled_from(_QUICK), max_size=30).map(b", ".join))
_SESSION = st.one_of(
    st.sampled_from([b"one", b"two", b"", b"..", b"a/b", b"one, two", b"x" * 100, b"x" * 101, b"\xff\xfe", b"~one"]),
    _PLAIN,
)
_LINE = st.one_of(
    st.tuples(st.sampled_from([b"X-Mock-Fault", b"x-mock-fault", b"Prefer", b"PREFER"]), _WISH),
    st.tuples(st.sampled_from([b"X-Mock-Session", b"x-mock-session"]), _SESSION),
)


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_any_wishes(loop: str) -> None:
    """Our own headers, garbled, contradicting and repeated: what they ask for, or a refusal in words."""

    async def send(edge: Edge, value: tuple[int, list[tuple[bytes, bytes]], str]) -> None:
        number, lines, ending = value
        head, end, body = whole_requests(edge)[number].partition(b"\r\n\r\n")
        fault_requests = b"".join(b"\r\n" + name + b": " + text for name, text in lines)
        statuses_in(await abuse(edge, ending, head + fault_requests + end + body))
        assert all(NAME.fullmatch(each) for each in edge.mock.server.sessions)

    drawn(loop, 60, st.tuples(st.integers(0, COUNT - 1), st.lists(_LINE, min_size=1, max_size=6), _ENDING), send)


#: Lines of headers that are far too many, or far too long, and the statuses that may come of them.
FLOODS: dict[str, tuple[list[bytes], set[int]]] = {
    "a fault request in 50 lines": ([b"X-Mock-Fault: extra_fields"] * 50, {200}),
    "a fault request in 5 000 lines": ([b"X-Mock-Fault: extra_fields"] * 5000, {400}),
    "900 fault requests in a line": ([b"X-Mock-Fault: " + b"latency;seconds=0," * 400 + b"latency"], {200}),
    "a million fault requests": ([b"X-Mock-Fault: " + b"reset," * 200_000], {400}),
    "one fault request of the greatest length": ([b"X-Mock-Fault: " + b"x" * 8000], {400}),
    "4 000 parameters": ([b"X-Mock-Fault: latency" + b";a" * 3900], {400}),
    "quotes without end": ([b"X-Mock-Fault: " + b'"' * 8001], {400}),
    "preferences without end": ([b"Prefer: " + b"a=b," * 2000], {200}),
    "preferences in 50 lines": ([b"Prefer: wait=%d" % number for number in range(50)], {200}),
    "50 sessions": ([b"X-Mock-Session: s%d" % number for number in range(50)], {200}),
    "a session's name of 8 000": ([b"X-Mock-Session: " + b"s" * 8000], {400}),
    "5 000 sessions": ([b"X-Mock-Session: s%d" % number for number in range(5000)], {400}),
    "20 000 of nothing": ([b"X: y"] * 20_000, {400}),
    "a line of a megabyte": ([b"X-Long: " + b"x" * 1_000_000], {400}),
    "names without end": ([b"X" * 8000 + b": y"], {200, 400}),
}


@pytest.mark.parametrize("loop", DAILY_LOOP)
def test_header_floods(loop: str) -> None:
    """Too many headers, and too long ones: what is too much is refused in few words, and all of them at once too."""

    async def main() -> None:
        async with attacked() as edge:

            async def flood(lines: list[bytes], expected: set[int]) -> None:
                request = request_bytes("GET", f"/{ABUSED}/v1/credits", headers=edge.key_headers(ABUSED))
                async with edge.raw() as wire:
                    await wire.send(request[:-2] + b"".join(line + b"\r\n" for line in lines) + b"\r\n")
                    await check_served(edge, "toapis")
                    leave(wire, "half-close")
                    got = await wire.closed()
                assert set(statuses_in(got)) <= expected
                assert len(got) < 10_000

            for lines, expected in FLOODS.values():
                await flood(lines, expected)
            await asyncio.gather(*(flood(*each) for each in FLOODS.values()))
            assert set(edge.mock.server.sessions) <= {"s0"}

    run_on(loop, main())


# -- sockets that are dropped in the middle -------------------------------------------------------

#: What keeps an answer on its way for an hour, and whether some of it comes at once.
FOR_AN_HOUR: list[tuple[str, bool]] = [
    ("latency;seconds=3600", False),
    ("latency;seconds=3600, reset", False),
    ("latency;seconds=3600, lost_answer", False),
    ("latency;seconds=1800;spread_s=1800;growth_s=60", False),
    ("held_open;seconds=3600", False),
    ("held_open;seconds=3600, truncated_body", False),
    ("held_open;seconds=3600, reset;at=within_body", False),
    ("slow_body;bytes_per_s=1", True),
    ("slow_body;bytes_per_s=1, truncated_body;keep_fraction=0.9", True),
    ("slow_body;bytes_per_s=1, reset;at=within_body", True),
    ("slow_body;bytes_per_s=1, broken_chunking", True),
    ("slow_body;bytes_per_s=1, broken_gzip", True),
    ("slow_body;bytes_per_s=1, extra_fields, status_case", True),
]
#: The same of files.
FILES_FOR_AN_HOUR: list[tuple[str, bool]] = [
    ("slow_file;bytes_per_s=1", True),
    ("slow_file;bytes_per_s=1, truncated_file", True),
    ("slow_file;bytes_per_s=1, wrong_length", True),
    ("slow_file;bytes_per_s=1, expires_midway", True),
    ("slow_file;bytes_per_s=1, no_range", True),
    ("latency;seconds=3600, wrong_media_type", False),
    ("held_open;seconds=3600, expires_midway", False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("loop", "ending"), [*(("asyncio", ending) for ending in ENDINGS), ("uvloop", "reset")])
def test_dropped_in_the_middle(loop: str, ending: str) -> None:
    """Answers that would go on for an hour end with the client that drops them, and what was asked has been done."""

    async def main() -> None:
        async with watched() as edge:
            task_id = await edge.submit(ABUSED)
            await edge.advance(600)
            link = (await edge.query(ABUSED, task_id)).json["results"][0].removeprefix(edge.root)
            requests: list[tuple[bytes, bool]] = []
            for fault_requests, begins in FOR_AN_HOUR:
                headers = {"X-Mock-Fault": fault_requests}
                requests += [
                    (submit_bytes(edge, ABUSED, headers=headers), begins),
                    (query_bytes(edge, ABUSED, task_id, headers=headers), begins),
                ]
            for fault_requests, begins in FILES_FOR_AN_HOUR:
                for more in ({}, {"Range": "bytes=10-99"}):
                    requests.append(
                        (request_bytes("GET", link, headers={"X-Mock-Fault": fault_requests, **more}), begins)
                    )
            known = len(edge.mock.journal)
            wires = [await edge.raw().__aenter__() for _ in requests]
            for wire, (request, _) in zip(wires, requests, strict=True):
                await wire.send(request)
            await until(lambda: len(edge.mock.journal) == known + len(requests))
            for wire, (_, begins) in zip(wires, requests, strict=True):
                if begins:
                    assert await wire._reader.readexactly(12) in (b"HTTP/1.1 200", b"HTTP/1.1 206")
            await check_served(edge)
            assert (await health(edge))["connections"] > len(requests)
            for wire in wires:
                leave(wire, ending)
            for wire in wires:
                await wire.__aexit__()
            assert len(edge.state(ABUSED).tasks) == 1 + len(FOR_AN_HOUR)

    run_on(loop, main())


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_gone_when_the_wait_is_over(loop: str, ending: str) -> None:
    """A client that has gone when its answer is due, or when the connection is to be ended, is not looked for."""
    waits = ("latency;seconds=0.05", "held_open;seconds=0.05", "slow_body;bytes_per_s=9000")
    ends = ("reset", "reset;at=within_headers", "reset;at=within_body", "truncated_body", "broken_gzip", "lost_answer")

    async def main() -> None:
        async with watched() as edge:
            fault_requests = [f"{wait}, {end}" for wait in waits for end in ends]
            wires = [await edge.raw().__aenter__() for _ in fault_requests]
            for wire, each in zip(wires, fault_requests, strict=True):
                await wire.send(submit_bytes(edge, ABUSED, headers={"X-Mock-Fault": each}))
            await until(lambda: len(edge.mock.journal) == len(fault_requests))
            for wire in wires:
                leave(wire, ending)
                await wire.__aexit__()
            await check_served(edge)
            assert len(edge.state(ABUSED).tasks) == len(fault_requests)

    run_on(loop, main())


async def test_gone_before_its_body_is_read() -> None:
    """A client that has gone with half its body unsent, before anybody asked for it, is one that has gone."""
    loop = asyncio.get_running_loop()
    stream = StreamReader(BaseProtocol(loop), 2**16, loop=loop)  # of a connection that is no more
    stream.feed_data(b'{"model": "m"')
    request = make_mocked_request("POST", "/", payload=stream)
    request.protocol.transport = None
    with pytest.raises(ConnectionResetError, match="the client has gone"):
        await read_body(request, 1000, 1)


@pytest.mark.parametrize("loop", DAILY_LOOP)
def test_dropped_before_the_answer_and_sent_again(loop: str) -> None:
    """A client that hangs up as soon as it has asked, again and again, is paid no attention; each task is made once."""

    async def main() -> None:
        async with attacked() as edge:

            async def hang_up(number: int) -> None:
                async with edge.raw() as wire:
                    await wire.send(submit_bytes(edge, ABUSED, f"A kite, the {number}th"))
                    leave(wire, ENDINGS[number % 3])

            for start in range(0, 300, 30):
                await asyncio.gather(*(hang_up(number) for number in range(start, start + 30)), check_served(edge))
            bodies = [each["request"]["body"] for each in exchanges(edge) if each["provider"] == ABUSED]
            assert len(bodies) == len(set(bodies)) == len(edge.state(ABUSED).tasks) <= 300

    run_on(loop, main())


# -- sessions -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_session_names_without_end(loop: str) -> None:
    """There are as many sessions as there may be; a name that is none, or one too many, is refused, and makes none."""
    garbled = ["..", "%2e%2e", "~", "a%00b", "%ff%fe", "-", "x" * 101, "a;b", "a,b", "_"]

    async def main() -> None:
        async with attacked(keep_sessions=60) as edge:
            key = edge.key_headers(ABUSED)
            path = f"/{ABUSED}/v1/credits"
            worst = Inside(edge.mock, edge.http, "worst")
            for fault, given_ in TRANSPORT:
                await put(worst, fault, None, {"probability": PROBABILITY}, **given_)

            async def flood(number: int) -> list[int]:
                """Name ten sessions in the path and in the header, and ten that cannot be, in one go."""
                sent = []
                for name in (f"flood-{number}-{each}" for each in range(10)):
                    sent.append(request_bytes("GET", f"/~{name}{path}", headers=key))
                    sent.append(request_bytes("GET", path, headers={**key, "X-Mock-Session": name}))
                    sent.append(request_bytes("GET", f"/~{garbled[number]}{path}", headers=key))
                async with edge.raw() as wire:
                    await wire.send(b"".join(sent))
                    answers = [await wire.answer() for _ in sent]
                return [0 if answer is None else answer.status for answer in answers]

            async def worsen(number: int) -> None:
                """Meet transport faults in a session, and leave."""
                request = submit_bytes(edge, ABUSED, f"A kite, the {number}th", headers={"X-Mock-Session": "worst"})
                async with edge.raw() as wire:
                    await wire.send(request)
                    leave(wire, ENDINGS[number % 3])
                    await wire.closed()

            found = await asyncio.gather(
                asyncio.gather(*(flood(number) for number in range(10))),
                asyncio.gather(*(worsen(number) for number in range(60))),
                check_served(edge),
            )
            answers = [status for each in found[0] for status in each]
            assert answers[0::3] == answers[1::3]
            assert [answers[0::3].count(status) for status in (200, 503)] == [59, 41]
            assert set(answers[2::3]) == {400}
            assert len(list(edge.mock.server.sessions)) == 60

    run_on(loop, main())


# -- all of it at once ----------------------------------------------------------------------------


class Storm:
    """Clients that do all of this at once, with drawn numbers, and clients beside them that do nothing wrong."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.requests = whole_requests(edge)
        self.raging = 0

    async def rage(self, number: int) -> None:
        """Misbehave."""
        luck = random.Random(number)
        self.raging += 1
        for _ in range(12):
            pieces = [self.piece(luck) for _ in range(luck.randint(1, 4))]
            async with self.edge.raw() as wire:
                await wire.send(*pieces)
                for _ in range(luck.randrange(4)):
                    await asyncio.sleep(0)
                leave(wire, luck.choice(ENDINGS))
                statuses_in(await wire.closed())
        self.raging -= 1

    def piece(self, luck: random.Random) -> bytes:
        """Return something to send."""
        kind = luck.randrange(5)
        if kind == 0:
            return luck.randbytes(luck.randrange(200))
        request = luck.choice(self.requests)
        if kind == 1:
            return request[: luck.randrange(len(request))]
        if kind == 2:
            return spoilt(request, [(luck.random(), luck.randrange(3), luck.randbytes(2))])
        if kind == 3:
            head, end, body = request.partition(b"\r\n\r\n")
            lines = [b"X-Mock-Fault: " + luck.choice(_QUICK) for _ in range(luck.randint(1, 40))]
            lines.append(b"X-Mock-Session: " + luck.choice([b"one", b"two", b"..", luck.randbytes(3).hex().encode()]))
            return b"\r\n".join((head, *lines)) + end + body
        return request * luck.randint(1, 5)

    async def behave(self) -> int:
        """Submit and ask as long as others rage; return how often that went well."""
        served = 0
        while self.raging:
            await check_served(self.edge, CALM[served % 3])
            served += 1
        return served


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_all_at_once(loop: str) -> None:
    """Forty clients do all of it for a while; those beside them never notice, and nothing is left of it."""

    async def main() -> None:
        async with attacked() as edge:
            storm = Storm(edge)
            raging = asyncio.gather(*(storm.rage(number) for number in range(40)))
            await until(lambda: storm.raging)
            assert await storm.behave() >= len(CALM)
            await raging
            rules = [
                each for each in (await edge.admin("GET", "/faults")).json["faults"] if each["where"].get("provider")
            ]
            assert [each["fault"] for each in rules][: len(TRANSPORT)] == [fault for fault, _ in TRANSPORT]
            assert min(each["hits"] for each in rules[: len(TRANSPORT)]) > 0

    run_on(loop, main())
