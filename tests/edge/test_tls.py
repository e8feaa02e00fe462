"""TLS on the port of plain HTTP: told by the first byte, with a certificate for each name, on both event loops."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import ssl
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from support.edge import LOOPS, PATIENCE_S, Edge, nothing_logged, request_bytes, run_on, serving
from support.faults import until
from support.tables import for_each

from mockserver.edge import tls

if TYPE_CHECKING:
    from pathlib import Path

HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(197))
REAL = "api.evolink.ai"


def client_hello(name: str) -> tuple[ssl.SSLObject, ssl.MemoryBIO, bytes]:
    """Return a client's side, where it reads from, and its first bytes."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        side.do_handshake()
    return side, incoming, outgoing.read()


async def first_seen(edge: Edge) -> None:
    """Wait until the server has seen the first byte of TLS."""
    await until(lambda: bool(edge.mock.server._tls._working))


async def nothing_left(edge: Edge) -> None:
    """Wait until the server has no connection and no handshake."""
    await until(lambda: not edge.mock.server.connections and not edge.mock.server._tls._working)


async def credits_over_tls(edge: Edge, name: str, path: str = "/v1/credits") -> int:
    """Ask for the credits over TLS with the server of a name; return the status."""
    async with edge.raw() as wire:
        await wire.start_tls(edge.trust(), name)
        await wire.send(request_bytes("GET", path, headers=edge.key_headers("evolink"), host=name))
        answer = await wire.answer()
        assert answer is not None
        return answer.status


@for_each("loop", LOOPS)
def test_each_way_to_speak_tls(loop: str) -> None:
    """The address and the names of this machine, with the provider's prefix; the provider's name, with its paths."""

    async def main() -> None:
        async with serving() as edge:
            for name in ("127.0.0.1", "localhost"):
                assert await credits_over_tls(edge, name, "/evolink/v1/credits") == 200
            for name in (REAL, REAL.upper()):
                assert await credits_over_tls(edge, name) == 200
            assert await credits_over_tls(edge, "mock", "/evolink/v1/credits") == 200

    run_on(loop, main())


async def test_a_tunnel_without_a_name() -> None:
    """A client that names no host in TLS gets the certificate of the host that it has asked the proxy for."""
    async with serving() as edge, edge.raw() as wire:
        await wire.send(f"CONNECT {REAL}:443 HTTP/1.1\r\nHost: {REAL}\r\n\r\n".encode())
        assert (await wire.head()).status == 200
        trust = edge.trust()
        trust.check_hostname = False
        await wire.start_tls(trust, "")
        assert ("DNS", REAL) in wire.certificate()["subjectAltName"]


@for_each("loop", LOOPS)
def test_both_on_one_port(loop: str) -> None:
    """Plain HTTP and TLS take turns on the same port, many requests on each connection."""

    async def main() -> None:
        async with serving() as edge, edge.raw() as plain, edge.raw() as secure:
            await secure.start_tls(edge.trust(), REAL)
            for number in range(3):
                for wire, path in ((plain, "/evolink/v1/credits"), (secure, "/v1/credits")):
                    host = REAL if wire is secure else "127.0.0.1"
                    await wire.send(request_bytes("GET", path, headers=edge.key_headers("evolink"), host=host))
                    answer = await wire.answer()
                    assert answer is not None, number
                    assert answer.status == 200
            assert len(edge.mock.server._http.connections) == 2

    run_on(loop, main())


@for_each("loop", LOOPS)
@for_each("cut", [1, 2, 5, 6, 100])
def test_split_hello(loop: str, cut: int) -> None:
    """The first byte decides: what follows may come in a second piece, or byte by byte."""

    async def main() -> None:
        async with serving() as edge:
            reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
            side, incoming, hello = client_hello("localhost")
            writer.write(hello[:cut])
            await writer.drain()
            await first_seen(edge)
            writer.write(hello[cut:])
            async with asyncio.timeout(PATIENCE_S):
                incoming.write(await reader.read(65536))
            with pytest.raises(ssl.SSLCertVerificationError):  # the certificate has come
                side.do_handshake()
            writer.close()

    run_on(loop, main())


@for_each("loop", LOOPS)
def test_request_with_the_handshake(loop: str) -> None:
    """A request that comes in one piece with the end of the handshake is answered."""

    async def main() -> None:
        async with serving() as edge:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            side = edge.trust().wrap_bio(incoming, outgoing, server_hostname=REAL)
            reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        side.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        writer.write(outgoing.read())
                        incoming.write(await reader.read(65536))
                side.write(request_bytes("GET", "/v1/credits", headers=edge.key_headers("evolink"), host=REAL))
                writer.write(outgoing.read())  # the client's Finished and its request
                content = b""
                while b"\r\n\r\n" not in content:
                    incoming.write(await reader.read(65536))
                    with suppress(ssl.SSLWantReadError):
                        content += side.read(65536)
            assert content.startswith(b"HTTP/1.1 200 OK\r\n")
            writer.close()

    run_on(loop, main())


