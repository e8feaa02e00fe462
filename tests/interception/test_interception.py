"""`intercept()`: the providers' real hosts are the mock, for each HTTP library, and for nothing else and no longer."""

from __future__ import annotations

import _socket
import asyncio
import json
import re
import socket
import ssl
import threading
from asyncio.proactor_events import BaseProactorEventLoop
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest
import requests
import urllib3
import uvloop
from aiohttp.client_proto import ResponseHandler
from httpcore._backends.anyio import AnyIOStream
from support.edge import LOOPS, run_on
from support.libraries import ASYNC_LIBRARIES, LIBRARIES, POOLS, context_of, stand_in
from support.tables import for_each

from mockserver import MockServer
from mockserver.certificates import Authority
from mockserver.interception import HostRefusedError, InterceptionError
from mockserver.interception.open_sockets import end_connections
from mockserver.interception.trust import LocalContext, trusting
from mockserver.settings import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.libraries import StandIn

    from mockserver import RunningServer

HOST = "api.evolink.ai"
CREDITS = f"https://{HOST}/v1/credits"
KEY = {"Authorization": "Bearer sk-evolink-mock-key"}
ONE_USE = httpx.Limits(max_keepalive_connections=0)
#: Made when this module is loaded, before any interception.
SESSION, CLIENT, POOL, CONTEXT = (
    requests.Session(),
    httpx.Client(limits=ONE_USE),
    urllib3.PoolManager(),
    context_of(None),
)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    SESSION.close()  # it can be used again
    POOL.clear()


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The addresses that names have; a lookup of any other name, which would need the network, fails the test."""
    addresses: dict[str, str] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *given: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and any(letter.isalpha() for letter in name) and ":" not in name and name != "localhost":
            assert name in addresses, f"{name} was looked up"
            name = addresses[name]
        return real(name, port, *given, **named)

    async def in_loop(_loop: Any, host: Any, port: Any, **named: Any) -> Any:
        return socket.getaddrinfo(host, port, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(uvloop.Loop, "getaddrinfo", in_loop)  # it looks names up in C
    return addresses


@pytest.fixture
def real(tmp_path: Path, lookups: dict[str, str]) -> Iterator[StandIn]:
    """The provider's real host, as far as it is needed: it is found by name, and has a certificate of its own CA."""
    with stand_in(Authority(tmp_path).context(HOST)) as host:
        lookups[HOST] = "127.0.0.1"
        yield host


def everything_replaced() -> list[Any]:
    """Return what an interception may replace."""
    owners = (socket, _socket, socket.socket, ssl.SSLContext, ssl.SSLSocket, ssl.SSLObject, uvloop.Loop)
    return [
        dict(vars(each))
        for each in (*owners, BaseProactorEventLoop, aiohttp.TCPConnector, ResponseHandler, AnyIOStream)
    ]


# -- each library ---------------------------------------------------------------------------------


@for_each("library", LIBRARIES)
@for_each("scheme", ["https", "http"])
def test_each_library(library: str, scheme: str, mock_server: RunningServer, lookups: dict[str, str]) -> None:
    """A client that was made before reaches the mock at the provider's host, more than once; nothing is looked up."""
    mock_server.drop()
    with LIBRARIES[library](None) as get, mock_server.intercept():
        for _ in range(2):
            assert get(f"{scheme}://{HOST}/v1/credits", KEY)[0] == 200
    assert mock_server.journal.count(provider="evolink", status=200) == 2


@for_each("loop", LOOPS)
@for_each("library", ASYNC_LIBRARIES)
@for_each("scheme", ["https", "http"])
def test_each_async_library(
    library: str, scheme: str, loop: str, mock_server: RunningServer, lookups: dict[str, str]
) -> None:
    """The same in an event loop, asyncio's and uvloop's."""

    async def main() -> None:
        async with ASYNC_LIBRARIES[library](None) as get:
            with mock_server.intercept():
                for _ in range(2):
                    assert (await get(f"{scheme}://{HOST}/v1/credits", KEY))[0] == 200

    mock_server.drop()
    run_on(loop, main())
    assert mock_server.journal.count(provider="evolink", status=200) == 2


