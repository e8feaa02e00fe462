"""Faults of the family `transport`: what goes wrong with an answer's bytes, and with the connection they come on."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import socket
import zlib
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from support.edge import LOOPS, PATIENCE_S, nothing_logged, run_on
from support.faults import (
    Seen,
    exchanges,
    faults_in,
    file_bytes,
    ledgers,
    links_of,
    look,
    put,
    query_bytes,
    shows,
    submit_bytes,
    submitted,
    timed,
    until,
    world,
)
from support.tables import for_each

from mockserver.chance import fraction

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from support.edge import Edge

WITHIN_HEADERS = 40


async def one_query(edge: Edge, **headers: str) -> Seen:
    """Submit a task and ask after it: the same bytes on every server."""
    task_id = await submitted(edge, "evolink")
    return await look(edge, query_bytes(edge, "evolink", task_id, headers=headers))


def calm_query() -> Seen:
    """Return what the query answers without a fault."""

    async def run() -> Seen:
        async with world() as edge:
            return await one_query(edge)

    return asyncio.run(run())


def struck_query(loop: str, fault: str, **given: Any) -> Seen:
    """Return what it answers with a fault in force for queries; see that the next one is as ever."""
    calm, seen = calm_query(), []

    async def run() -> None:
        async with world() as edge:
            await put(edge, fault, {"operation": "query"}, {"times": 1}, **given)
            seen.append(await one_query(edge))
            task_id = next(iter(edge.state("evolink").tasks))
            after = await look(edge, query_bytes(edge, "evolink", task_id))
            assert (after.status, after.body, after.ending) == (200, calm.body, "kept")
            assert faults_in(exchanges(edge)) == [[], [fault], []]
            await ledgers(edge)

    with nothing_logged():
        run_on(loop, run())
    return seen[0]


# -- resets and cuts ------------------------------------------------------------------------------


@shows("reset")
@for_each("loop", LOOPS)
@for_each("at", ["before_headers", "within_headers", "after_headers", "within_body"])
def test_reset(loop: str, at: str) -> None:
    """What has come before the reset is what would have come; then the socket fails with ECONNRESET."""
    calm = calm_query()
    head = len(calm.raw) - len(calm.body)
    lengths = {
        "before_headers": 0,
        "within_headers": WITHIN_HEADERS,
        "after_headers": head,
        "within_body": head + len(calm.body) // 2,
    }
    assert head > WITHIN_HEADERS > len("HTTP/1.1 200 OK\r\n")
    seen = struck_query(loop, "reset", at=at)
    assert seen == Seen(calm.raw[: lengths[at]], "reset")


@shows("reset")
async def test_reset_of_a_submit() -> None:
    """A submit whose answer is reset has been done: the task is there, its credits are reserved."""
    with nothing_logged():
        async with world() as edge:
            await put(edge, "reset", {"operation": "submit"})
            for _ in range(2):
                with pytest.raises(aiohttp.ClientOSError):
                    await edge.try_submit("evolink")
            assert len(edge.state("evolink").tasks) == 2
            (ledger,) = (await ledgers(edge)).values()
            assert [each["kind"] for each in ledger["ledger"]] == ["grant", "reserve", "reserve"]
            for record, task_id in zip(exchanges(edge), edge.state("evolink").tasks, strict=True):
                assert (record["task"], record["response"], record["faults"]) == (task_id, None, ["reset"])


@shows("lost_answer")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("ending", "seen"), [("reset", Seen(b"", "reset")), ("close", Seen(b"", "closed"))])
def test_lost_answer(loop: str, ending: str, seen: Seen) -> None:
    """The answer to a submit never comes, but the task exists, and its credits are reserved; queries are left alone."""

    async def run() -> None:
        async with world() as edge:
            await put(edge, "lost_answer", when={"times": 1}, ending=ending)
            assert await look(edge, submit_bytes(edge, "evolink")) == seen
            (task_id,) = edge.state("evolink").tasks
            (ledger,) = (await ledgers(edge)).values()
            assert ledger["account"]["reserved_credits"] > 0
            assert (await look(edge, query_bytes(edge, "evolink", task_id))).json["status"] == "pending"
            assert (await look(edge, submit_bytes(edge, "evolink"))).status == 200
            first, *others = exchanges(edge)
            assert (first["task"], first["response"], first["faults"]) == (task_id, None, ["lost_answer"])
            assert faults_in(others) == [[], []]

    with nothing_logged():
        run_on(loop, run())


@shows("lost_answer")
async def test_no_task_no_lost_answer() -> None:
    """A submit that is refused makes no task: its refusal comes, and the fault waits for one that does."""
    async with world() as edge:
        await put(edge, "lost_answer", when={"times": 1})
        refused = await look(edge, submit_bytes(edge, "evolink", model="another"))
        assert (refused.status, refused.ending) == (404, "kept")
        assert await look(edge, submit_bytes(edge, "evolink")) == Seen(b"", "reset")
        assert faults_in(exchanges(edge)) == [[], ["lost_answer"]]


@shows("truncated_body")
@for_each("loop", LOOPS)
@for_each("fraction_kept", [0, 0.25, 0.999])
def test_truncated_body(loop: str, fraction_kept: float) -> None:
    """The head tells the whole length, a part of the body follows, and the connection is closed."""
    calm = calm_query()
    kept = int(len(calm.body) * fraction_kept)
    seen = struck_query(loop, "truncated_body", keep_fraction=fraction_kept)
    assert seen == Seen(calm.raw[: len(calm.raw) - len(calm.body) + kept], "closed")
    assert int(seen.header("Content-Length") or 0) == len(calm.body) > kept


@shows("truncated_body")
async def test_truncated_part_of_a_file() -> None:
    """Of a part of a file that was asked for, a part comes: the head is that of the part, Range is understood."""
    async with world() as edge:
        task_id = await submitted(edge, "kiln")
        await edge.advance(130)
        request = file_bytes(links_of(edge, "kiln", task_id)[0], Range="bytes=1000-1999")
        calm = await look(edge, request)
        await put(edge, "truncated_body", {"operation": "result"}, {"times": 1})
        seen = await look(edge, request)
        assert (seen.status, seen.body, seen.ending) == (206, calm.body[:500], "closed")
        assert (seen.header("Content-Range"), seen.header("Content-Length")) == (
            calm.header("Content-Range"),
            "1000",
        )
        assert (await look(edge, request)).body == calm.body


# -- broken codings -------------------------------------------------------------------------------


@shows("broken_chunking")
@pytest.mark.parametrize("loop", LOOPS)
def test_broken_chunking(loop: str) -> None:
    """A good chunk comes, then a size that is no number; there is no length, and libraries fail to read it."""
    calm = calm_query()
    seen = struck_query(loop, "broken_chunking")
    half = calm.body[: len(calm.body) // 2]
    assert seen.body == b"%x\r\n%b\r\nnot-a-size\r\n" % (len(half), half)
    assert (seen.status, seen.ending) == (200, "closed")
    assert (seen.header("Transfer-Encoding"), seen.header("Content-Length")) == ("chunked", None)


@shows("broken_gzip")
@pytest.mark.parametrize("loop", LOOPS)
def test_broken_gzip(loop: str) -> None:
    """The body says that it is gzip and has its right length, and cannot be unpacked; the connection goes on."""
    seen = struck_query(loop, "broken_gzip")
    assert (seen.status, seen.ending) == (200, "kept")
    assert seen.header("Content-Encoding") == "gzip"
    assert seen.header("Content-Length") == str(len(seen.body))
    assert seen.body.startswith(b"\x1f\x8b")
    with pytest.raises((zlib.error, EOFError, gzip.BadGzipFile)):
        gzip.decompress(seen.body)


def library_reads(port: int, path: str, headers: dict[str, str]) -> bytes:
    """Read an answer with Python's own library."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().read()
    finally:
        connection.close()