async def almost_connected(
    edge: Edge,
) -> tuple[ssl.SSLObject, ssl.MemoryBIO, asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a client's side, what it has to send to end its handshake, and its connection."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = edge.trust().wrap_bio(incoming, outgoing, server_hostname=REAL)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    with suppress(ssl.SSLWantReadError):
        side.do_handshake()
    writer.write(outgoing.read())
    incoming.write(await reader.read(65536))
    side.do_handshake()
    return side, outgoing, reader, writer


@for_each("loop", LOOPS)
@for_each("ends", ["farewell", "end", "cut"])
def test_leaving_with_the_handshake(loop: str, ends: str) -> None:
    """A client that leaves in one piece with the end of its handshake leaves nothing behind."""

    async def main() -> None:
        async with serving() as edge:
            side, outgoing, reader, writer = await almost_connected(edge)
            if ends == "farewell":
                with suppress(ssl.SSLWantReadError):
                    side.unwrap()
            writer.write(outgoing.read())
            if ends == "cut":
                await asyncio.sleep(0)
                writer.transport.abort()
            else:
                writer.write_eof()
                with suppress(ConnectionError):
                    await reader.read()
                writer.close()
            await nothing_left(edge)

    run_on(loop, main())


@for_each("loop", LOOPS)
@for_each(
    "sent",
    {
        "a broken hello": HELLO,
        "noise": b"\x16" + bytes(500),
        "HTTP behind the byte": b"\x16GET / HTTP/1.1\r\n\r\n",
        "an alert inside": b"\x16\x03\x01\x00\x02\x02\x28",
    }.values(),
)
def test_garbage_behind_the_first_byte(loop: str, sent: bytes) -> None:
    """What begins like TLS and is none is cut off, without a word in the log, and leaves nothing behind."""

    async def main() -> None:
        async with serving(request_timeout_s=0.2) as edge:
            with nothing_logged():
                reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
                writer.write(sent)
                writer.write_eof()
                async with asyncio.timeout(PATIENCE_S):
                    with suppress(ConnectionError):
                        await reader.read()
                writer.close()
            await nothing_left(edge)

    run_on(loop, main())


@for_each(("loop", "hello"), [("uvloop", b"\x16"), ("asyncio", HELLO[:60])])
def test_half_a_handshake(loop: str, hello: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that goes on no further is cut off after the time limit; others are served meanwhile."""

    async def main() -> None:
        async with serving() as edge:
            with nothing_logged():
                reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
                writer.write(hello)
                assert await credits_over_tls(edge, REAL) == 200
                async with asyncio.timeout(PATIENCE_S):
                    with suppress(ConnectionError):
                        assert await reader.read() == b""
                writer.close()
            await nothing_left(edge)

    with monkeypatch.context() as patch:
        patch.setattr(tls, "HANDSHAKE_S", 1.0)
        run_on(loop, main())


@for_each("loop", LOOPS)
def test_closing_during_a_handshake(loop: str) -> None:
    """A server that is closed does not wait for handshakes."""

    async def main() -> None:
        async with serving() as edge:
            reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
            writer.write(HELLO[:60])
            await first_seen(edge)
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()

    run_on(loop, main())


@for_each("loop", LOOPS)
def test_unknown_name(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    """TLS with a name that is not mocked is refused with the alert for it, told in one line, and counted."""

    async def main() -> None:
        caplog.clear()
        async with serving() as edge:
            with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
                await credits_over_tls(edge, "api.openai.com")
            assert edge.mock.server.kept_from == (("api.openai.com", 1),)
            await nothing_left(edge)
        assert [each.message for each in caplog.records if each.levelno >= logging.WARNING] == [
            "api.openai.com is not mocked: mockserver refuses it"
        ]

    run_on(loop, main())


def distrust(port: int) -> None:
    """Connect as a client that does not trust the CA, and says so before it hangs up."""
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", port)) as plain, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(plain, server_hostname=REAL)


@for_each("loop", LOOPS)
def test_distrust_is_told(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    """A client that does not trust the CA is the usual mistake: one line says what helps."""

    async def main() -> None:
        caplog.clear()
        async with serving() as edge:
            await asyncio.to_thread(distrust, edge.port)
            await nothing_left(edge)
            ca = edge.mock.server.authority.certificate
        (said,) = [each.message for each in caplog.records if each.name == "mockserver"]
        assert said.endswith(f"`mockserver ca` prints the file it needs: {ca}")

    run_on(loop, main())


async def test_no_ca_before_tls(tmp_path: Path) -> None:
    """Plain HTTP makes no CA: nothing is written before a client speaks TLS."""
    async with serving(ca_dir=str(tmp_path / "ca")) as edge:
        await edge.submit("evolink")
        assert not (tmp_path / "ca").exists()
        assert await credits_over_tls(edge, REAL) == 200
        assert (tmp_path / "ca" / "ca.pem").exists()


async def test_a_ca_that_cannot_be_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where no CA can be made, TLS fails with one line, and plain HTTP goes on."""
    (tmp_path / "file").touch()
    async with serving(ca_dir=str(tmp_path / "file")) as edge:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(client_hello(REAL)[2])
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        await edge.submit("evolink")
    (said,) = [each.message for each in caplog.records if each.name == "mockserver"]
    assert "--ca-dir" in said


async def download(edge: Edge, url: str, headers: dict[str, str]) -> bytes:
    """Return what is at a URL."""
    async with edge.http.get(url, ssl=edge.trust(), headers=headers) as answer:
        return await answer.read()


@for_each("loop", LOOPS)
def test_files_and_faults(loop: str) -> None:
    """A result file is downloaded over TLS, whole and in part; a fault that cuts an answer off does so as well."""

    async def main() -> None:
        async with serving() as edge:
            task_id = await edge.submit("evolink")
            await edge.mock.clock.advance(600)
            secure: dict[str, Any] = {"ssl": edge.trust(), "headers": edge.key_headers("evolink")}
            root = f"https://localhost:{edge.port}/evolink"
            async with edge.http.get(f"{root}/v1/tasks/{task_id}", **secure) as answer:
                (link,) = (await answer.json())["results"]
            assert link.startswith(f"{root}/files/")
            content = await download(edge, link, {})
            assert content[4:8] == b"ftyp"
            assert await download(edge, link, {"Range": "bytes=0-99"}) == content[:100]
            for fault in ("reset", "truncated_body"):
                headers = {**edge.key_headers("evolink"), "X-Mock-Fault": fault}
                with pytest.raises((aiohttp.ClientError, ConnectionError)):
                    await download(edge, f"{root}/v1/credits", headers)

    run_on(loop, main())


@for_each("loop", LOOPS)
def test_closing_with_open_connections(loop: str) -> None:
    """The control plane and the live page are served over TLS; closing the server leaves no connection, no task."""

    async def main() -> None:
        async with serving() as edge, AsyncExitStack() as stack:
            before = asyncio.all_tasks()
            for path in ("/__admin/health", "/__admin/ui", "/__admin/events"):
                wire = await stack.enter_async_context(edge.raw())
                await wire.start_tls(edge.trust(), "localhost")
                await wire.send(request_bytes("GET", path, host=f"localhost:{edge.port}"))
                assert (await wire.head()).status == 200
            with nothing_logged():
                await edge.mock.server.close()
            assert not edge.mock.server.connections
            assert asyncio.all_tasks() <= before

    run_on(loop, main())


@for_each("loop", LOOPS)
def test_closing_without_a_farewell(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not answer the end of TLS does not keep its connection open."""

    async def main() -> None:
        async with serving() as edge:
            _, outgoing, reader, writer = await almost_connected(edge)
            writer.write(outgoing.read())
            await until(lambda: not edge.mock.server._tls._working)
            await edge.mock.server.close()
            async with asyncio.timeout(PATIENCE_S):
                with suppress(ConnectionError):
                    await reader.read()
            writer.close()

    monkeypatch.setattr(tls, "_GOODBYE_S", 10 * PATIENCE_S)
    run_on(loop, main())


CURL = shutil.which("curl")


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
@for_each(
    "way",
    {
        "address": ["https://127.0.0.1:{port}/evolink/v1/credits"],
        "resolve": ["--resolve", f"{REAL}:{{port}}:127.0.0.1", f"https://{REAL}:{{port}}/v1/credits"],
        "connect-to": ["--connect-to", f"{REAL}:443:127.0.0.1:{{port}}", f"https://{REAL}/v1/credits"],
        "proxy": ["--proxy", "http://127.0.0.1:{port}", f"https://{REAL}/v1/credits"],
        "proxy, plain": ["--proxy", "http://127.0.0.1:{port}", f"http://{REAL}/v1/credits"],
        "tls to the proxy": [
            "--proxy",
            "https://127.0.0.1:{port}",
            "--proxy-cacert",
            "{ca}",
            f"https://{REAL}/v1/credits",
        ],
    }.values(),
)
async def test_curl(way: list[str]) -> None:
    """curl, as it is, by address, by the provider's name, and through the proxy."""
    async with serving() as edge:
        ca = str(edge.mock.server.authority.certificate)
        flags = [each.format(port=edge.port, ca=ca) for each in way]
        ((header, value),) = edge.key_headers("evolink").items()
        assert CURL is not None
        process = await asyncio.create_subprocess_exec(
            *(
                CURL,
                "-q",
                "--silent",
                "--show-error",
                "--noproxy",
                "",
                "--cacert",
                ca,
                "--header",
                f"{header}: {value}",
            ),
            *flags,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, said = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert (process.returncode, said) == (0, b"")
        assert b"remaining_credits" in out
