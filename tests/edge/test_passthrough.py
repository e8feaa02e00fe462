"""What the proxy lets through: hosts that are allowed by name, and public ones."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.edge import LOOPS, PATIENCE_S, nothing_logged, request_bytes, run_on, serving
from support.faults import until
from support.proxy import REAL, asked, connected, listening, shout
from support.tables import for_each

from mockserver.edge import resolver


@for_each("loop", LOOPS)
def test_tunnel_that_is_allowed(loop: str) -> None:
    """`--allow-host` lets through, both ways; when one side has sent everything, the other may still answer."""

    async def main() -> None:
        async with listening(shout) as port, serving(allow_host=[f"127.0.0.1:{port}"]) as edge:
            async with edge.raw() as wire:
                await wire.send(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\nearly ".encode())
                assert (await wire.head()).status == 200
                await wire.send(b"and late", bytes(2_000_000))
                wire.end()
                content = await wire.closed()
                assert content.rstrip(b"\0") == b"EARLY AND LATE"
                assert len(content) == 14 + 2_000_000
            await until(lambda: not edge.mock.server._proxy._relays)
            assert edge.mock.server.kept_from == ()

    run_on(loop, main())


@for_each("loop", LOOPS)
def test_the_far_side_ends_first(loop: str) -> None:
    """A server that has said everything may still be told something."""

    async def main() -> None:
        heard: list[bytes] = []

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.write_eof()
            heard.append(await reader.read())

        async with listening(greet) as port, serving(allow_host=["127.0.0.1"]) as edge, edge.raw() as wire:
            assert (await connected(wire, f"127.0.0.1:{port}")).status == 200
            assert await wire.closed() == b"hello"
            await wire.send(b"bye")
            wire.end()
            await until(lambda: heard)
            assert heard == [b"bye"]
            await until(lambda: not edge.mock.server._proxy._relays)

    run_on(loop, main())


@for_each("loop", LOOPS)
def test_a_tunnel_that_is_cut(loop: str) -> None:
    """When one side goes, the other is cut off; so are both when the server is closed."""

    async def main() -> None:
        ends: list[bytes] = []

        async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            try:
                ends.append(await reader.read())
            except ConnectionError:
                ends.append(b"cut")

        async with listening(listen) as port:
            async with serving(allow_host=["127.0.0.1"]) as edge:
                async with edge.raw() as wire:
                    assert (await connected(wire, f"127.0.0.1:{port}")).status == 200
                await until(lambda: ends)
                wire = await edge.raw().__aenter__()
                assert (await connected(wire, f"127.0.0.1:{port}")).status == 200
            await wire.closed()
            await wire.__aexit__()
            await until(lambda: len(ends) == 2)

    run_on(loop, main())


@for_each(
    ("allowed", "target", "status"),
    {
        "by name": (["a.example"], "a.example:443", 502),
        "on another port": (["a.example:80"], "a.example:443", 403),
        "below a name": (["*.example"], "b.a.example:443", 502),
        "not the name itself": (["*.example"], "example:443", 403),
        "a name that merely ends so": (["*.a.example"], "bad-a.example:443", 403),
        "in capitals": (["A.example"], "a.EXAMPLE:443", 502),
        "an IPv6 address": (["[::1]:9"], "[::1]:9", 502),
        "a local name, at the mock's own port": (["*.internal"], "a.internal:{port}", 502),
    }.values(),
)
async def test_what_is_allowed(allowed: list[str], target: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with or without its port, or all names below one; 502 where what is allowed cannot be reached."""

    async def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown name")

    async with serving(allow_host=allowed) as edge, edge.raw() as wire:
        target = target.format(port=edge.port)
        with monkeypatch.context() as patch:
            patch.setattr(resolver.CheckingResolver, "resolve", unknown)
            answer = await asked(wire, "CONNECT", target, host="x")
        assert answer.status == status
        if status == 502:
            assert answer.body.decode().startswith(f"mockserver cannot connect to {target.lower()}: unknown name")


