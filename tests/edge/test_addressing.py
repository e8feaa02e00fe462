"""Which provider a request is for: by prefix, by real host, at the root with `only`, or none."""

from __future__ import annotations

import json
import socket

import pytest
from jsonschema import Draft202012Validator
from support.edge import ONE_DAILY, PROVIDERS, request_bytes, serving
from support.tables import for_each

from contracts.journal import of_records
from mockserver.journal.har import har
from mockserver.spec.vocabulary import specs_directory

SCHEMA = Draft202012Validator(json.loads((specs_directory() / "journal.schema.json").read_text(encoding="utf-8")))
REAL_HOSTS = {
    "crun": "api.crun.ai",
    "evolink": "api.evolink.ai",
    "googlegeminiomni": "googlegeminiomni.com",
    "toapis": "toapis.com",
}


@pytest.mark.parametrize("name", PROVIDERS)
async def test_prefix(name: str) -> None:
    """A provider's paths begin under its own name, and `url` says where."""
    async with serving() as edge:
        assert edge.mock.url(name) == f"{edge.root}/{name}"
        task_id = await edge.submit(name)
        reply = await edge.query(name, task_id)
        assert reply.status == 200
        assert task_id in reply.body.decode()


@pytest.mark.parametrize("name", PROVIDERS)
async def test_real_host(name: str) -> None:
    """With the provider's real host in Host, its real paths stand at the root."""
    async with serving() as edge:
        task_id = await edge.submit(name)
        path = edge.query_path(name, task_id).removeprefix(f"/{name}")
        host = REAL_HOSTS[name]
        for spelling in (host, host.upper(), f"{host}:443", f"{host}:80", f"{host}:{edge.port}"):
            reply = await edge.call("GET", path, headers={**edge.key_headers(name), "Host": spelling})
            assert reply.status == 200, spelling
            assert task_id in reply.body.decode()


async def test_unknown_host_means_nothing() -> None:
    """Another host in Host leaves the prefixes as they are, so that any name may lead to the mock."""
    async with serving() as edge:
        headers = {**edge.key_headers("evolink"), "Host": "mock.internal:8080"}
        assert (await edge.call("GET", "/evolink/v1/credits", headers=headers)).status == 200
        assert (await edge.call("GET", "/v1/credits", headers=headers)).status == 404


async def test_real_host_hides_the_control_plane() -> None:
    """Under a real host even /__admin is a path of that provider's: its clients cannot tell that there is more."""
    async with serving() as edge:
        reply = await edge.call("GET", "/__admin/health", headers={"Host": "api.evolink.ai"})
        assert reply.status == 404
        assert reply.json["error"]["type"] == "not_found_error"


async def test_store_host() -> None:
    """Finished files of googlegeminiomni.com are also found with the host of its store."""
    async with serving() as edge:
        task_id = await edge.submit("googlegeminiomni", of="gemini-omni-audio")
        await edge.mock.clock.advance(60)
        url = (await edge.query("googlegeminiomni", task_id)).json["outputUrl"]
        path = url.removeprefix(edge.mock.url("googlegeminiomni"))
        assert path.startswith("/omni/usr_")
        reply = await edge.call("HEAD", path, headers={"Host": "r2.googlegeminiomni.com"})
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "audio/mp4"


@pytest.mark.parametrize("name", ONE_DAILY)
async def test_only(name: str) -> None:
    """With `only`, that provider stands at the root, its links lead there, and no other is served."""
    async with serving(only=name) as edge:
        assert edge.mock.url(name) == edge.root
        state = edge.state(name)
        path = next(each.path for each in state.provider.operations.values() if each.role == "submit")
        body = dict(next(iter(state.provider.models.values())).example or {})
        reply = await edge.call("POST", path, headers=edge.key_headers(name), json=body)
        assert reply.status == 200
        task_id = next(iter(state.tasks))
        await edge.mock.clock.advance(600)
        reply = await edge.call(
            "GET", edge.query_path(name, task_id).removeprefix(f"/{name}"), headers=edge.key_headers(name)
        )
        assert f'"{edge.root}/' in reply.body.decode()
        other = next(each for each in PROVIDERS if each != name)
        with pytest.raises(KeyError, match=other):
            edge.mock.url(other)
        assert (await edge.call("GET", f"/{other}/v1/credits")).status == 404


async def test_only_leaves_the_control_plane() -> None:
    """With `only`, the control plane stays at /__admin, and nothing that merely begins like it belongs to it."""
    async with serving(only="evolink") as edge:
        assert (await edge.admin("GET", "/health")).json["status"] == "ok"
        reply = await edge.call("GET", "/__administration")
        assert reply.status == 404
        assert reply.json["error"]["type"] == "not_found_error"


