"""Virtual time: the loop and its clock, connections within it, and `time` and `socket` as clients see them."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kilns import EVENTS, PREFERS, kiln

from contracts.client.virtual_time.loop import StalledError, VirtualLoop
from contracts.client.virtual_time.parts import as_part, in_virtual_time, is_virtual
from contracts.client.virtual_time.patches import virtual_time
from contracts.client.virtual_time.threads import ThreadCancelledError, VirtualThread
from mockserver.clock import Wall
from mockserver.edge.server import Server
from mockserver.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = TypeVar("T")
Serve = "Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]"
START_S = 1_780_617_600.0
REAL = {name: getattr(time, name) for name in ("time", "monotonic", "perf_counter", "sleep", "time_ns", "monotonic_ns")}
PATIENCE_S = 20.0


@contextmanager
def virtual() -> Iterator[VirtualLoop]:
    """Make a loop in virtual time, and leave nothing of it."""
    loop = VirtualLoop()
    try:
        with virtual_time(loop, START_S):
            asyncio.set_event_loop(loop)
            yield loop
            loop.threads.cancel()
            loop.run_until_complete(settled())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def settled() -> None:
    """End what is left, and let connections close."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for _ in range(5):
        await asyncio.sleep(0)


def run(work: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Do something in virtual time."""
    with virtual() as loop:
        return loop.run_until_complete(work(loop))


# -- the clock --------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=30))
@settings(max_examples=40)
def test_time_jumps_from_timer_to_timer(delays: list[float]) -> None:
    """Timers ring in their order, each at its time, and the clock never goes back."""
    rung: list[tuple[float, float]] = []

    async def sleep(loop: VirtualLoop, delay: float) -> None:
        await asyncio.sleep(delay)
        rung.append((delay, loop.time()))

    async def work(loop: VirtualLoop) -> None:
        await asyncio.gather(*(sleep(loop, delay) for delay in delays))

    run(work)
    assert [delay for delay, _ in rung if delay] == sorted(delay for delay in delays if delay)
    times = [at for _, at in rung]
    assert times == sorted(times)
    assert all(at == pytest.approx(delay, abs=1e-5) for delay, at in rung)


def test_time_does_not_pass_while_there_is_work() -> None:
    """However many turns the work takes, no timer rings before it is done."""

    async def work(loop: VirtualLoop) -> tuple[float, bool]:
        timer = asyncio.create_task(asyncio.sleep(1e-3))
        for _ in range(5000):
            await asyncio.sleep(0)
        return loop.time(), timer.done()

    assert run(work) == (0.0, False)


def test_a_thread_at_work_holds_time() -> None:
    """While it is at work the loop turns, and no time passes; asleep, it waits for virtual time as all threads do."""

    async def work(loop: VirtualLoop) -> tuple[list[float], float]:
        def job() -> list[float]:
            seen = []
            for _ in range(20):
                turned = threading.Event()
                loop.call_soon_threadsafe(loop.call_soon, turned.set)
                assert turned.wait(PATIENCE_S)
                seen.append(loop.now_s)
            time.sleep(40)
            return [*seen, loop.now_s]

        timer = asyncio.create_task(asyncio.sleep(100))
        seen = await loop.run_in_executor(None, job)
        assert not timer.done()
        await timer
        return seen, loop.time()

    seen, end_s = run(work)
    assert seen[:20] == [0.0] * 20
    assert (seen[20], end_s) == (40.0, 100.0)


def test_what_a_thread_returns_or_raises_comes_back() -> None:
    """Quick ones and slow ones, of the loop's own executor and of others."""

    def fail() -> None:
        raise LookupError("no")

    def doze() -> str:
        time.sleep(3)
        return "late"

    async def work(loop: VirtualLoop) -> float:
        with ThreadPoolExecutor(1) as pool:
            assert await loop.run_in_executor(pool, is_virtual) is True
            both = asyncio.gather(loop.run_in_executor(pool, doze), asyncio.to_thread(doze))
            assert list(await both) == ["late", "late"]
            for executor in (None, pool):
                with pytest.raises(LookupError):
                    await loop.run_in_executor(executor, fail)
        await asyncio.sleep(1)
        assert loop.threads.working == 0
        return loop.time()

    assert run(work) == 4.0


def test_waiting_for_nothing_is_told() -> None:
    """If every thread waits and no timer is set, nothing will ever happen."""
    with virtual() as loop:
        with pytest.raises(StalledError):
            loop.run_until_complete(loop.create_future())
        assert loop.run_until_complete(asyncio.sleep(5, "and on")) == "and on"


def test_one_that_is_busy_without_end_is_watched() -> None:
    """`watch` is called by turns, as no time passes."""

    async def work(loop: VirtualLoop) -> float:
        looks: list[float] = []
        loop.watch = lambda: looks.append(loop.time())
        for _ in range(5000):
            await asyncio.sleep(0)
        return sum(looks) if len(looks) > 5 else -1.0

    assert run(work) == 0.0


# -- connections ------------------------------------------------------------------------------------


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give back what comes, and close after its end."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def listening(serve: Any) -> tuple[asyncio.Server, int]:
    """Listen at some port."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=30), st.sampled_from(("127.0.0.1", "localhost")))
@settings(max_examples=30)
def test_bytes_arrive_in_order_and_then_the_end(pieces: list[bytes], host: str) -> None:
    """Whatever is written comes back as it was, the end of it too; no time passes."""

    async def work(loop: VirtualLoop) -> tuple[bytes, float]:
        server, port = await listening(echo)
        reader, writer = await asyncio.open_connection(host, port)
        for piece in pieces:
            writer.write(piece)
        writer.write_eof()
        out = await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        return out, loop.time()

    assert run(work) == (b"".join(pieces), 0.0)


@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=12), st.integers(1_000, 150_000))
@settings(max_examples=30)
def test_a_slow_reader_holds_its_writer_back(writes: list[int], bite: int) -> None:
    """A writer that drains is never further ahead than the buffers are large, and nothing is lost."""
    sent = b"".join(bytes((number % 256,)) * size for number, size in enumerate(writes))

    async def work(loop: VirtualLoop) -> tuple[bytes, int]:
        got, ahead = bytearray(), 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while piece := await reader.read(bite):
                got.extend(piece)
                await asyncio.sleep(1)
            writer.close()

        server, port = await listening(serve)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        put = 0
        for number, size in enumerate(writes):
            writer.write(bytes((number % 256,)) * size)
            await writer.drain()
            put += size
            ahead = max(ahead, put - len(got))
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        server.close()
        return bytes(got), ahead

    got, ahead = run(work)
    assert got == sent
    buffers = 2 * (1 << 16) + (1 << 16)  # asyncio's own, and the wire's
    assert ahead <= buffers + max(writes) + bite


class Notes(asyncio.Protocol):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def eof_received(self) -> None:
        self.told.append("end")

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


async def pair(loop: VirtualLoop) -> tuple[Notes, Notes]:
    """Connect two protocols: the near one, and the server's."""
    far: list[Notes] = []

    def accept() -> Notes:
        far.append(Notes())
        return far[0]

    server = await loop.create_server(accept, "127.0.0.1", 0)
    _, near = await loop.create_connection(Notes, "127.0.0.1", server.sockets[0].getsockname()[1])
    server.close()
    return near, far[0]


def test_close_lets_arrive_what_was_written() -> None:
    """The other end is told all of it, then the end; both are lost without an error."""

    async def work(loop: VirtualLoop) -> tuple[list[Any], Any, Any]:
        near, far = await pair(loop)
        near.transport.write(b"one")
        near.transport.write(b"two")
        near.transport.close()
        near.transport.write(b"not this")
        assert near.transport.is_closing()
        return far.told, await near.lost, await far.lost

    told, near_error, far_error = run(work)
    assert (b"".join(told[:-1]), told[-1]) == (b"onetwo", "end")
    assert near_error is far_error is None


@pytest.mark.parametrize("resets", [True, False])
def test_abort_cuts_or_resets(resets: bool) -> None:
    """With SO_LINGER 0 the other end gets ConnectionResetError, after what had been written; without it an end."""

    async def work(loop: VirtualLoop) -> tuple[list[Any], Exception | None]:
        near, far = await pair(loop)
        if resets:
            options = far.transport.get_extra_info("socket")
            options.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.transport.write(b"half")
        far.transport.abort()
        return near.told, await near.lost

    told, error = run(work)
    assert told == ([b"half"] if resets else [b"half", "end"])
    assert isinstance(error, ConnectionResetError) is resets


def test_reading_is_paused_and_resumed() -> None:
    """Paused, an end is told nothing, and its peer is told to pause; resumed, it gets everything in order."""

    async def work(loop: VirtualLoop) -> tuple[int, list[Any], list[Any]]:
        near, far = await pair(loop)
        far.transport.pause_reading()
        assert not far.transport.is_reading()
        near.transport.write(b"a" * 70_000)
        near.transport.write(b"b")
        near.transport.write_eof()
        await asyncio.sleep(10)
        before, size = len(far.told), near.transport.get_write_buffer_size()
        assert size == 70_001
        far.transport.resume_reading()
        await far.lost
        return before, far.told, near.told

    before, told, sender = run(work)
    assert before == 0
    assert told == [b"a" * 70_000 + b"b", "end"]
    assert sender[:2] == ["pause", "resume"]


def test_who_writes_to_one_that_has_gone_is_told() -> None:
    """A writer with a buffer that is full is not left waiting when the reader goes away."""

    async def work(loop: VirtualLoop) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(5)
            writer.close()

        server, port = await listening(serve)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for _ in range(100):
                writer.write(b"x" * 50_000)
                await writer.drain()
        except ConnectionError as error:
            return type(error).__name__
        finally:
            writer.close()
            server.close()
        return "nothing"

    assert run(work) == "ConnectionResetError"


def test_aiohttp_works_over_it() -> None:
    """Its client and its server, with bodies larger than any buffer, many at once, timeouts in virtual seconds."""

    async def work(loop: VirtualLoop) -> tuple[list[int], float]:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            body = await request.read()
            if request.path == "/slow":
                await asyncio.sleep(1000)
            return web.Response(body=body * 2)

        server = await loop.create_server(web.Server(handle, access_log=None), "127.0.0.1", 0)
        base = f"http://localhost:{server.sockets[0].getsockname()[1]}"
        async with aiohttp.ClientSession() as http:

            async def post(size: int) -> int:
                async with http.post(base + "/", data=b"x" * size) as answer:
                    return len(await answer.read())

            sizes = await asyncio.gather(*(post(size) for size in (0, 1, 70_000, 900_000)))
            with pytest.raises(TimeoutError):
                await http.get(base + "/slow", timeout=aiohttp.ClientTimeout(total=30))
        server.close()
        return sizes, loop.time()

    sizes, now_s = run(work)
    assert sizes == [0, 2, 140_000, 1_800_000]
    assert 30 <= now_s <= 31


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "192.0.2.1", "api.example.invalid"])
def test_an_address_without_a_listener_is_refused_and_noted(host: str) -> None:
    """Other ports, other addresses, and names of the net; none is tried, really."""

    async def work(loop: VirtualLoop) -> list[str]:
        with pytest.raises(OSError, match="in this loop"):
            await asyncio.open_connection(host, 9)
        return loop.unknown_addresses

    where = {stray.replace("::1", "localhost").replace("127.0.0.1", "localhost") for stray in run(work)}
    assert where == {f"{host.replace('127.0.0.1', 'localhost')}:9"}