@shows("broken_chunking", "broken_gzip", "truncated_body")
@pytest.mark.parametrize("fault", ["broken_chunking", "broken_gzip", "truncated_body"])
async def test_libraries_fail(fault: str) -> None:
    """Libraries tell that something is wrong: aiohttp while it reads, Python's own as it can."""
    async with world() as edge:
        task_id = await submitted(edge, "evolink")
        await put(edge, fault)
        with pytest.raises(aiohttp.ClientError):
            await edge.query("evolink", task_id)
        path, headers = edge.query_path("evolink", task_id), edge.key_headers("evolink")
        if fault == "broken_gzip":
            packed = await asyncio.to_thread(library_reads, edge.port, path, headers)
            with pytest.raises((zlib.error, EOFError, gzip.BadGzipFile)):
                gzip.decompress(packed)
        else:
            with pytest.raises(http.client.HTTPException):
                await asyncio.to_thread(library_reads, edge.port, path, headers)


@shows("broken_chunking", "broken_gzip", "truncated_body", "slow_body")
@pytest.mark.parametrize("fault", ["broken_chunking", "broken_gzip", "truncated_body", "slow_body"])
@pytest.mark.parametrize("what", ["head", "not modified"])
async def test_what_has_no_body_keeps_its_frame(fault: str, what: str) -> None:
    """An answer without a body (to HEAD, or 304) has none to break: it is as ever, and the connection goes on."""
    async with world() as edge:
        task_id = await submitted(edge, "kiln")
        await edge.advance(130)
        link = links_of(edge, "kiln", task_id)[0]
        etag = (await look(edge, file_bytes(link))).header("ETag")
        assert etag is not None
        request = file_bytes(link, "HEAD") if what == "head" else file_bytes(link, If_None_Match=etag)
        calm = await look(edge, request)
        made = await put(edge, fault, {"operation": "result"})
        seen = await look(edge, request)
        assert (seen.status, seen.body, seen.ending) == (200 if what == "head" else 304, b"", "kept")
        assert seen.head.split("X-Kiln-Trace")[0] == calm.head.split("X-Kiln-Trace")[0]
        assert seen.head.split("Date: ")[1] == calm.head.split("Date: ")[1]
        assert faults_in(exchanges(edge))[-1] == []
        await edge.admin("DELETE", f"/faults/{made['id']}")