def test_what_was_made_before(mock_server: RunningServer) -> None:
    """Clients and contexts of the whole program are intercepted too, and so is a name in other letters."""
    with mock_server.intercept():
        assert SESSION.get(CREDITS, headers=KEY).status_code == 200
        assert CLIENT.get(CREDITS, headers=KEY).status_code == 200
        assert POOL.request("GET", CREDITS.replace(HOST, HOST.upper()), headers=KEY).status == 200
        assert requests.get(CREDITS.replace(HOST, f"{HOST}."), headers=KEY, timeout=20).status_code == 200
        for name in (HOST, HOST.upper()):
            with (
                socket.create_connection((name, 443)) as plain,
                CONTEXT.wrap_socket(plain, server_hostname=name) as tls,
            ):
                assert ("DNS", HOST) in tls.getpeercert()["subjectAltName"]  # type: ignore[index]


@for_each("provider", ["evolink", "googlegeminiomni"])
def test_a_whole_job(provider: str, mock_server: RunningServer) -> None:
    """Links lead to the provider's real hosts over https, and these are the mock as well; no session is in them."""
    state = mock_server.runtime.world.providers[provider].provider
    with mock_server.intercept(), requests.Session() as http:
        http.headers["Authorization"] = f"Bearer {mock_server.key(provider)}"
        root = f"https://{state.main_host}"
        if provider == "evolink":
            body = {"model": "gemini-omni-flash-text-to-video", "prompt": "a red kite"}
            task = http.post(f"{root}/v1/videos/generations", json=body).json()["id"]
            mock_server.clock.advance(600)
            link = http.get(f"{root}/v1/tasks/{task}").json()["results"][0]
        else:
            body = {"model": "gemini-omni-video", "prompt": "a kite", "resolution": "1080p", "duration": 8}  # type: ignore[dict-item]
            task = http.post(f"{root}/api/v1/generate", json=body).json()["jobId"]
            mock_server.clock.advance(600)
            link = json.dumps(http.get(f"{root}/api/v1/jobs/{task}").json()).partition("https://r2.")[2]
            link = f"https://r2.{link.partition(chr(34))[0]}"
        assert link.startswith(f"https://{state.hosts[-1]}/")
        assert "~" not in link
        assert requests.get(link, timeout=20).headers["Content-Type"] == "video/mp4"


def test_threads(mock_server: RunningServer) -> None:
    """Threads that ran before are intercepted, and threads that begin within."""
    go_on = threading.Event()

    def early() -> int:
        assert go_on.wait(20)
        return requests.get(CREDITS, headers=KEY, timeout=20).status_code

    with ThreadPoolExecutor() as before:
        waiting = before.submit(early)
        with mock_server.intercept():
            go_on.set()
            assert waiting.result(20) == 200
            with ThreadPoolExecutor(4) as within:
                assert set(within.map(lambda _: CLIENT.get(CREDITS, headers=KEY).status_code, range(20))) == {200}


def test_a_loop_in_another_thread(mock_server: RunningServer) -> None:
    """An event loop that runs in a thread of its own keeps its session across the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:

        async def made() -> aiohttp.ClientSession:
            return aiohttp.ClientSession()

        async def status(session: aiohttp.ClientSession) -> int:
            async with session.get(CREDITS, headers=KEY) as answer:
                return answer.status

        session = asyncio.run_coroutine_threadsafe(made(), loop).result(20)
        for _ in range(2):
            with mock_server.intercept():
                assert asyncio.run_coroutine_threadsafe(status(session), loop).result(20) == 200
        asyncio.run_coroutine_threadsafe(session.close(), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@for_each("loop", LOOPS)
@for_each("library", ASYNC_LIBRARIES)
def test_async_server(library: str, loop: str) -> None:
    """A server in the caller's own loop is entered with `async with`."""

    async def main() -> None:
        async with MockServer() as mock, ASYNC_LIBRARIES[library](None) as get:
            for _ in range(2):
                async with mock.intercept() as same:
                    assert same is mock
                    assert (await get(CREDITS, KEY))[0] == 200
            with pytest.raises(Exception, match=r"(?i)evolink|connect|resolution|known"):
                await get("http://127.83.0.1:9/", {})

    run_on(loop, main())


# -- other hosts ----------------------------------------------------------------------------------


