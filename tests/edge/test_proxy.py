"""The server as its clients' proxy: CONNECT and absolute form for what is mocked, and what is refused."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator
from support.edge import LOOPS, request_bytes, run_on, serving
from support.proxy import REAL, asked, connected
from support.tables import for_each

from contracts.journal import of_records
from mockserver.spec.vocabulary import specs_directory

SCHEMA = Draft202012Validator(json.loads((specs_directory() / "journal.schema.json").read_text(encoding="utf-8")))


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


@for_each(
    "first",
    {
        "as older clients ask": "CONNECT {real}:443 HTTP/1.0\r\n\r\n",
        "without a port": "CONNECT {real} HTTP/1.1\r\nHost: {real}\r\n\r\n",
        "with an empty body": "CONNECT {real}:443 HTTP/1.1\r\nHost: {real}\r\nContent-Length: 0\r\n\r\n",
        "with a password for the proxy": (
            "CONNECT {real}:443 HTTP/1.1\r\nHost: {real}\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n"
        ),
        "in a tunnel": "CONNECT toapis.com:443 HTTP/1.0\r\n\r\nCONNECT {real}:443 HTTP/1.0\r\n\r\n",
    }.values(),
)
async def test_forms_of_connect(first: str) -> None:
    """Clients ask for a tunnel in several ways."""
    async with serving() as edge, edge.raw() as wire:
        for piece in first.format(real=REAL).split("\r\n\r\n")[:-1]:
            await wire.send(f"{piece}\r\n\r\n".encode())
            assert (await wire.head()).status == 200
        await wire.start_tls(edge.trust(), REAL)
        answer = await asked(wire, "GET", "/v1/credits", headers=edge.key_headers("evolink"), host=REAL)
        assert answer.status == 200
        assert edge.mock.server.most_connections == 1


async def test_tunnels_end_with_the_server() -> None:
    """A server that is closed cuts its tunnels, and waits for none."""
    async with serving() as edge:
        wire = await edge.raw().__aenter__()
        assert (await connected(wire, f"{REAL}:443")).status == 200
        await wire.start_tls(edge.trust(), REAL)
    assert await wire.closed() == b""
    await wire.__aexit__()


# -- what is refused ------------------------------------------------------------------------------

ELSEWHERE = [
    *("api.openai.com:443", "evolink.ai:443", f"{REAL}.example:443", "xn--bcher-kva.example:443"),
    *("127.0.0.1:1", "localhost:22", "169.254.169.254:80", "[::1]:22", "104.18.6.192:443", "2130706433:22"),
]


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
    "target", ["http://api.openai.com/v1/videos?a=b", "http://127.0.0.1:1/", "https://api.openai.com:80/", "ftp://x/"]
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


@for_each("target", ["http://api.evolink.ai/v1/credits", "https://api.openai.com/v1?a=b@c", "api.evolink.ai:443"])
async def test_a_user_in_a_target(target: str) -> None:
    """A target that names a user is refused, and nobody reads the password."""
    async with serving(passthrough=True) as edge, edge.raw() as wire:
        scheme, mark, rest = target.rpartition("://")
        answer = await asked(wire, "GET" if mark else "CONNECT", f"{scheme}{mark}user:secret@{rest}", host="x")
        assert answer.status == 400
        (record,) = edge.mock.runtime.journal.records()
        SCHEMA.validate(record)
        assert (record["gate"], record["error"]) == ("proxy", "bad_target")
        assert record["request"]["path"] == target.partition("?")[0]
        assert "secret" not in f"{record} {answer.body.decode()}"


@for_each("secure", [False, True])
async def test_another_host_in_a_tunnel(secure: bool) -> None:
    """What comes through a tunnel to a mocked host and is for another one is refused as that one's."""
    async with serving() as edge, edge.raw() as wire:
        assert (await connected(wire, f"{REAL}:443")).status == 200
        if secure:
            await wire.start_tls(edge.trust(), REAL)
        answer = await asked(wire, "GET", "/v1/models", host="api.openai.com")
        port = 443 if secure else 80
        assert (answer.status, answer.body.decode()) == (403, f"{answer.reason}\n")
        assert edge.mock.server.kept_from == ((f"api.openai.com:{port}", 1),)


async def test_refusals_are_counted() -> None:
    """Each host that a client was kept from stands once, with its number of requests, in the order of the first."""
    async with serving() as edge:
        for target in ("b.example:443", "a.example:443", "b.example:443"):
            async with edge.raw() as wire:
                assert (await asked(wire, "CONNECT", target, host=target)).status == 403
        assert edge.mock.server.kept_from == (("b.example:443", 2), ("a.example:443", 1))


@for_each("target", ["/", "a/b:443", "user@api.openai.com:443", ":443", "x:0", "x:0x1bb", "x:99999999"])
async def test_malformed_connect(target: str) -> None:
    """A CONNECT to what is no host and port is answered 400, and connects to nothing."""
    async with serving(passthrough=True) as edge, edge.raw() as wire:
        assert (await asked(wire, "CONNECT", target, host="x")).status == 400