def test_a_server_that_has_closed_is_not_reached() -> None:
    """Its port refuses from then on."""

    async def work(loop: VirtualLoop) -> None:
        server, port = await listening(echo)
        server.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert loop.unknown_addresses == [f"127.0.0.1:{port}"]

    run(work)


def test_a_socket_that_is_connected_and_dropped_harms_nothing() -> None:
    """Another socket that gets its number is not taken for it; nor can bytes be sent past the transports."""

    async def work(loop: VirtualLoop) -> bytes:
        server, port = await listening(echo)
        dropped = socket.socket()
        dropped.setblocking(False)
        await loop.sock_connect(dropped, ("127.0.0.1", port))
        with pytest.raises(OSError, match="transports"):
            await loop.sock_sendall(dropped, b"x")
        dropped.close()
        del dropped
        near, far = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=near)
        far.sendall(b"real")
        out = await reader.read(4)
        writer.close()
        far.close()
        server.close()
        return out

    assert run(work) == b"real"


# -- time and sockets as clients see them -----------------------------------------------------------


def test_time_is_the_loops_and_real_again_afterwards() -> None:
    """All clocks, and sleeping; in the loop's thread and in those that take part."""

    def clocks() -> tuple[float, ...]:
        return (
            time.time() - START_S,
            time.monotonic(),
            time.perf_counter(),
            time.time_ns() / 1e9 - START_S,
            time.monotonic_ns() / 1e9,
        )

    def later(seconds: float) -> tuple[float, ...]:
        time.sleep(seconds)
        return clocks()

    async def work(loop: VirtualLoop) -> list[tuple[float, ...]]:
        out = [clocks(), later(50)]
        await asyncio.sleep(25)
        return [*out, clocks(), await asyncio.to_thread(later, 25), clocks()]

    found = run(work)
    assert [each[1] for each in found] == [0, 50, 75, 100, 100]
    assert all(each == pytest.approx((each[1],) * 5, abs=1e-3) for each in found)
    assert {name: getattr(time, name) for name in REAL} == REAL


