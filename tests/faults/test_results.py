"""Faults of the family `results`: links that do not lead to the file, and files that are not what they should be."""

from __future__ import annotations

import asyncio
import socket
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.edge import LOOPS, Edge, nothing_logged, request_bytes, run_on
from support.faults import (
    PUBLIC,
    Seen,
    exchanges,
    faults_in,
    file_bytes,
    ledgers,
    links_of,
    look,
    put,
    query_bytes,
    rule,
    shows,
    submitted,
    timed,
    world,
)
from support.tables import for_each

#: Each provider's links live so long after the end of the task, and end so.
EXPIRED = {
    "kiln": (60, 404),
    "evolink": (86_400, 404),
    "googlegeminiomni": (7 * 86_400, 403),
    "toapis": (86_400, 404),
    "crun": (86_400, 404),
}


async def finished(edge: Edge, name: str = "kiln", prompt: str = "A red kite") -> tuple[str, str]:
    """Lead a task to its end; return its id and the first link."""
    task_id = await submitted(edge, name, prompt)
    await edge.advance(130)
    return task_id, links_of(edge, name, task_id)[0]


def calm_file(**headers: str) -> Seen:
    """Return a download without faults, by the same requests."""

    async def run() -> Seen:
        async with world() as edge:
            _, link = await finished(edge)
            return await look(edge, file_bytes(link, **headers))

    return asyncio.run(run())


def without_trace(seen: Seen) -> list[str]:
    """Return the lines of a head, but for the id of the request."""
    return [line for line in seen.head.split("\r\n") if not line.startswith("X-Kiln-Trace")]


# -- links ----------------------------------------------------------------------------------------


@shows("expired_link")
@for_each("name", EXPIRED)
@for_each("way", ["rule", "header", "test value"])
async def test_expired_link(name: str, way: str) -> None:
    """A new link is answered as the provider's store answers when its time is over, byte for byte."""

    async def run(*, struck: bool) -> Seen:
        async with world() as edge:
            if struck and way == "rule":
                await put(edge, "expired_link", {"provider": name})
            words = "A red kite mock:expired" if way == "test value" else "A red kite"
            _, link = await finished(edge, name, words)
            if not struck:
                await edge.admin("DELETE", "/faults")
                await edge.advance(EXPIRED[name][0])
            asked = {"X_Mock_Fault": "expired_link"} if way == "header" and struck else {}
            seen = await look(edge, file_bytes(link, **asked))
            assert seen.status == EXPIRED[name][1] or not struck
            if struck:
                assert faults_in(exchanges(edge))[-1] == ["expired_link"]
                assert exchanges(edge)[-1]["task"] == next(iter(edge.state(name).tasks))
            await ledgers(edge)
            return seen

    struck, expired = await run(struck=True), await run(struck=False)
    assert (struck.status, struck.body, struck.ending) == (expired.status, expired.body, "kept")
    assert [line for line in struck.head.split("\r\n") if not line.startswith("Date")] == [
        line for line in expired.head.split("\r\n") if not line.startswith("Date")
    ]


@shows("expired_link")
def test_expired_link_for_a_while() -> None:
    """Once it is removed, the link leads to the file as if nothing had been."""
    calm = calm_file()

    async def run() -> None:
        async with world() as edge:
            _, link = await finished(edge)
            made = await put(edge, "expired_link", {"provider": "kiln"})
            assert (await look(edge, file_bytes(link))).status == 404
            await edge.admin("DELETE", f"/faults/{made['id']}")
            assert (await look(edge, file_bytes(link))).body == calm.body

    asyncio.run(run())