# -- waiting --------------------------------------------------------------------------------------


@shows("held_open")
@pytest.mark.parametrize("loop", LOOPS)
def test_held_open(loop: str) -> None:
    """The request is done, nothing comes for the time, then the connection is closed; other answers pass by it."""

    async def run() -> None:
        async with world() as edge:
            made = await put(edge, "held_open", {"operation": "submit"}, {"times": 1}, seconds=0.05)
            order: list[str] = []

            async def held() -> None:
                seen, took_s = await timed(edge, submit_bytes(edge, "evolink"))
                order.append("held")
                assert seen == Seen(b"", "closed")
                assert took_s >= 0.05

            waiting = asyncio.create_task(held())
            await until(lambda: edge.state("evolink").tasks)
            assert (await look(edge, submit_bytes(edge, "evolink"))).status == 200
            order.append("passed")
            await waiting
            assert len(edge.state("evolink").tasks) == 2
            first, second = exchanges(edge)
            assert (first["response"], first["faults"], second["faults"]) == (None, ["held_open"], [])
            assert first["task"] == next(iter(edge.state("evolink").tasks))
            assert made["with"] == {"seconds": 0.05}
            await ledgers(edge)

    with nothing_logged():
        run_on(loop, run())


@shows("held_open")
async def test_held_open_ends_with_the_client() -> None:
    """A client that hangs up is not waited for: the server stops without the rest of the hour."""

    async def run() -> None:
        async with world() as edge:
            task_id = await submitted(edge, "evolink")
            await put(edge, "held_open", seconds=3600)
            wire = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", edge.port))
            wire.sendall(query_bytes(edge, "evolink", task_id))
            await until(lambda: len(exchanges(edge)) == 2)
            wire.close()

    with nothing_logged():
        await asyncio.wait_for(run(), PATIENCE_S)


@shows("latency")
@pytest.mark.parametrize("loop", LOOPS)
def test_latency(loop: str) -> None:
    """An answer comes so much later, and is the answer to the byte; what is not meant is not held up by it."""
    calm = calm_query()

    async def run() -> None:
        async with world() as edge:
            task_id = await submitted(edge, "evolink")
            await put(edge, "latency", {"operation": "query"}, seconds=0.05)
            order: list[str] = []

            async def asked(label: str, request: bytes) -> tuple[Seen, float]:
                out = await timed(edge, request)
                order.append(label)
                return out

            late = asyncio.create_task(asked("late", query_bytes(edge, "evolink", task_id)))
            await until(lambda: len(exchanges(edge)) == 2)
            seen, _ = await asked("at once", submit_bytes(edge, "evolink"))
            assert seen.status == 200
            seen, took_s = await late
            assert seen == calm
            assert took_s >= 0.05
            assert order == ["at once", "late"]
            assert faults_in(exchanges(edge)) == [[], ["latency"], []]

    run_on(loop, run())


@shows("latency")
async def test_latency_grows() -> None:
    """With growth alone the first answer does not wait, and each one waits longer than the one before."""
    async with world() as edge:
        task_id = await submitted(edge, "evolink")
        await put(edge, "latency", {"operation": "query"}, seconds=0, growth_s=0.02)
        for number in range(4):
            _, took_s = await timed(edge, query_bytes(edge, "evolink", task_id))
            assert took_s >= 0.02 * number
        assert faults_in(exchanges(edge)) == [[]] + [["latency"]] * 4


@shows("latency")
async def test_latency_is_drawn() -> None:
    """The spread is drawn from the seed, for each answer of an account's: it waits at least what was drawn."""
    async with world(seed=7) as edge:
        task_id = await submitted(edge, "evolink")
        made = await put(edge, "latency", {"operation": "query"}, seconds=0, spread_s=0.1)
        table = edge.mock.server.runtime.world.faults
        name, account = table.rules[made["id"]].chance_name, edge.mock.account("evolink").id
        waits = [0.1 * fraction(table.chance.draw(f"fault/{name}/{account}/{number}"), 1) for number in range(4)]
        assert len(set(waits)) == 4
        for wait_s in waits:
            _, took_s = await timed(edge, query_bytes(edge, "evolink", task_id))
            assert took_s >= wait_s