async def test_a_mocked_host_is_never_passed_on() -> None:
    """A provider's host is answered by the mock even where it is allowed."""
    async with serving(passthrough=True, allow_host=[REAL, "*.evolink.ai"]) as edge, edge.raw() as wire:
        answer = await asked(wire, "GET", f"http://{REAL}/v1/credits", headers=edge.key_headers("evolink"))
        assert answer.status == 200
        assert edge.mock.journal.count(provider="evolink") == 1


@for_each("target", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "0.0.0.0:{port}", "2130706433:{port}"])
async def test_passthrough_keeps_from_internal_addresses(target: str) -> None:
    """`--passthrough` is for public hosts: what only this machine can reach is refused, unless named."""
    async with listening(shout) as port, serving(passthrough=True) as edge:
        target = target.format(port=port)
        for method, form in (("CONNECT", target), ("GET", f"http://{target}/")):
            async with edge.raw() as wire:
                answer = await asked(wire, method, form, host="x")
                assert (answer.status, answer.body.decode()) == (403, f"{answer.reason}\n")
                assert answer.reason.startswith(f"{target} has no public address: mockserver refuses it (--allow-host")
        assert edge.mock.server.kept_from == ((target, 2),)


async def test_passthrough_lets_public_hosts_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--passthrough` lets any name through that has a public address."""
    dialled: list[Any] = []

    async def resolved(_self: object, host: str, *_: Any) -> list[dict[str, Any]]:
        return [{"host": "203.0.114.5", "hostname": host}]

    async with listening(shout) as port, serving(passthrough=True) as edge, edge.raw() as wire:
        loop = asyncio.get_running_loop()
        connect = loop.create_connection

        async def local(factory: Any, host: str, port_: int, **how: Any) -> Any:
            dialled.append((host, port_))
            return await connect(factory, "127.0.0.1", port, **how)

        monkeypatch.setattr(resolver.CheckingResolver, "resolve", resolved)
        monkeypatch.setattr(loop, "create_connection", local)
        assert (await connected(wire, "api.openai.com:443")).status == 200
        await wire.send(b"abc")
        wire.end()
        assert await wire.closed() == b"ABC"
    assert dialled == [("203.0.114.5", 443)]


async def test_absolute_form_that_is_allowed() -> None:
    """A plain request for an allowed host is passed on, and its response back: method, headers, body, status."""
    seen: list[web.BaseRequest] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        body = await request.read()
        return web.Response(status=418, body=body[::-1], headers={"X-Mine": "1", "Location": "/there"})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with serving(allow_host=[f"127.0.0.1:{port}"]) as edge, edge.raw() as wire:
            for body in (b"", b"abc", bytes(1_000_000)):
                headers = {"X-Theirs": "2", "Connection": "X-Hop", "X-Hop": "3", "Proxy-Authorization": "Basic secret"}
                target = f"http://127.0.0.1:{port}/p%2Fq?a=b%20c"
                got = await asked(wire, "POST", target, headers=headers, body=body, host=REAL)
                assert (got.status, got.header("X-Mine"), got.header("Location")) == (418, "1", "/there")
                assert got.body == body[::-1]
            for request in seen:
                assert (request.method, request.raw_path) == ("POST", "/p%2Fq?a=b%20c")
                assert request.headers["Host"] == f"127.0.0.1:{port}"
                assert request.headers["X-Theirs"] == "2"
                assert not {"X-Hop", "Proxy-Authorization"} & {*request.headers}
            await site.stop()
            await runner.cleanup()
            got = await asked(wire, "GET", f"http://127.0.0.1:{port}/", host="x")
            assert got.status == 502
    finally:
        await runner.cleanup()


@for_each("framing", ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"])
async def test_an_answer_that_is_cut(framing: str) -> None:
    """A response in absolute form that is cut off is cut off for the client as well: nothing is put in its place."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\n{framing}".encode())
        await writer.drain()

    async with listening(cut) as port, serving(allow_host=["127.0.0.1"]) as edge, edge.raw() as wire:
        await wire.send(request_bytes("GET", f"http://127.0.0.1:{port}/", host="x"))
        assert (await wire.head()).status == 200
        assert (await wire.closed()).rstrip(b"\r\n").endswith(b"half")
        assert [*edge.mock.runtime.journal.records()] == []


async def test_a_client_that_waits_to_go_on() -> None:
    """A client that asks whether to send its body is told to."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"expect" not in head.lower()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + await reader.readexactly(3))

    async with listening(answer) as port, serving(allow_host=["127.0.0.1"]) as edge, edge.raw() as wire:
        head = f"PUT http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        await wire.send(head.encode())
        assert (await wire.head()).status == 100
        await wire.send(b"abc")
        answered = await wire.answer()
        assert answered is not None
        assert (answered.status, answered.body) == (200, b"abc")


@for_each("loop", LOOPS)
@for_each("who", ["client", "server"])
def test_who_leaves_while_a_host_is_dialled(loop: str, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunnel whose client has gone, or whose server is being closed, before it is there leaves no connection."""

    async def main() -> None:
        asked_for, may_go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        resolve = resolver.CheckingResolver.resolve

        async def slow(*whom: Any) -> Any:
            asked_for.set()
            await may_go_on.wait()
            return await resolve(*whom)

        async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                await reader.read()
            ended.set()

        with monkeypatch.context() as patch:
            patch.setattr(resolver.CheckingResolver, "resolve", slow)
            async with listening(listen) as port, serving(allow_host=["127.0.0.1"]) as edge:
                async with edge.raw() as wire:
                    await wire.send(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    await asked_for.wait()
                    if who == "server":
                        closing = asyncio.create_task(edge.mock.server.close())
                        await until(lambda: edge.mock.server._proxy._closing)
                        may_go_on.set()
                        await closing
                may_go_on.set()
                async with asyncio.timeout(PATIENCE_S):
                    await ended.wait()
                await until(lambda: not edge.mock.server._proxy._relays)

    run_on(loop, main())


@for_each("loop", LOOPS)
def test_tls_to_the_proxy(loop: str) -> None:
    """A tunnel through a proxy that is spoken TLS to ends in both directions at once, without a word in the log."""

    async def main() -> None:
        async with listening(shout) as port, serving(allow_host=["127.0.0.1"]) as edge:
            with nothing_logged():
                async with edge.raw() as wire:
                    await wire.start_tls(edge.trust(), "localhost")
                    assert (await connected(wire, f"127.0.0.1:{port}")).status == 200
                    await wire.send(b"abc")
                await until(lambda: not edge.mock.server._proxy._relays)

    run_on(loop, main())


@for_each("how", ["http", "https"])
async def test_aiohttp_as_a_client(how: str) -> None:
    """A client library that is told of the proxy needs no other change: hard-coded hosts, TLS, pooled connections."""
    async with serving() as edge:
        task_id = await edge.submit("evolink")
        await edge.mock.clock.advance(600)
        through: dict[str, Any] = {"proxy": edge.root, "ssl": edge.trust() if how == "https" else False}
        url = f"{how}://{REAL}/v1/tasks/{task_id}"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as http:
            async with http.get(url, headers=edge.key_headers("evolink"), **through) as answer:
                (link,) = (await answer.json())["results"]
            assert link.startswith(f"{how}://{REAL}/files/")
            async with http.get(link, **through) as answer:
                assert answer.content_type == "video/mp4"
                await answer.read()


@for_each(
    "wrong",
    [
        ["https://a.example"],
        ["a.example/path"],
        [""],
        ["*"],
        ["a b"],
        ["a.example:0"],
        ["a.example:65536"],
        ["ü.example"],
        "a.example",
    ],
)
async def test_allow_host_is_checked(wrong: Any) -> None:
    """An entry that is no NAME, NAME:PORT or *.NAME is refused when the server starts."""
    with pytest.raises(ValueError, match="allow_host must be"):
        async with serving(allow_host=wrong):
            pass