@for_each("library", LIBRARIES)
@for_each("host", ["example.org", "93.184.216.34", "[2606:2800:220:1::1]"])
def test_other_hosts_are_refused(library: str, host: str, mock_server: RunningServer, lookups: dict[str, str]) -> None:
    """Another host, by name or address, is a connection error that names it and says how to allow it."""
    with LIBRARIES[library](None) as get, mock_server.intercept():
        for scheme in ("https", "http"):
            with pytest.raises(Exception, match="is not mocked: mockserver refuses it") as caught:
                get(f"{scheme}://{host}/v1/credits", {})
            assert host.strip("[]") in str(caught.value)
            assert re.search(rf"intercept\(allow_hosts=\['{re.escape(host)}'\]\)", str(caught.value))
            assert isinstance(caught.value, OSError | httpx.ConnectError | urllib3.exceptions.NewConnectionError)
    assert any(host in each.host for each in mock_server.server.kept_from)


@for_each("loop", LOOPS)
@for_each("library", ASYNC_LIBRARIES)
@for_each("host", ["example.org", "93.184.216.34"])
def test_other_hosts_are_refused_in_loops(
    library: str, loop: str, host: str, mock_server: RunningServer, lookups: dict[str, str]
) -> None:
    """The same in an event loop; anyio says what is wrong with an address only in the cause."""
    errors: list[BaseException | None] = []

    async def main() -> None:
        async with ASYNC_LIBRARIES[library](None) as get:
            with mock_server.intercept(), pytest.raises((aiohttp.ClientConnectorError, httpx.ConnectError)) as caught:
                await get(f"https://{host}/", {})
            errors.append(caught.value)

    run_on(loop, main())
    error, said = errors[0], []
    while error is not None:
        said += [str(error), *map(str, getattr(error, "exceptions", ()))]
        error = error.__cause__ or error.__context__
    assert any(f"{host}" in each and "is not mocked" in each for each in said)


def test_no_lookup_leaves_the_process(mock_server: RunningServer, lookups: dict[str, str]) -> None:
    """Every function that looks a name up knows the mocked hosts, and refuses others before it asks."""
    with mock_server.intercept():
        address = socket.gethostbyname(HOST)
        assert address.startswith("127.83.")
        assert socket.gethostbyname_ex(HOST) == (HOST, [], [address])
        assert socket.gethostbyaddr(address) == (HOST, [], [address])
        assert socket.getnameinfo((address, 443), 0) == (HOST, "https")
        assert socket.getnameinfo((address, 443), socket.NI_NUMERICHOST)[0] == address
        for kind, (found, *_) in {
            socket.AF_INET: (address,),
            socket.AF_INET6: (f"::ffff:{address}",),
            0: (address,),
        }.items():
            infos = socket.getaddrinfo(HOST.encode(), "https", kind, socket.SOCK_STREAM, 0, socket.AI_CANONNAME)
            assert {(each[3], each[4][:2]) for each in infos} == {(HOST, (found, 443))}
        for look in (socket.gethostbyname, socket.gethostbyname_ex, socket.gethostbyaddr, socket.getfqdn):
            if look is socket.getfqdn:
                assert look("example.org") == "example.org"
            else:
                with pytest.raises(HostRefusedError, match=r"example\.org is not mocked"):
                    look("example.org")
        with pytest.raises(HostRefusedError, match=r"xn--bcher-kva\.example"):
            socket.getaddrinfo("bücher.example", 443)


def test_datagrams_and_names(mock_server: RunningServer) -> None:
    """A datagram goes nowhere but to this machine, and `connect` with a name is judged like one with an address."""
    with mock_server.intercept(), socket.socket(type=socket.SOCK_DGRAM) as sock:
        for send in (
            lambda to: sock.sendto(b"x", to),
            lambda to: sock.sendto(b"x", 0, to),
            lambda to: sock.sendmsg([b"x"], [], 0, to),
            sock.connect,
            sock.connect_ex,
        ):
            with pytest.raises(HostRefusedError, match=r"9\.9\.9\.9:53 is not mocked"):
                send(("9.9.9.9", 53))
        with pytest.raises(HostRefusedError, match=r"api\.evolink\.ai:53"):
            sock.sendto(b"x", (HOST, 53))
        assert sock.sendto(b"x", ("127.0.0.1", 9)) == 1
        with socket.socket() as plain:
            plain.connect((HOST, 80))
            assert plain.getpeername()[0] == "127.0.0.1"


async def test_datagrams_of_uvloop(mock_server: RunningServer) -> None:
    """Datagrams of uvloop to a named host are refused as well."""

    def main() -> None:
        async def send() -> None:
            loop = asyncio.get_running_loop()
            with pytest.raises(HostRefusedError):
                await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("9.9.9.9", 53))

        uvloop.run(send())

    with mock_server.intercept():
        await asyncio.to_thread(main)


