"""Links follow how the client came: by the provider's name, by another name of this server, through a proxy."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from support.edge import Answer, Edge, example, receiving, request_bytes, serving
from support.tables import for_each

from mockserver.edge.addressing import Addresses
from mockserver.engine.messages import REAL_HOST

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

STORE = "r2.googlegeminiomni.com"
SITE = "googlegeminiomni.com"


class Way(NamedTuple):
    """How a client comes: Host, TLS, tunnel, the target, and what its links begin with."""

    host: str
    links: str
    secure: bool = False
    tunnel: bool = False
    absolute: str = ""
    settings: Mapping[str, Any] = MappingProxyType({})
    headers: Mapping[str, str] = MappingProxyType({})
    #: Where the provider's paths begin in the request.
    under: str = "/evolink"


OURS = "http://127.0.0.1:{port}/evolink"
TRUSTING = {"trust_forwarded": True}
FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "mock.example.com"}
WAYS = {
    # as configured
    "address": Way("127.0.0.1:{port}", OURS),
    "localhost": Way("localhost:{port}", OURS),
    "no port": Way("localhost", OURS),
    "no Host that could be ours": Way("evil.example", OURS),
    "no Host at all": Way("", OURS),
    "malformed": Way("mock:4010/x", OURS),
    "markup": Way("<script>", OURS),
    "real name, plain and direct": Way("api.evolink.ai", OURS, under=""),
    # another name of this server
    "container": Way("mock:4010", "http://mock:4010/evolink"),
    "container, no port": Way("mock", "http://mock/evolink"),
    "capitals": Way("MOCK:4010", "http://mock:4010/evolink"),
    "port of the outside": Way("localhost:8080", "http://localhost:8080/evolink"),
    "address of the network": Way("192.168.1.5:4010", "http://192.168.1.5:4010/evolink"),
    "IPv6": Way("[fd00::5]:4010", "http://[fd00::5]:4010/evolink"),
    "the host of a container": Way("host.docker.internal:4010", "http://host.docker.internal:4010/evolink"),
    "a service of a cluster": Way("mock.svc.cluster.local", "http://mock.svc.cluster.local/evolink"),
    # TLS
    "tls, address": Way("127.0.0.1:{port}", "https://127.0.0.1:{port}/evolink", secure=True),
    "tls, container": Way("mock:4010", "https://mock:4010/evolink", secure=True),
    "tls, real name": Way("api.evolink.ai", "https://api.evolink.ai", secure=True, under=""),
    "tls, real name, 443": Way("api.evolink.ai:443", "https://api.evolink.ai", secure=True, under=""),
    "tls, real name, our port": Way("api.evolink.ai:4010", "https://api.evolink.ai:4010", secure=True, under=""),
    # proxy
    "tunnel": Way("api.evolink.ai", "https://api.evolink.ai", secure=True, tunnel=True, under=""),
    "tunnel, plain": Way("api.evolink.ai", "http://api.evolink.ai", tunnel=True, under=""),
    "absolute form": Way("x", "http://api.evolink.ai", absolute="http://api.evolink.ai", under=""),
    "absolute form, https": Way("x", "https://api.evolink.ai", absolute="https://api.evolink.ai", under=""),
    "absolute form, ours": Way("x", OURS, absolute="http://127.0.0.1:{port}"),
    "absolute form, container": Way("x", "http://mock:{port}/evolink", absolute="http://mock:{port}"),
    # --only
    "only": Way("127.0.0.1:{port}", "http://127.0.0.1:{port}", settings={"only": "evolink"}, under=""),
    "only, container": Way("mock:4010", "http://mock:4010", settings={"only": "evolink"}, under=""),
    # --public-url
    "public": Way("127.0.0.1:{port}", "https://mock.example/evolink", settings={"public_url": "https://mock.example/"}),
    "public, container": Way(
        "mock:4010", "https://m.example/a/evolink", settings={"public_url": "https://m.example/a"}
    ),
    "public, real name": Way(
        *("api.evolink.ai", "https://api.evolink.ai"),
        secure=True,
        settings={"public_url": "https://mock.example"},
        under="",
    ),
    "public is a real name": Way(
        *("api.evolink.ai", "https://api.evolink.ai/evolink"),
        secure=True,
        settings={"public_url": "https://api.evolink.ai"},
    ),
    "public is a real name, its own paths": Way(
        *("api.evolink.ai", "https://api.evolink.ai"),
        secure=True,
        settings={"public_url": "https://api.evolink.ai"},
        under="",
    ),
    # a proxy in front
    "forwarded, not trusted": Way("127.0.0.1:{port}", OURS, headers=FORWARDED),
    "forwarded": Way("127.0.0.1:{port}", "https://mock.example.com/evolink", settings=TRUSTING, headers=FORWARDED),
    "forwarded, real name": Way(
        *("127.0.0.1:{port}", "https://api.evolink.ai"),
        settings=TRUSTING,
        headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.evolink.ai"},
        under="",
    ),
    "forwarded, several": Way(
        *("127.0.0.1:{port}", "https://first.example/evolink"),
        settings=TRUSTING,
        headers={"X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "first.example, second.example"},
    ),
    "forwarded, scheme only": Way(
        *("mock.example:4010", "https://mock.example:4010/evolink"),
        settings=TRUSTING,
        headers={"X-Forwarded-Proto": "https"},
    ),
    "forwarded, real name, plain": Way(
        *("127.0.0.1:{port}", "http://api.evolink.ai"),
        settings=TRUSTING,
        headers={"X-Forwarded-Host": "api.evolink.ai"},
        under="",
    ),
    "forwarded, IPv6, in capitals": Way(
        *("127.0.0.1:{port}", "https://[2001:db8::1]:8443/evolink"),
        settings=TRUSTING,
        headers={"X-Forwarded-Proto": "HTTPS", "X-Forwarded-Host": "[2001:DB8::1]:8443"},
    ),
    "forwarded, what is no host": Way(
        "mock:4010", OURS, settings=TRUSTING, headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a b/c"}
    ),
    "forwarded, what is no scheme": Way(
        *("mock:4010", "http://mock:4010/evolink"),
        settings=TRUSTING,
        headers={"X-Forwarded-Proto": "ftp", "X-Forwarded-Host": ""},
    ),
    "trusted, nothing forwarded": Way("127.0.0.1:{port}", OURS, settings=TRUSTING),
    # a session
    "session": Way("127.0.0.1:{port}", "http://127.0.0.1:{port}/~one/evolink", headers={"X-Mock-Session": "one"}),
    "session, container": Way("mock:4010", "http://mock:4010/~one/evolink", headers={"X-Mock-Session": "one"}),
    "session, real name": Way(
        *("api.evolink.ai", "https://api.evolink.ai/~one"), secure=True, headers={"X-Mock-Session": "one"}, under=""
    ),
}


async def call(edge: Edge, way: Way, method: str, path: str, body: bytes = b"", name: str = "evolink") -> Answer:
    """Make a request in some way."""
    host, target = (text.format(port=edge.port) for text in (way.host, f"{way.absolute}{way.under}{path}"))
    headers = {**edge.key_headers(name), **way.headers, **({"Content-Type": "application/json"} if body else {})}
    async with edge.raw() as wire:
        if way.tunnel:
            port = 443 if way.secure else 80
            await wire.send(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            assert (await wire.head()).status == 200
        if way.secure:
            await wire.start_tls(edge.trust(), host.partition(":")[0])
        await wire.send(request_bytes(method, target, headers=headers, body=body, host=host))
        answer = await wire.answer()
        assert answer is not None
        return answer


async def submitted(edge: Edge, way: Way, name: str = "evolink", **fields: Any) -> str:
    """Submit a job in some way; return its id."""
    path = edge.path_of(name, "submit").removeprefix(f"/{name}")
    answer = await call(edge, way, "POST", path, orjson.dumps({**example(edge.provider(name)), **fields}), name)
    assert answer.status == 200, answer
    return str(answer.json[{"evolink": "id", "googlegeminiomni": "jobId"}[name]])


async def links(edge: Edge, way: Way, task_id: str) -> list[str]:
    """Ask for a task of EvoLink's in some way; return its links."""
    answer = await call(edge, way, "GET", f"/v1/tasks/{task_id}")
    assert answer.status == 200, answer
    return list(answer.json["results"])