@shows("expires_midway")
@pytest.mark.parametrize("loop", LOOPS)
def test_expires_midway(loop: str) -> None:
    """Each link's first download breaks off in the middle; after that it has expired, and other links have not."""
    calm = calm_file()

    async def run() -> None:
        async with world() as edge:
            made = await put(edge, "expires_midway", {"provider": "kiln"}, keep_fraction=0.25)
            tasks = [await submitted(edge, "kiln") for _ in range(2)]
            await edge.advance(130)
            links = [link for task in tasks for link in links_of(edge, "kiln", task)]
            assert len(links) == 4
            for link in links:
                head = await look(edge, file_bytes(link, "HEAD"))
                assert (head.status, head.ending) == (200, "kept")
                first = await look(edge, file_bytes(link))
                assert (first.status, first.ending) == (200, "closed")
                assert first.body == calm.body[: len(calm.body) // 4]
                assert first.header("Content-Length") == str(len(calm.body))
                for again in (file_bytes(link), file_bytes(link, Range="bytes=10-"), file_bytes(link, "HEAD")):
                    seen = await look(edge, again)
                    assert (seen.status, seen.ending) == (404, "kept")
            assert (await rule(edge, made["id"]))["hits"] == 16
            assert [len(each) for each in faults_in(exchanges(edge))] == [0, 0, *[0, 1, 1, 1, 1] * 4]

    with nothing_logged():
        run_on(loop, run())


@shows("expires_midway")
async def test_expires_midway_waits_for_the_file() -> None:
    """A link that is followed before the task has ended has not been downloaded yet."""
    async with world() as edge:
        await put(edge, "expires_midway", {"provider": "kiln"})
        task_id = await submitted(edge, "kiln")
        link = links_of_later(edge, task_id)
        assert (await look(edge, file_bytes(link))).status == 404
        await edge.advance(130)
        assert [(await look(edge, file_bytes(link))).status for _ in range(2)] == [200, 404]


def links_of_later(edge: Edge, task_id: str) -> str:
    """Return what the first link to a piece's files will be."""
    return f"{PUBLIC}/kiln/shelf/{task_id}/0"


@shows("wrong_host")
@for_each("name", EXPIRED)
async def test_wrong_host(name: str) -> None:
    """The links in the answer name a host that cannot be found; but for that the answer is the same."""
    async with world() as edge:
        task_id, link = await finished(edge, name)
        before = (await look(edge, query_bytes(edge, name, task_id))).body
        await put(edge, "wrong_host", {"provider": name}, {"times": 1})
        seen = await look(edge, query_bytes(edge, name, task_id))
        assert (seen.status, seen.ending) == (200, "kept")
        wrong = link.replace(f"{PUBLIC}/{name}/", "https://cdn.invalid/")
        assert wrong.encode() in seen.body
        assert seen.body.replace(b"https://cdn.invalid/", f"{PUBLIC}/{name}/".encode()) == before != seen.body
        with pytest.raises(socket.gaierror):
            await asyncio.get_running_loop().getaddrinfo(urlsplit(wrong).hostname, 443)
        assert (await look(edge, query_bytes(edge, name, task_id))).body == before
        assert faults_in(exchanges(edge))[-3:] == [[], ["wrong_host"], []]


@shows("wrong_host")
@pytest.mark.parametrize("host", ["files.example:8443", 'a"b', "пример.invalid"])
async def test_any_wrong_host(host: str) -> None:
    """Whatever host is named, the list and the query stay JSON, with the host in every link."""
    async with world() as edge:
        task_id, _ = await finished(edge)
        await put(edge, "wrong_host", host=host)
        path, headers = edge.path_of("kiln", "list"), edge.key_headers("kiln")
        (piece,) = (await look(edge, request_bytes("GET", path, headers=headers))).json["pieces"]
        links = [f"https://{host}/shelf/{task_id}/{index}" for index in (0, 1)]
        assert piece["files"] == links
        assert (await look(edge, query_bytes(edge, "kiln", task_id))).json["files"] == links


# -- the file -------------------------------------------------------------------------------------


@shows("file_error")
@for_each("status", [403, 404, 410, 500, 503])
def test_file_error(status: int) -> None:
    """The store refuses the file, once; the next try gets it; queries are left alone."""
    calm = calm_file()

    async def run() -> None:
        async with world() as edge:
            task_id, link = await finished(edge)
            await put(edge, "file_error", when={"times": 1}, status=status)
            assert (await look(edge, query_bytes(edge, "kiln", task_id))).status == 200
            seen = await look(edge, file_bytes(link))
            assert (seen.status, seen.body, seen.ending) == (status, b"the store cannot serve this", "kept")
            assert seen.header("Content-Type") == "text/plain"
            assert (await look(edge, file_bytes(link))).body == calm.body
            assert faults_in(exchanges(edge))[-3:] == [[], ["file_error"], []]

    asyncio.run(run())


@shows("no_range")
@pytest.mark.parametrize("asked", [None, "bytes=0-99", "bytes=-1", "bytes=5000-"])
def test_no_range(asked: str | None) -> None:
    """Whatever part is asked for, all of the file comes with 200, and says that ranges are not served."""
    calm = calm_file()

    async def run() -> None:
        async with world() as edge:
            _, link = await finished(edge)
            await put(edge, "no_range")
            seen = await look(edge, file_bytes(link, **({} if asked is None else {"Range": asked})))
            assert (seen.status, seen.body, seen.ending) == (200, calm.body, "kept")
            assert (seen.header("Accept-Ranges"), seen.header("Content-Range")) == ("none", None)
            assert seen.header("Content-Length") == str(len(calm.body))
            assert faults_in(exchanges(edge))[-1] == ["no_range"]

    asyncio.run(run())


@shows("slow_file")
@pytest.mark.parametrize(("asked", "size"), [(None, None), ("bytes=0-4999", 5000)])
def test_slow_file(asked: str | None, size: int | None) -> None:
    """The file, or the part that is asked for, comes at the pace, and is what it is without the fault."""
    headers = {} if asked is None else {"Range": asked}
    calm = calm_file(**headers)

    async def run() -> None:
        async with world() as edge:
            _, link = await finished(edge)
            pace = len(calm.body) * 10
            await put(edge, "slow_file", bytes_per_s=pace)
            seen, took_s = await timed(edge, file_bytes(link, **headers))
            assert seen == calm
            assert size in (None, len(seen.body))
            assert took_s >= len(seen.body) / pace * 0.75
            assert faults_in(exchanges(edge))[-1] == ["slow_file"]
            assert (await look(edge, file_bytes(f"{link}0"))).status == 404
            assert faults_in(exchanges(edge))[-1] == []

    asyncio.run(run())


@shows("truncated_file")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("asked", [None, "bytes=10000-"])
def test_truncated_file(method: str, asked: str | None) -> None:
    """The file ends early and its length agrees, to HEAD as well; a part is not to be had, only all there is."""
    calm = calm_file()

    async def run() -> None:
        async with world() as edge:
            _, link = await finished(edge)
            await put(edge, "truncated_file", keep_fraction=0.3)
            kept = int(len(calm.body) * 0.3)
            headers = {} if asked is None else {"Range": asked}
            seen = await look(edge, file_bytes(link, method, **headers))
            assert (seen.status, seen.ending) == (200, "kept")
            assert seen.body == (calm.body[:kept] if method == "GET" else b"")
            assert (seen.header("Content-Length"), seen.header("Content-Range")) == (str(kept), None)
            assert seen.header("Content-Type") == "video/mp4"

    asyncio.run(run())


@shows("wrong_length")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("asked", [None, "bytes=0-99"])
def test_wrong_length(loop: str, asked: str | None) -> None:
    """The length that is told is more than comes: the bytes are right, the connection is closed after them."""
    headers = {} if asked is None else {"Range": asked}
    calm = calm_file(**headers)

    async def run() -> None:
        async with world() as edge:
            _, link = await finished(edge)
            await put(edge, "wrong_length", when={"times": 1}, more_bytes=7)
            seen = await look(edge, file_bytes(link, **headers))
            assert (seen.status, seen.body, seen.ending) == (calm.status, calm.body, "closed")
            told = [line for line in without_trace(seen) if not line.startswith("Content-Length")]
            assert told == [line for line in without_trace(calm) if not line.startswith("Content-Length")]
            assert seen.header("Content-Length") == str(len(calm.body) + 7)
            again = await look(edge, file_bytes(link, **headers))
            assert (again.body, without_trace(again), again.ending) == (calm.body, without_trace(calm), "kept")

    with nothing_logged():
        run_on(loop, run())


@shows("wrong_media_type")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_wrong_media_type(method: str) -> None:
    """The download is a page with status 200, of its right length and type, whatever part was asked for."""
    async with world() as edge:
        _, link = await finished(edge)
        await put(edge, "wrong_media_type")
        page = b"<html><body>Sign in to continue</body></html>"
        for headers in ({}, {"Range": "bytes=100-199"}):
            seen = await look(edge, file_bytes(link, method, **headers))
            assert (seen.status, seen.ending) == (200, "kept")
            assert seen.body == (page if method == "GET" else b"")
            assert seen.header("Content-Type") == "text/html"
            assert (seen.header("Content-Length"), seen.header("Content-Range")) == (str(len(page)), None)


#: Faults of files, and the requests that they have nothing to do with.
OF_FILES = ("expired_link", "expires_midway", "file_error", "no_range", "slow_file", "truncated_file", "wrong_length")


@for_each("fault", [*OF_FILES, "wrong_media_type"])
async def test_only_downloads(fault: str) -> None:
    """A fault of the store's affects no submit, no query and no balance, not even when a header asks for it there."""

    async def run(*, struck: bool) -> list[Seen]:
        async with world() as edge:
            if struck:
                await put(edge, fault)
            headers = {"X-Mock-Fault": fault} if struck else {}
            seen = []
            task_id = await submitted(edge, "evolink", headers=headers)
            for _ in range(2):
                seen.append(await look(edge, query_bytes(edge, "evolink", task_id, headers=headers)))
                path, key = edge.path_of("evolink", "balance"), edge.key_headers("evolink")
                seen.append(await look(edge, request_bytes("GET", path, headers={**key, **headers})))
                await edge.advance(100)
            assert faults_in(exchanges(edge)) == [[]] * 5
            return seen

    assert await run(struck=True) == await run(struck=False)


#: What is asked of a file, and what is answered to that.
CONDITIONS: dict[str, tuple[dict[str, str], int]] = {
    "whole": ({}, 200),
    "part": ({"Range": "bytes=100-199"}, 206),
    "tail": ({"Range": "bytes=-50"}, 206),
    "outside": ({"Range": "bytes=99999999-"}, 416),
    "not modified": ({"If_None_Match": "*"}, 304),
    "not matched": ({"If_Match": '"another"'}, 412),
    "old part": ({"Range": "bytes=0-9", "If_Range": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200),
}


@for_each(("headers", "status"), CONDITIONS.values())
@for_each("method", ["GET", "HEAD"])
async def test_a_late_file_is_the_same(method: str, headers: dict[str, str], status: int) -> None:
    """What only comes later is, byte for byte, what comes at once: ranges, conditions and validators included."""

    async def run(*, struck: bool) -> Seen:
        async with world() as edge:
            _, link = await finished(edge)
            if struck:
                await put(edge, "latency", seconds=0.001)
            return await look(edge, file_bytes(link, method, **headers))

    calm = await run(struck=False)
    assert calm.status == status or method == "HEAD"
    assert await run(struck=True) == calm
    date = calm.header("Date")
    assert date is not None
    assert parsedate_to_datetime(date).isoformat() == "2026-06-05T00:02:10+00:00"


async def test_two_links_of_one_task() -> None:
    """A fault for one task affects all of its files, and of no other task."""
    async with world() as edge:
        tasks = [await submitted(edge, "kiln") for _ in range(2)]
        await edge.advance(130)
        await put(edge, "file_error", {"task": tasks[0]})
        statuses: list[Any] = [
            [(await look(edge, file_bytes(link))).status for link in links_of(edge, "kiln", task)] for task in tasks
        ]
        assert statuses == [[403, 403], [200, 200]]