async def test_proactor(mock_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop of Windows connects in C: it is given the address of the mock."""
    given = []

    async def sock_connect(_loop: Any, _sock: Any, address: Any) -> None:
        given.append(address)

    monkeypatch.setattr(BaseProactorEventLoop, "sock_connect", sock_connect)
    with mock_server.intercept(), socket.socket() as sock, socket.socket(socket.AF_INET6) as v6:
        for each in (sock, v6):
            await BaseProactorEventLoop.sock_connect(None, each, (HOST, 443))  # type: ignore[arg-type]
        with pytest.raises(HostRefusedError):
            await BaseProactorEventLoop.sock_connect(None, sock, ("9.9.9.9", 443))  # type: ignore[arg-type]
    assert [each[0] for each in given] == ["127.0.0.1", "::ffff:127.0.0.1"]


@for_each("library", LIBRARIES)
def test_this_machine_is_allowed(library: str, mock_server: RunningServer, lookups: dict[str, str]) -> None:
    """Servers of this machine are reached as before, the mock's own address as well."""
    with LIBRARIES[library](None) as get, stand_in(answer=b"local") as local, mock_server.intercept():
        for name in ("127.0.0.1", "localhost"):
            assert get(f"http://{name}:{local.port}/", {}) == (200, b"local")
        assert get(mock_server.url("evolink") + "/v1/credits", KEY)[0] == 200


def test_unix_sockets(mock_server: RunningServer, tmp_path: Path) -> None:
    """Sockets that are no network are left alone."""
    path = str(tmp_path / "socket")
    with mock_server.intercept(), socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as sock:
        listening.bind(path)
        listening.listen()
        sock.connect(path)
        assert sock.getpeername() == path


@for_each("library", LIBRARIES)
def test_allowed_hosts(library: str, mock_server: RunningServer, lookups: dict[str, str]) -> None:
    """An allowed host is really reached: by name, at one port, or with its subdomains; others still are not."""
    lookups |= {"example.org": "127.0.0.1", "www.example.net": "127.0.0.1"}
    with LIBRARIES[library](None) as get, stand_in(answer=b"allowed") as host:
        for entries in (["example.org", "*.example.net"], [f"example.org:{host.port}", "www.example.net"]):
            with mock_server.intercept(allow_hosts=entries):
                for name in ("example.org", "www.example.net"):
                    assert get(f"http://{name}:{host.port}/", {}) == (200, b"allowed")
                with pytest.raises(Exception, match="not mocked"):
                    get(f"http://example.com:{host.port}/", {})
                assert get(CREDITS, KEY)[0] == 200
        with LIBRARIES[library](None) as new, mock_server.intercept(), pytest.raises(Exception, match="not mocked"):
            new(f"http://example.org:{host.port}/", {})


@for_each("loop", LOOPS)
@for_each("library", ASYNC_LIBRARIES)
def test_allowed_hosts_in_loops(library: str, loop: str, mock_server: RunningServer, lookups: dict[str, str]) -> None:
    """The same in an event loop."""
    lookups["example.org"] = "127.0.0.1"

    async def main() -> None:
        async with ASYNC_LIBRARIES[library](None) as get:
            with stand_in(answer=b"allowed") as host, mock_server.intercept(allow_hosts="example.org"):
                assert await get(f"http://example.org:{host.port}/", {}) == (200, b"allowed")

    run_on(loop, main())


def test_allowed_addresses(mock_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of an allowed name is allowed, at the allowed port, once the name has been looked up."""
    reached = []
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda host, port, *_: [(2, 1, 6, "", ("198.51.100.7", port))])
        patch.setattr(socket.socket, "connect", lambda _, address: reached.append(address))
        with mock_server.intercept(allow_hosts=("example.org:8443", "203.0.113.9")), socket.socket() as sock:
            with pytest.raises(HostRefusedError):
                sock.connect(("198.51.100.7", 8443))
            socket.getaddrinfo("example.org", 8443)
            for address in (("198.51.100.7", 8443), ("203.0.113.9", 80)):
                sock.connect(address)
            with pytest.raises(HostRefusedError, match=r"198\.51\.100\.7:443"):
                sock.connect(("198.51.100.7", 443))
    assert reached == [("198.51.100.7", 8443), ("203.0.113.9", 80)]


def test_settings_allow_as_well(lookups: dict[str, str]) -> None:
    """What the server's proxy lets through, an interception does, too."""
    lookups["example.org"] = "127.0.0.1"
    with stand_in() as host, MockServer(allow_host=["example.org"]) as mock, mock.intercept():
        assert requests.get(f"http://example.org:{host.port}/", timeout=20).content == b"the real one"
    with stand_in() as host, MockServer(passthrough=True) as mock, mock.intercept():
        assert requests.get(f"http://example.org:{host.port}/", timeout=20).content == b"the real one"
        assert requests.get(CREDITS, headers=KEY, timeout=20).status_code == 200


def test_wrong_entry(mock_server: RunningServer) -> None:
    """An entry that is no host is an error at once, and nothing is left replaced."""
    before = everything_replaced()
    with pytest.raises(ConfigError, match="without a scheme"), mock_server.intercept(allow_hosts=["https://a.org/"]):
        pass
    assert everything_replaced() == before


# -- connections from before and afterwards -------------------------------------------------------


@for_each("library", POOLS)
def test_pools(library: str, mock_server: RunningServer, real: StandIn, tmp_path: Path) -> None:
    """A pool's connection to the real host is not used within, and one to the mock not afterwards; and so on."""
    url = f"https://{HOST}:{real.port}/v1/credits"
    with POOLS[library](Authority(tmp_path).certificate) as get:
        for _ in range(3):
            seen = len(real.seen)
            assert get(url, KEY) == (200, b"the real one")
            assert get(url, KEY) == (200, b"the real one")
            with mock_server.intercept():
                for _ in range(2):
                    assert b"remaining_credits" in get(url, KEY)[1]
            assert len(real.seen) == seen + 2
            assert get(url, KEY) == (200, b"the real one")


@for_each("loop", LOOPS)
@for_each("method", ["with", "async with"])
@for_each("library", ASYNC_LIBRARIES)
def test_async_pools(library: str, method: str, loop: str, real: StandIn, tmp_path: Path) -> None:
    """The same in an event loop that goes on without a pause."""
    url = f"https://{HOST}:{real.port}/v1/credits"

    async def main(in_thread: RunningServer) -> None:
        async with MockServer() as in_loop, ASYNC_LIBRARIES[library](Authority(tmp_path).certificate) as get:
            for _ in range(3):
                seen = len(real.seen)
                assert await get(url, KEY) == (200, b"the real one")
                if method == "with":
                    with in_thread.intercept():
                        assert b"remaining_credits" in (await get(url, KEY))[1]
                else:
                    async with in_loop.intercept():
                        assert b"remaining_credits" in (await get(url, KEY))[1]
                assert len(real.seen) == seen + 1
                assert await get(url, KEY) == (200, b"the real one")

    with MockServer() as mock:
        run_on(loop, main(mock))


async def test_no_turn_of_the_loop_in_between(mock_server: RunningServer, real: StandIn) -> None:
    """What is sent once, and never again by the library, does not meet a connection that the block has ended."""
    url = f"http://{HOST}:{real.port}/v1/videos/generations"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http:
        for scheme in ("https", "http", "https"):
            with mock_server.intercept():
                async with http.post(url.replace("http:", f"{scheme}:"), data=b"{}") as answer:
                    assert answer.status == 401
                    await answer.read()
            async with http.post(url.replace("http:", "https:"), data=b"{}") as answer:
                assert await answer.read() == b"the real one"


def test_links_over_plain_http(mock_server: RunningServer) -> None:
    """A client that has `http://` hard-coded gets links with the real host as well, and they lead to the mock."""
    with mock_server.intercept():
        body = {"model": "gemini-omni-flash-text-to-video", "prompt": "a red kite"}
        task = requests.post(f"http://{HOST}/v1/videos/generations", json=body, headers=KEY, timeout=20).json()["id"]
        mock_server.clock.advance(600)
        link = requests.get(f"http://{HOST}/v1/tasks/{task}", headers=KEY, timeout=20).json()["results"][0]
        assert link.startswith(f"http://{HOST}/files/")
        assert requests.get(link, timeout=20).headers["Content-Type"] == "video/mp4"


def test_open_connection_is_not_written_to(mock_server: RunningServer, real: StandIn, tmp_path: Path) -> None:
    """Who writes to a connection of TLS from before gets an error in words; afterwards it is there again."""
    context = context_of(Authority(tmp_path).certificate)
    with (
        socket.create_connection(("127.0.0.1", real.port)) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as tls,
    ):
        with mock_server.intercept():
            for write in (tls.send, tls.sendall, tls.write):
                with pytest.raises(ConnectionResetError, match="open before intercept"):
                    write(b"GET / HTTP/1.1\r\n\r\n")
        assert real.seen == []


def test_open_connections_are_ended(lookups: dict[str, str]) -> None:
    """Connections to some addresses end, so that a pool makes a new one; others stay."""
    with stand_in() as one, stand_in() as other, requests.Session() as http:
        ports = []
        http.hooks["response"].append(lambda answer, **_: ports.append(answer.raw.connection.sock.getsockname()[1]))
        for _ in range(2):
            for each in (one, other):
                http.get(f"http://127.0.0.1:{each.port}/", stream=True, timeout=20).content  # noqa: B018 - it is read
            end_connections(lambda _, port: port == one.port)
        assert ports[0] != ports[2]
        assert ports[1] == ports[3]


def test_which_connections_are_ended(mock_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that may lead to a real host: at the ports of the web on other machines, and at proxies. No databases."""
    asked: dict[str, Callable[[str, int], bool]] = {}
    monkeypatch.setenv("HTTPS_PROXY", "http://10.0.0.1:3128")
    monkeypatch.setattr("mockserver.interception.block.end_connections", lambda ends: asked.setdefault("at", ends))
    with mock_server.intercept():
        ends = asked["at"]
        places = [("198.51.100.7", 443), ("::ffff:198.51.100.7", 80), ("10.0.0.1", 3128)]
        assert all(ends(*each) for each in places)
        assert not any(ends(*each) for each in [("10.0.0.1", 5432), ("127.0.0.1", 443), ("10.0.0.1", 6379)])


# -- proxies of the environment -------------------------------------------------------------------


@for_each("library", ["requests", "httpx", "urllib"])
@for_each("host", ["127.0.0.1", "localhost", "proxy.example"])
def test_proxies_of_the_environment(
    library: str, host: str, mock_server: RunningServer, lookups: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that goes through a proxy reaches the mock, not the proxy, and no other host through it."""
    with stand_in() as proxy:
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://{host}:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        with LIBRARIES[library](None) as get:
            with mock_server.intercept():
                for scheme in ("https", "http"):
                    assert get(f"{scheme}://{HOST}/v1/credits", KEY)[0] == 200
                with pytest.raises(Exception, match="not mocked"):
                    get("https://example.org/", {})
            assert proxy.seen == []
    assert mock_server.journal.count(provider="evolink") == 2
    mock_server.drop()


@for_each("library", ASYNC_LIBRARIES)
async def test_proxies_of_the_environment_in_loops(
    library: str, mock_server: RunningServer, lookups: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same in an event loop, where TLS begins on a connection that is there."""
    with stand_in() as proxy:
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        async with ASYNC_LIBRARIES[library](None) as get:
            with mock_server.intercept():
                for scheme in ("https", "http"):
                    assert (await get(f"{scheme}://{HOST}/v1/credits", KEY))[0] == 200
        assert proxy.seen == []


def test_other_proxies_are_refused(mock_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that speaks something else is refused, on this machine as well: it would lead out."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    refused = pytest.raises(HostRefusedError, match=r"127\.0\.0\.1:1080")
    with mock_server.intercept(), socket.socket() as sock, refused:
        sock.connect(("127.0.0.1", 1080))


# -- TLS --------------------------------------------------------------------------------------------


def test_copied_context() -> None:
    """A client's context is copied with its verification, versions and options, and stays as it is."""
    ca = Authority().certificate.read_text(encoding="ascii")
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT | ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    before = context.cert_store_stats()
    made = trusting(context, ca)
    assert isinstance(made, LocalContext)
    for name in ("verify_mode", "check_hostname", "minimum_version", "maximum_version", "options"):
        assert getattr(made, name) == getattr(context, name), name
    assert made.verify_flags == context.verify_flags & ~ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    assert made.cert_store_stats()["x509_ca"] == 1
    assert context.cert_store_stats() == before
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    assert (trusting(context, ca).check_hostname, trusting(context, ca).verify_mode) == (False, ssl.CERT_NONE)


def test_verification_goes_on(mock_server: RunningServer) -> None:
    """A mocked host is trusted under its own name alone, and other hosts as before."""
    with mock_server.intercept():
        for name in ("toapis.com", "localhost", "example.org"):
            with socket.create_connection((HOST, 443)) as plain:
                if name == "toapis.com":  # a host of this server as well
                    CONTEXT.wrap_socket(plain, server_hostname=name).close()
                else:
                    with pytest.raises(ssl.SSLError):
                        CONTEXT.wrap_socket(plain, server_hostname=name)
        assert requests.get(CREDITS, headers=KEY, verify=False, timeout=20).status_code == 200


test_verification_goes_on = pytest.mark.filterwarnings("ignore:Unverified HTTPS")(test_verification_goes_on)


async def test_pinned_certificate(mock_server: RunningServer) -> None:
    """A client that pins the provider's certificate is not deceived."""
    pin = aiohttp.Fingerprint(bytes(32))
    with mock_server.intercept():
        async with aiohttp.ClientSession() as http:
            # aiohttp looks for the address that it believes to be connected to, in vain
            with pytest.raises((aiohttp.ServerFingerprintMismatch, ValueError)):
                await http.get(CREDITS, headers=KEY, ssl=pin)


# -- the block --------------------------------------------------------------------------------------


@for_each("raises", [False, True])
def test_undone(raises: bool, mock_server: RunningServer) -> None:
    """After the block everything is as it was, also where the body raises."""
    before = everything_replaced()
    with suppress(ZeroDivisionError), mock_server.intercept():
        assert everything_replaced() != before
        if raises:
            raise ZeroDivisionError
    assert everything_replaced() == before
    with pytest.raises(OSError, match=r"refused|denied|time"), socket.socket() as sock:
        sock.connect(("127.83.0.1", 443))


async def test_undone_in_a_loop() -> None:
    """The same with `async with`, also where the body is cancelled."""
    before = everything_replaced()
    async with MockServer() as mock:

        async def endless() -> None:
            async with mock.intercept():
                begun.set()
                await asyncio.Event().wait()

        begun = asyncio.Event()
        task = asyncio.create_task(endless())
        await begun.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert everything_replaced() == before
        assert len(mock.server._listening) == 1


def test_one_block_at_a_time(mock_server: RunningServer) -> None:
    """A host leads to one server: a second block with it is an error that names it; it leaves the first as it was."""
    with mock_server.intercept():
        with pytest.raises(InterceptionError, match=r"api\.crun\.ai is intercepted already"), mock_server.intercept():
            pass
        with MockServer() as other, pytest.raises(InterceptionError, match="MockServer"), other.intercept():
            pass
        assert requests.get(CREDITS, headers=KEY, timeout=20).status_code == 200


def test_two_servers(lookups: dict[str, str]) -> None:
    """Servers with different providers are intercepted at once, and end in any order."""
    with ExitStack() as first, MockServer(only="evolink") as one, MockServer(only="toapis") as other:
        first.enter_context(one.intercept())
        with other.intercept(allow_hosts="example.org"), requests.Session() as http:
            assert http.get(CREDITS, headers=KEY).status_code == 200
            assert http.get("https://toapis.com/v1/balance", timeout=20).status_code in (401, 404)
            first.close()
            with pytest.raises(requests.ConnectionError, match=r"api\.evolink\.ai is not mocked"):
                http.get(CREDITS, headers=KEY)
            assert http.get("https://toapis.com/v1/balance", timeout=20).status_code in (401, 404)
    assert len(one.journal) == 1
    assert len(other.journal) == 2


def test_sessions(mock_server: RunningServer) -> None:
    """Requests reach the session whose block it is; one that they name themselves wins."""
    other = mock_server.session("another")
    with other.intercept():
        SESSION.get(CREDITS, headers=KEY)
        SESSION.get(CREDITS, headers={**KEY, "X-Mock-Session": str(mock_server._session)})
    assert len(other.journal) == len(mock_server.journal) == 1
    other.drop()


def test_a_server_that_has_ended() -> None:
    """A server that ends within the block leaves nothing replaced behind."""
    before = everything_replaced()
    with ExitStack() as stack:
        mock = MockServer()
        stack.enter_context(mock.__enter__().intercept())
        mock.__exit__(None, None, None)
        with pytest.raises(requests.ConnectionError):
            requests.get(CREDITS, headers=KEY, timeout=20)
    assert everything_replaced() == before