@for_each("way", WAYS.values())
async def test_links(way: Way) -> None:
    """The links in an answer begin as the client came, on the fast path and on aiohttp's."""
    async with serving(**way.settings) as edge:
        task_id = await submitted(edge, way)
        session = way.headers.get("X-Mock-Session")
        mock = edge.mock if session is None else edge.mock.session(session)
        await mock.clock.advance(600)
        (link,) = await links(edge, way, task_id)
        assert link == f"{way.links.format(port=edge.port)}/files/{task_id}/0.mp4"
        slow = way._replace(headers={**way.headers, "X-Mock-Fault": "latency;seconds=0"})
        assert await links(edge, slow, task_id) == [link]


async def test_each_asks_for_itself() -> None:
    """A task that one client has made is shown to another with links as that one came."""
    async with serving() as edge:
        task_id = await submitted(edge, WAYS["tunnel"])
        await edge.mock.clock.advance(600)
        for name in ("tunnel", "address", "container"):
            way = WAYS[name]
            assert await links(edge, way, task_id) == [
                f"{way.links.format(port=edge.port)}/files/{task_id}/0.mp4",
            ]


@for_each("name", ["address", "container", "tunnel", "tls, real name, our port", "session, real name"])
async def test_callbacks(name: str) -> None:
    """A callback has links as the client came that made the task."""
    way = WAYS[name]
    async with serving() as edge, receiving() as receiver:
        task_id = await submitted(edge, way, callback_url=receiver.url())
        session = way.headers.get("X-Mock-Session")
        await (edge.mock if session is None else edge.mock.session(session)).clock.advance(600)
        (received,) = receiver.got
        assert orjson.loads(received.body)["results"] == [f"{way.links.format(port=edge.port)}/files/{task_id}/0.mp4"]