async def test_absolute_form() -> None:
    """A target in absolute form, as clients send it to a proxy, names the provider by itself."""
    async with serving() as edge, edge.raw() as wire:
        headers = edge.key_headers("evolink")
        await wire.send(request_bytes("GET", "http://api.evolink.ai/v1/credits", headers=headers))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 200
        await wire.send(request_bytes("GET", f"http://localhost:{edge.port}/evolink/v1/credits", headers=headers))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 200


async def test_absolute_form_outranks_host() -> None:
    """Where the target is in absolute form, what Host says is ignored (RFC 9112, 3.2.2)."""
    async with serving() as edge, edge.raw() as wire:
        request = request_bytes(
            "GET",
            "http://api.evolink.ai/v1/credits",
            headers=edge.key_headers("evolink"),
            host="api.crun.ai",
        )
        await wire.send(request)
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 200
        assert answer.json["success"] is True


async def test_index() -> None:
    """The root says what is served, and where."""
    async with serving() as edge:
        reply = await edge.call("GET", "/")
        assert reply.status == 200
        assert reply.json["providers"] == {name: f"{edge.root}/{name}" for name in PROVIDERS}
        assert (await edge.call("GET", reply.json["control_plane"])).status == 200


@pytest.mark.parametrize("path", ["/nobody/v1/videos", "/nobody", "//evolink/v1/credits", "/EVOLINK/v1/credits"])
async def test_unknown_provider(path: str) -> None:
    """A path of no provider's is answered 404, with the names of those that are served."""
    async with serving() as edge, edge.raw() as wire:
        await wire.send(request_bytes("GET", path))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 404
        assert set(answer.json["providers"]) == set(PROVIDERS)


async def test_who_went_to_no_provider_is_written_down() -> None:
    """A wrong base URL is seen in the journal: with the body, without the key, and without a provider."""
    async with serving() as edge:
        headers = {"Authorization": "Bearer sk-nobody-knows", "Content-Type": "application/json"}
        assert (await edge.call("POST", "/v1/videos?x=1", headers=headers, data=b'{"a": 1}')).status == 404
        assert (await edge.call("POST", "/v1/videos", data=b"x" * 100_000)).status == 404
        assert (await edge.call("GET", "/")).status == 200
        first, second = edge.mock.journal
        assert not list(SCHEMA.iter_errors(first))
        assert (first["provider"], first["operation"], first["gate"]) == (None, None, "route")
        assert (first["request"]["path"], first["request"]["query"]) == ("/v1/videos", "x=1")
        assert first["request"]["body"] == '{"a": 1}'
        assert "nobody-knows" not in str(first)
        assert (first["response"]["status"], "providers" in first["response"]["body"]) == (404, True)
        assert (second["request"]["body"], second["response"]["status"]) == ("", 404)
        (archived,) = har([first], "1")["log"]["entries"]
        assert archived["comment"] == ""
        assert of_records([first, second], [edge.provider(name) for name in PROVIDERS]) == []


@for_each("path", ["", "/", "/v1/nothing", "/v1/credits/"])
@for_each("name", PROVIDERS)
async def test_unknown_path(name: str, path: str) -> None:
    """A wrong path under a provider's prefix is answered 404 in that provider's shape, with a request id."""
    async with serving() as edge:
        reply = await edge.call("GET", f"/{name}{path}", headers=edge.key_headers(name))
        assert reply.status == 404
        assert reply.headers[edge.provider(name).request_id_header].startswith("req_")
        assert reply.json["message" if name == "crun" else "error"]


def has_ipv6() -> bool:
    """Tell whether this machine has an IPv6 loopback."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
async def test_ipv6() -> None:
    """On an IPv6 address, base URLs, links and the control plane are reached in brackets."""
    async with serving(host="::1") as edge:
        base = edge.mock.url("evolink")
        assert base == f"http://[::1]:{edge.port}/evolink"
        headers = edge.key_headers("evolink")
        assert (await edge.call("GET", f"{base}/v1/credits", headers=headers)).status == 200
        assert (await edge.call("GET", f"{edge.mock.admin_url}/health")).status == 200
        assert edge.mock.server.admin_token is None


async def test_public_url() -> None:
    """With a public URL, links and base URLs start with it."""
    async with serving(public_url="https://mock.example/") as edge:
        assert edge.mock.url("evolink") == "https://mock.example/evolink"
        task_id = await edge.submit("evolink")
        await edge.mock.clock.advance(600)
        urls = (await edge.query("evolink", task_id)).json["results"]
        assert urls == [f"https://mock.example/evolink/files/{task_id}/0.mp4"]
