"""The server as its clients' proxy: CONNECT and absolute form, what is refused, and what is let through."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from jsonschema import Draft202012Validator
from support.edge import LOOPS, PATIENCE_S, Answer, Wire, request_bytes, run_on, serving
from support.faults import until
from support.tables import for_each

from contracts.journal import of_records
from mockserver.edge import resolver
from mockserver.spec.vocabulary import specs_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SCHEMA = Draft202012Validator(json.loads((specs_directory() / "journal.schema.json").read_text(encoding="utf-8")))
REAL = "api.evolink.ai"


async def asked(wire: Wire, method: str, target: str, **how: Any) -> Answer:
    """Send a request; return the response, which has to come."""
    await wire.send(request_bytes(method, target, **how))
    answer = await wire.answer(method)
    assert answer is not None
    return answer


async def connected(wire: Wire, target: str) -> Answer:
    """Ask for a tunnel."""
    await wire.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    return await wire.head()


# -- tunnels to what is mocked --------------------------------------------------------------------


@for_each("loop", LOOPS)
@for_each("target", [f"{REAL}:443", f"{REAL.upper()}:443", f"{REAL}.:443", f"{REAL}:8443"])
def test_tunnel_to_a_mocked_host(loop: str, target: str) -> None:
    """What comes through a tunnel to a provider's host is answered by the mock, with TLS for that name."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            assert (await connected(wire, target)).status == 200
            await wire.start_tls(edge.trust(), REAL)
            for _ in range(2):
                host = target.rstrip(".").removesuffix(":443")
                answer = await asked(wire, "GET", "/v1/credits", headers=edge.key_headers("evolink"), host=host)
                assert answer.status == 200
            assert edge.mock.server.kept_from == ()
            assert edge.mock.journal.count(provider="evolink") == 2

    run_on(loop, main())


@for_each("loop", LOOPS)
def test_plain_tunnel(loop: str) -> None:
    """A tunnel may carry plain HTTP as well, also in one piece with the CONNECT, and more than one request."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            request = request_bytes("GET", "/v1/credits", headers=edge.key_headers("evolink"), host=REAL)
            await wire.send(f"CONNECT {REAL}:80 HTTP/1.1\r\nHost: {REAL}:80\r\n\r\n".encode() + request)
            assert (await wire.head()).status == 200
            for _ in range(3):
                answer = await wire.answer()
                assert answer is not None
                assert answer.status == 200
                await wire.send(request)

    run_on(loop, main())


@for_each("loop", LOOPS)
def test_tunnel_to_this_server(loop: str) -> None:
    """A client that knows no exception for loopback reaches the mock by its address as well."""

    async def main() -> None:
        async with serving() as edge:
            for name in ("127.0.0.1", "localhost"):
                async with edge.raw() as wire:
                    assert (await connected(wire, f"{name}:{edge.port}")).status == 200
                    await wire.start_tls(edge.trust(), name)
                    headers = edge.key_headers("evolink")
                    assert (await asked(wire, "GET", "/evolink/v1/credits", headers=headers)).status == 200

    run_on(loop, main())


async def test_tunnels_end_with_the_server() -> None:
    """A server that is closed cuts its tunnels, and waits for none."""
    async with serving() as edge:
        wire = await edge.raw().__aenter__()
        assert (await connected(wire, f"{REAL}:443")).status == 200
        await wire.start_tls(edge.trust(), REAL)
    assert await wire.closed() == b""
    await wire.__aexit__()


# -- what is refused ------------------------------------------------------------------------------

ELSEWHERE = ["api.openai.com:443", "127.0.0.1:1", "localhost:22", "169.254.169.254:80", "[::1]:22", "evolink.ai:443"]


@for_each("loop", LOOPS)
@for_each("target", ELSEWHERE)
def test_tunnel_elsewhere(loop: str, target: str) -> None:
    """Any other host, and any other port of this machine, is refused in one line: phrase, body and journal."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as wire:
            answer = await asked(wire, "CONNECT", target, host=target)
            host = target.rpartition(":")[0].strip("[]") if target.startswith("[") else target.rpartition(":")[0]
            assert (answer.status, answer.header("Connection")) == (403, "close")
            line = answer.body.decode()
            assert line == f"{answer.reason}\n"
            assert line.startswith(f"{target} is not mocked: mockserver refuses it (--allow-host ")
            assert host in line
            assert await wire.closed() == b""
            (record,) = edge.mock.runtime.journal.records()
            SCHEMA.validate(record)
            of_records([record], edge.mock.server.providers)
            assert (record["gate"], record["error"], record["provider"]) == ("proxy", "host_not_mocked", None)
            assert (record["request"]["method"], record["request"]["path"]) == ("CONNECT", target)
            assert record["response"]["body"] == line
            assert edge.mock.server.kept_from == ((target, 1),)

    run_on(loop, main())


@for_each(
    "target", ["http://api.openai.com/v1/videos?a=b", "http://127.0.0.1:1/", "http://user@api.evolink.ai/", "ftp://x/"]
)
async def test_absolute_form_elsewhere(target: str) -> None:
    """A request in absolute form for any other host is refused the same way."""
    async with serving() as edge, edge.raw() as wire:
        answer = await asked(wire, "POST", target, body=b"secret", host="x")
        assert answer.status == 403
        assert answer.body.decode() == f"{answer.reason}\n"
        (record,) = edge.mock.runtime.journal.records()
        SCHEMA.validate(record)
        assert (record["gate"], record["error"]) == ("proxy", "host_not_mocked")
        assert record["request"]["path"] == target.partition("?")[0]
        assert len(edge.mock.server.kept_from) == 1


async def test_refusals_are_counted() -> None:
    """Each host that a client was kept from stands once, with its number of requests, in the order of the first."""
    async with serving() as edge:
        for target in ("b.example:443", "a.example:443", "b.example:443"):
            async with edge.raw() as wire:
                assert (await asked(wire, "CONNECT", target, host=target)).status == 403
        assert edge.mock.server.kept_from == (("b.example:443", 2), ("a.example:443", 1))


@for_each("target", ["/", "a/b:443", "user@api.openai.com:443", ":443", "x:0x1bb", "x:99999999"])
async def test_malformed_connect(target: str) -> None:
    """A CONNECT to what is no host and port is answered 400, and connects to nothing."""
    async with serving(passthrough=True) as edge, edge.raw() as wire:
        assert (await asked(wire, "CONNECT", target, host="x")).status == 400


# -- what is let through --------------------------------------------------------------------------


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[int]:
    """Listen on a port of this machine that is not the mock's."""

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(whole, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read to the end, then send all of it back in capitals."""
    writer.write((await reader.read()).upper())
    await writer.drain()


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
    }.values(),
)
async def test_what_is_allowed(allowed: list[str], target: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with or without its port, or all names below one; 502 where what is allowed cannot be reached."""

    async def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown name")

    async with serving(allow_host=allowed) as edge, edge.raw() as wire:
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
                assert answer.status == 502
                assert "no public address" in answer.body.decode()


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
                got = await asked(wire, "POST", target, headers=headers, body=body, host=f"127.0.0.1:{port}")
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
    [["https://a.example"], ["a.example/path"], [""], ["*"], ["a b"], ["a.example:0"], "a.example"],
)
async def test_allow_host_is_checked(wrong: Any) -> None:
    """An entry that is no NAME, NAME:PORT or *.NAME is refused when the server starts."""
    with pytest.raises(ValueError, match="allow_host must be"):
        async with serving(allow_host=wrong):
            pass