@for_each(
    ("way", "root"),
    {
        "tunnel": (Way(SITE, "", secure=True, tunnel=True, under=""), f"https://{STORE}"),
        "tls, our port": (Way(f"{SITE}:4010", "", secure=True, under=""), f"https://{STORE}:4010"),
        "plain": (Way(SITE, "", under=""), "http://127.0.0.1:{port}/googlegeminiomni"),
        "container": (Way("mock:4010", "", under="/googlegeminiomni"), "http://mock:4010/googlegeminiomni"),
    }.values(),
)
async def test_result_host(way: Way, root: str) -> None:
    """Where results are kept at a host of their own, links name that one, and the proxy serves it."""
    name = "googlegeminiomni"
    async with serving() as edge:
        task_id = await submitted(edge, way, name)
        await edge.mock.clock.advance(600)
        path = edge.query_path(name, task_id).removeprefix(f"/{name}")
        link = (await call(edge, way, "GET", path, name=name)).json["outputUrl"]
        root = root.format(port=edge.port)
        assert link.startswith(f"{root}/omni/")
        if way.tunnel:
            found = await call(edge, way._replace(host=STORE), "GET", link.removeprefix(root), name=name)
            assert (found.status, found.body[4:8]) == (200, b"ftyp")
            rest = way._replace(host=STORE, headers={"Range": "bytes=100-"})
            part = await call(edge, rest, "GET", link.removeprefix(root), name=name)
            assert (part.status, part.body) == (206, found.body[100:])
            await edge.mock.clock.advance(40 * 86_400)
            gone = await call(edge, way._replace(host=STORE), "GET", link.removeprefix(root), name=name)
            assert gone.status >= 400


@for_each("name", ["address", "container", "tunnel"])
async def test_an_upload_that_is_referred_to(name: str) -> None:
    """A link to an upload, as the client got it, is known as this provider's: a file that is gone fails the job."""
    way = WAYS[name]
    async with serving() as edge:
        state = edge.state("evolink")
        base = way.links.format(port=edge.port).replace("api.evolink.ai", REAL_HOST)
        gone = f"{way.links.format(port=edge.port)}/files/task-unified-0/0.mp4"
        assert state.nothing_at(gone, base) == (name != "tunnel")
        assert not state.nothing_at("https://elsewhere.example/files/x/0.mp4", base)


@for_each("name", ["address", "container", "tunnel"])
async def test_faults_that_change_links(name: str) -> None:
    """`wrong_host` finds the links, and `redirected` leads to a name of this server, however the client came."""
    way = WAYS[name]
    async with serving() as edge:
        task_id = await submitted(edge, way)
        await edge.mock.clock.advance(600)
        wrong = way._replace(headers={"X-Mock-Fault": "wrong_host"})
        assert await links(edge, wrong, task_id) == [f"https://cdn.invalid/files/{task_id}/0.mp4"]
        redirected = way._replace(headers={"X-Mock-Fault": "redirected"})
        answer = await call(edge, redirected, "GET", f"/v1/tasks/{task_id}")
        scheme = "https" if way.secure else "http"
        host = "localhost:4010" if name == "container" else f"localhost:{edge.port}"
        assert (answer.status, answer.header("Location")) == (307, f"{scheme}://{host}/evolink/v1/tasks/{task_id}")


async def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Host comes from clients: what was learnt of it does not grow without end."""
    monkeypatch.setattr(Addresses, "_NAMES_KEPT", 5)
    async with serving() as edge:
        addresses = edge.mock.server._addresses
        for number in range(20):
            for way in (Way(f"h{number}", ""), Way("x", "", absolute=f"http://h{number}:{edge.port}")):
                assert (await call(edge, way, "GET", "/v1/credits")).status == 200
        assert max(map(len, addresses._names.values())) <= 5