def test_sleeping_backwards_is_refused() -> None:
    """As in reality."""
    with virtual() as loop:
        with pytest.raises(ValueError, match="non-negative"):
            time.sleep(-1)
        assert loop.time() == 0


def test_other_threads_have_the_real_time() -> None:
    """What does not take part sees no patch, and can reach whom it wants."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        pool.submit(int).result(PATIENCE_S)  # its thread starts here

        def outside() -> tuple[bool, float]:
            time.sleep(0)
            socket.create_connection(listener.getsockname(), PATIENCE_S).close()
            return is_virtual(), REAL["time"]() - time.time()

        with virtual() as loop, as_part(None):
            part, off_s = pool.submit(outside).result(PATIENCE_S)
            assert (part, loop.unknown_addresses) == (False, [])
        assert abs(off_s) < PATIENCE_S


def test_one_virtual_time_within_another() -> None:
    """The inner one's end does not end the outer one."""
    with virtual() as outer:
        outer.skip(7)
        inner = VirtualLoop()
        with virtual_time(inner, 0):
            assert time.time() == 0
            time.sleep(3)
            assert time.monotonic() == 3
        inner.close()
        assert time.monotonic() == 7
        time.sleep(1)
        assert outer.time() == 8
    assert time.sleep is REAL["sleep"]
    assert "recv" not in vars(socket.socket)