@shows("latency")
async def test_latency_by_header() -> None:
    """A header makes one answer late: the others on the same connection come at once, untouched."""
    async with world() as edge:
        task_id = await submitted(edge, "evolink")
        headers = {"X-Mock-Fault": "latency; seconds=0.05"}
        seen, took_s = await timed(edge, query_bytes(edge, "evolink", task_id, headers=headers))
        assert (seen.status, seen.ending) == (200, "kept")
        assert took_s >= 0.05
        await look(edge, query_bytes(edge, "evolink", task_id))
        assert faults_in(exchanges(edge)) == [[], ["latency"], []]


def first_piece(port: int, request: bytes) -> bytes:
    """Read the first that comes of an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as wire:
        wire.sendall(request)
        return wire.recv(65_536)


@shows("slow_body")
@pytest.mark.parametrize("loop", LOOPS)
def test_slow_body(loop: str) -> None:
    """The head comes at once, the body slowly, at the given speed; in the end all of it is there."""
    calm = calm_query()

    async def run() -> None:
        async with world() as edge:
            task_id = await submitted(edge, "evolink")
            await put(edge, "slow_body", {"operation": "query"}, bytes_per_s=2000)
            seen, took_s = await timed(edge, query_bytes(edge, "evolink", task_id))
            assert seen == calm
            assert took_s >= len(calm.body) / 2000 * 0.75
            await put(edge, "slow_body", {"operation": "query"}, bytes_per_s=1000)
            _, took_s = await timed(edge, query_bytes(edge, "evolink", task_id))
            assert took_s >= len(calm.body) / 1000 * 0.75
            assert faults_in(exchanges(edge)) == [[], ["slow_body"], ["slow_body"]]

    run_on(loop, run())


@shows("slow_body")
def test_slow_body_comes_in_pieces() -> None:
    """The head is not held up: when it has come, the body has not."""
    calm = calm_query()

    async def run() -> None:
        async with world() as edge:
            task_id = await submitted(edge, "evolink")
            await put(edge, "slow_body", {"operation": "query"}, bytes_per_s=1)
            first = await asyncio.to_thread(first_piece, edge.port, query_bytes(edge, "evolink", task_id))
            assert calm.raw.startswith(first)
            assert len(calm.raw) - len(calm.body) <= len(first) < len(calm.raw)

    asyncio.run(run())


# -- several at once ------------------------------------------------------------------------------

#: Faults in the order in which they are put in force, and what comes of them together.
TOGETHER: list[tuple[str, list[tuple[str, dict[str, Any]]], str, int | None]] = [
    ("the earlier cut counts", [("truncated_body", {}), ("reset", {"at": "after_headers"})], "reset", 0),
    ("in either order", [("reset", {"at": "within_body"}), ("truncated_body", {"keep_fraction": 0})], "reset", 0),
    ("a reset outweighs a close", [("reset", {"at": "within_body"}), ("held_open", {"seconds": 0.01})], "reset", None),
    ("a wait comes first", [("latency", {"seconds": 0.02}), ("truncated_body", {"keep_fraction": 0})], "closed", 0),
]


@shows("reset", "truncated_body", "held_open", "latency")
@pytest.mark.parametrize(
    ("faults", "ending", "body"), [each[1:] for each in TOGETHER], ids=[each[0] for each in TOGETHER]
)
async def test_together(faults: list[tuple[str, dict[str, Any]]], ending: str, body: int | None) -> None:
    """Several faults of one answer add up: the earliest cut counts, and the harshest ending; all are named."""
    async with world() as edge:
        for fault, given in faults:
            await put(edge, fault, {"operation": "query"}, **given)
        seen = await one_query(edge)
        assert seen.ending == ending
        assert len(seen.body) == (body or 0)
        assert bool(seen.raw) == (body is not None)
        assert faults_in(exchanges(edge))[-1] == [fault for fault, _ in faults]


@shows("no_range")
async def test_used_up_while_another_waited() -> None:
    """Two downloads at once meet a fault that may apply once: one of them does."""
    async with world() as edge:
        task_id = await submitted(edge, "kiln")
        await edge.advance(130)
        request = file_bytes(links_of(edge, "kiln", task_id)[0], Range="bytes=0-9")
        await put(edge, "no_range", when={"times": 1})
        many: list[Coroutine[Any, Any, Seen]] = [look(edge, request) for _ in range(6)]
        statuses = sorted(seen.status for seen in await asyncio.gather(*many))
        assert statuses == [200] + [206] * 5
        assert sorted(faults_in(exchanges(edge))[1:]) == [[]] * 5 + [["no_range"]]