def test_threads_wait_for_bytes_in_virtual_time() -> None:
    """A blocking read lets time pass; what comes wakes it, and its timeout counts virtual seconds."""

    async def work(loop: VirtualLoop) -> list[Any]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await asyncio.sleep(8)
                writer.write(b"late")
                await reader.read()
            finally:
                writer.close()

        server, port = await listening(serve)

        def ask(timeout: float | None) -> tuple[object, float]:
            with socket.create_connection(("localhost", port)) as sock:
                sock.settimeout(timeout)
                began_s = time.monotonic()
                try:
                    got: object = sock.recv(100)
                except TimeoutError as error:
                    got = str(error)
                return got, time.monotonic() - began_s

        found = [await asyncio.to_thread(ask, timeout) for timeout in (None, 30, 2)]
        server.close()
        return found

    assert run(work) == [(b"late", 8.0), (b"late", 8.0), ("timed out", 2.0)]


def test_threads_reach_no_outside_address() -> None:
    """Neither by address nor by name; it is noted, and no request is sent."""

    async def work(loop: VirtualLoop) -> list[str]:
        for address in (("192.0.2.1", 80), ("api.example.invalid", 443)):
            with pytest.raises(OSError, match="in this loop"):
                await asyncio.to_thread(socket.create_connection, address)
        return loop.unknown_addresses

    assert run(work) == ["192.0.2.1:80", "api.example.invalid:443"]


@pytest.mark.parametrize("way", ["sleeps", "computes", "hears nothing"])
def test_a_thread_that_was_let_go_ends(way: str) -> None:
    """One that sleeps, one that computes without end, and one that catches everything for a while."""
    ended = threading.Event()
    begun = threading.Event()
    caught: list[BaseException] = []

    def work(hand: VirtualThread) -> None:
        hand.begin()
        try:
            with in_virtual_time(loop, hand):
                begun.set()
                while way == "computes":
                    pass
                for _ in range(3 if way == "hears nothing" else 0):
                    try:
                        time.sleep(1e9)
                    except BaseException as error:  # noqa: BLE001 - that is the point
                        caught.append(error)
                time.sleep(1e9)
        except ThreadCancelledError:
            ended.set()
        finally:
            hand.over()

    with virtual() as loop:
        hand = VirtualThread(loop, loop.threads)
        thread = threading.Thread(target=work, args=(hand,))
        thread.start()
        assert begun.wait(PATIENCE_S)
        loop.threads.cancel()
        thread.join(PATIENCE_S)
        assert ended.is_set()
        assert (loop.threads.working, loop.threads.alive) == (0, set())
    assert all(isinstance(error, ThreadCancelledError) for error in caught)


# -- requests that stay open ------------------------------------------------------------------------


def test_a_wait_and_a_stream_take_virtual_time() -> None:
    """A submit that waits, and a stream of events, last as long as the task on the loop's own clock."""

    async def work(loop: VirtualLoop) -> tuple[list[tuple[float, bytes]], float]:
        provider = kiln(PREFERS, EVENTS)
        wall = Wall(loop.time, lambda: START_S + loop.now_s)
        server = await Server.start(Settings(port=0, clock="real"), [provider], wall=wall)
        headers, url = provider.key.header_with(provider.key.example), server.base_url("kiln")
        body = {"glaze": "celadon", "wish": "A jug"}
        seen: list[tuple[float, bytes]] = []
        try:
            async with aiohttp.ClientSession(headers=headers) as http:
                async with http.post(f"{url}/pieces", json=body, headers={"Prefer": "wait=50"}) as answer:
                    ticket = (await answer.json())["ticket"]
                waited_s = loop.now_s
                async with http.get(f"{url}/pieces/{ticket}/course") as stream:
                    seen += [
                        (round(loop.now_s), line.strip())
                        async for line in stream.content
                        if line.startswith(b"event: ")
                    ]
        finally:
            await server.close()
        return seen, waited_s

    seen, waited_s = run(work)
    assert waited_s == pytest.approx(50, abs=0.1)
    assert [at_s for at_s, _ in seen] == [50, 75, 100, 110, 120]
    assert seen[-1][1] == b"event: glazed"
