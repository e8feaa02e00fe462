"""Sessions: worlds of their own in one server, by a header or by the path, that never meet."""

from __future__ import annotations

import asyncio
import gc
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import ClientError, FormData
from support.edge import (
    CALLBACK_FIELDS,
    ONE_DAILY,
    PROVIDERS,
    Edge,
    Received,
    Response,
    example,
    nothing_logged,
    receiving,
    request_bytes,
    serving,
)
from support.tables import for_each

import mockserver.edge.runtime
import mockserver.edge.server
import mockserver.edge.sessions
from mockserver.clock import MANUAL_START_MS, iso_of
from mockserver.edge.sessions import IDLE_S
from mockserver.engine.callbacks import signature_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mockserver.edge.runtime import Runtime

START = iso_of(MANUAL_START_MS)
HEADER = "X-Mock-Session"
UPLOAD = "/googlegeminiomni/api/v1/upload"
BY = ("header", "path")
GOOD_NAMES = ("a", "0", "build-17.worker_3", "x" * 100)
BAD_NAMES = ("", ".", "..", "-a", "_a", ".a", "a b", "a/b", "é", "a%20b", "x" * 101, "a,b", "\xff", "a:b", "a~b")


@dataclass(frozen=True)
class InSession(Edge):
    """The same mock and client, in one of its sessions: named in the header, or in the path."""

    name: str = ""
    by: str = "path"

    @property
    def root(self) -> str:
        """Address under which the session's paths begin."""
        return f"http://127.0.0.1:{self.port}" + (f"/~{self.name}" if self.by == "path" else "")

    @property
    def runtime(self) -> Runtime:
        """The session's world."""
        found = self.mock.server.sessions.known(self.name)
        assert found is not None
        return found

    def state(self, name: str) -> Any:
        """The state of a provider in the session."""
        known = self.mock.server.sessions.known(self.name)
        return (known or self.mock.server.runtime).world.providers[name]

    async def call(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
        """Make a request; one with a path is in the session."""
        named = {HEADER: self.name} if self.by == "header" and "://" not in url else {}
        return await super().call(method, url, headers={**named, **(headers or {})}, **more)


def inside(edge: Edge, name: str, by: str = "path") -> InSession:
    """The session of a name."""
    return InSession(edge.mock, edge.http, name, by)


async def get(edge: Edge, path: str, **headers: str) -> Any:
    """Ask the control plane for what must be there."""
    reply = await edge.admin("GET", path, **headers)
    assert reply.status == 200, reply.body
    return reply.json


async def sessions(edge: Edge) -> dict[str, dict[str, Any]]:
    """The sessions that are listed, by their names."""
    return {each["name"]: each for each in (await get(edge, "/sessions"))["sessions"]}


async def drop(edge: Edge, name: str) -> Response:
    """Ask for the end of a session."""
    return await edge.admin("DELETE", f"/sessions/{name}")


async def told(edge: Edge, url: str, name: str = "evolink", **fields: Any) -> str:
    """Submit a task with a callback address."""
    return await edge.submit(name, **{CALLBACK_FIELDS[name]: url}, **fields)


def file_link(reply: Response) -> str:
    """Return the one link to a file in an answer."""
    (found,) = re.findall(r'"(http://[^"]+\.(?:mp4|m4a)[^"]*)"', reply.body.decode())
    assert isinstance(found, str)
    return found


# -- worlds that do not meet ----------------------------------------------------------------------


@pytest.mark.parametrize("by", BY)
async def test_clocks(by: str) -> None:
    """Each session has a clock of its own, and so has the world without a name."""
    async with serving() as edge:
        one, two = inside(edge, "one", by), inside(edge, "two", by)
        await one.advance(60)
        await two.advance(7200)
        await two.admin("POST", "/clock", {"speed": 0})
        assert (await get(one, "/clock"))["now_ms"] == MANUAL_START_MS + 60_000
        assert (await get(two, "/clock"))["now_ms"] == MANUAL_START_MS + 7_200_000
        assert (await get(edge, "/clock"))["now_ms"] == MANUAL_START_MS
        credits_path = ("GET", "/evolink/v1/credits")
        dates = [(await each.call(*credits_path)).headers["Date"] for each in (edge, one, two)]
        assert dates == [f"Fri, 05 Jun 2026 {time} GMT" for time in ("00:00:00", "00:01:00", "02:00:00")]


@for_each("by", BY)
@for_each("name", PROVIDERS)
async def test_tasks(name: str, by: str) -> None:
    """A task is found in the session that it was submitted in, and nowhere else."""
    async with serving() as edge:
        one, two = inside(edge, "one", by), inside(edge, "two", by)
        await edge.submit(name)
        ids = [await one.submit(name) for _ in range(2)]
        assert (await one.query(name, ids[1])).status == 200
        for other in (edge, two):
            assert (await other.query(name, ids[1])).status == 404
            assert (await other.admin("GET", f"/tasks/{ids[1]}")).status == 404
            assert (await other.admin("POST", f"/tasks/{ids[1]}/complete")).status == 404
        assert [(await get(each, "/tasks"))["total"] for each in (edge, one, two)] == [1, 2, 0]
        assert (await get(one, f"/tasks/{ids[1]}"))["ended"] is False


@pytest.mark.parametrize("by", BY)
async def test_accounts(by: str) -> None:
    """The same key has an account in each session, with money, plan and standing of its own."""
    async with serving() as edge:
        one, two = inside(edge, "one", by), inside(edge, "two", by)
        key = edge.mock.key("evolink")
        poor = {"provider": "evolink", "key": key, "available_credits": 0}
        assert (await one.admin("PUT", "/accounts", poor)).json["available_credits"] == 0
        revoked = {"provider": "evolink", "key": key, "revoked": True}
        assert (await two.admin("PUT", "/accounts", revoked)).json["revoked"] is True
        assert [(await each.try_submit("evolink")).status for each in (edge, one, two)] == [200, 402, 401]
        (account,) = (await get(edge, "/accounts"))["accounts"]
        assert (account["granted_credits"], account["revoked"]) == (1_000_000, False)
        (ledger,) = [(await get(each, f"/accounts/{account['id']}/ledger"))["entries"] for each in (edge,)]
        assert [entry["kind"] for entry in ledger] == ["grant", "reserve"]


async def test_limits() -> None:
    """What counts against a rate limit in one session leaves the others their whole allowance."""
    async with serving() as edge:
        one = inside(edge, "one")
        for _ in range(4):
            await one.submit("googlegeminiomni")
        await one.advance(600)
        (used,) = (await get(one, "/accounts"))["accounts"]
        await edge.submit("googlegeminiomni")
        (fresh,) = (await get(edge, "/accounts"))["accounts"]
        assert used["limits_left"]["requests_per_hour"] == 196
        assert fresh["limits_left"]["requests_per_hour"] == 199


@pytest.mark.parametrize("by", BY)
async def test_faults(by: str) -> None:
    """A fault is in force in its session alone, however it was asked for, and so is its end."""
    async with serving() as edge:
        one, two = inside(edge, "one", by), inside(edge, "two", by)
        rule = await one.admin("POST", "/faults", {"fault": "error", "with": {"status": 503}})
        assert (await two.try_submit("evolink", prompt="A kite mock:429")).status == 429
        assert [(await each.try_submit("evolink")).status for each in (edge, one, two)] == [200, 503, 200]
        assert [len((await get(each, "/faults"))["faults"]) for each in (edge, one, two)] == [0, 1, 1]
        assert (await edge.try_submit("evolink", prompt="A kite mock:429")).status == 429
        await two.admin("DELETE", "/faults")
        assert [len((await get(each, "/faults"))["faults"]) for each in (edge, one, two)] == [1, 1, 0]
        assert (await one.admin("DELETE", f"/faults/{rule.json['id']}")).status == 200
        assert (await one.try_submit("evolink")).status == 200


@pytest.mark.parametrize("by", BY)
async def test_journals(by: str) -> None:
    """What went over the wire stands in the journal of its session, and each counts from one."""
    async with serving() as edge:
        one, two = inside(edge, "one", by), inside(edge, "two", by)
        for each, times in ((edge, 1), (one, 2), (two, 3)):
            for _ in range(times):
                await each.call("GET", "/evolink/v1/credits", headers=each.key_headers("evolink"))
        assert [(await get(each, "/requests/count"))["count"] for each in (edge, one, two)] == [1, 2, 3]
        assert [each["seq"] for each in (await get(two, "/requests"))["records"]] == [1, 2, 3]
        await two.admin("POST", "/reset", {"what": "journal"})
        assert [(await get(each, "/requests/count"))["count"] for each in (edge, one, two)] == [1, 2, 0]
        assert len(edge.mock.journal) == 1


async def test_journal_file(tmp_path: Path) -> None:
    """The journal's file is about the world without a name: sessions are not written there."""
    file = tmp_path / "journal.ndjson"

    async with serving(journal=str(file)) as edge:
        one = inside(edge, "one")
        await edge.call("GET", "/evolink/v1/credits")
        await one.call("GET", "/evolink/v1/credits")
        assert (await get(one, "/requests/count"))["count"] == 1
    assert len(file.read_bytes().splitlines()) == 1


@pytest.mark.parametrize("by", BY)
async def test_callbacks(by: str) -> None:
    """A callback comes when its own session's clock comes to it, and is listed and sent again only there."""
    async with serving() as edge, receiving() as receiver:
        one, two = inside(edge, "one", by), inside(edge, "two", by)
        for each, path in ((edge, "/nameless"), (one, "/one"), (two, "/two")):
            await told(each, receiver.url(path))
        assert (await one.advance(3600))["acknowledged"] == 1
        assert [each.path for each in receiver.got] == ["/one"]
        assert [len((await get(each, "/callbacks"))["callbacks"]) for each in (edge, one, two)] == [0, 1, 0]
        (delivery,) = (await get(one, "/callbacks"))["callbacks"]
        assert (await two.admin("POST", f"/callbacks/{delivery['id']}/redeliver")).status == 404
        assert (await one.admin("POST", f"/callbacks/{delivery['id']}/redeliver")).status == 200
        await edge.advance(3600)
        await two.advance(3600)
        assert [each.path for each in receiver.got] == ["/one", "/one", "/nameless", "/two"]


async def test_secrets() -> None:
    """A webhook secret that is changed in one session signs that session's callbacks only."""
    async with serving() as edge, receiving() as receiver:
        one = inside(edge, "one")
        key = edge.mock.key("googlegeminiomni")
        await one.admin("PUT", "/accounts", {"provider": "googlegeminiomni", "key": key, "secret": "of one"})
        rule = edge.provider("googlegeminiomni").callbacks
        assert rule is not None
        assert rule.signature is not None
        for each, secret in ((edge, rule.signature.default_secret), (one, "of one")):
            await told(each, receiver.url(), "googlegeminiomni")
            await each.advance(3600)
            got = receiver.got[-1]
            assert got.headers[rule.signature.header] == signature_of(rule.signature, secret, got.body)


async def test_a_slow_receiver_holds_up_only_its_session() -> None:
    """While one session waits for a receiver, another moves its clock and delivers, although callbacks go in turn."""
    arrived, let_go = asyncio.Event(), asyncio.Event()

    async def answer(received: Received) -> int:
        if received.path == "/slow":
            arrived.set()
            await let_go.wait()
        return 200

    async with serving() as edge, receiving(answer) as receiver:
        slow, quick = inside(edge, "slow"), inside(edge, "quick")
        await told(slow, receiver.url("/slow"))
        await told(quick, receiver.url("/quick"))
        waiting = asyncio.create_task(slow.advance(3600))
        await arrived.wait()
        assert (await quick.advance(3600))["acknowledged"] == 1
        assert not waiting.done()
        let_go.set()
        assert (await waiting)["acknowledged"] == 1


@pytest.mark.parametrize("by", BY)
async def test_reset(by: str) -> None:
    """A reset starts one session over: the others, and the world without a name, go on."""
    async with serving() as edge:
        one, two = inside(edge, "one", by), inside(edge, "two", by)
        for each in (edge, one, two):
            await each.submit("evolink")
            await each.advance(10)
        assert (await one.admin("POST", "/reset", {"what": "all"})).json["now"] == START
        assert [(await get(each, "/tasks"))["total"] for each in (edge, one, two)] == [1, 0, 1]
        await edge.mock.reset()
        assert [(await get(each, "/tasks"))["total"] for each in (edge, one, two)] == [0, 0, 1]
        assert (await get(two, "/clock"))["now_ms"] == MANUAL_START_MS + 10_000


def transcript(replies: list[Response], root: str) -> list[tuple[int, list[tuple[str, str]], bytes]]:
    """What was answered, with the server's own address taken out."""
    return [(reply.status, list(reply.headers.items()), reply.body.replace(root.encode(), b"")) for reply in replies]


async def story(edge: Edge, name: str) -> list[Response]:
    """Make the same requests in any world."""
    replies = [await edge.try_submit(name) for _ in range(3)]
    state = edge.state(name)
    for task_id in list(state.tasks):
        for seconds in (0, 20, 25):
            await edge.advance(seconds)
            replies.append(await edge.query(name, task_id))
    replies.append(await edge.call("GET", f"/{name}/nowhere", headers=edge.key_headers(name)))
    replies.append(await edge.call("GET", f"/{name}/nowhere"))
    return replies


@pytest.mark.parametrize("name", ONE_DAILY)
async def test_the_same_seed(name: str) -> None:
    """The same requests have the same answers in every session, in the nameless world, and in another server."""
    seen = []
    for _ in range(2):
        async with serving(seed=11) as edge:
            for each in (edge, inside(edge, "one"), inside(edge, "two")):
                found = transcript(await story(each, name), each.root)
                seen.append([(status, headers, len(body) and body) for status, headers, body in found])
    lengths = {"Content-Length"}
    bare = [
        [(status, [pair for pair in headers if pair[0] not in lengths], body) for status, headers, body in each]
        for each in seen
    ]
    assert all(each == bare[0] for each in bare)
    assert seen[1] == seen[4]
    async with serving(seed=12) as edge:
        one = inside(edge, "one")
        assert transcript(await story(one, name), one.root) != seen[1]


# -- naming one -----------------------------------------------------------------------------------


async def test_made_on_first_use() -> None:
    """A session is there from the first request that names it, whatever that asks for."""
    async with serving() as edge:
        assert await sessions(edge) == {}
        await inside(edge, "d").admin("GET", "/health")
        await edge.call("GET", "/evolink/v1/credits", headers={HEADER: "b"})
        await edge.call("GET", "/~c/nobody")
        await inside(edge, "a").submit("evolink")
        found = await sessions(edge)
        assert list(found) == ["a", "b", "c", "d"]
        assert {name: (each["now"], each["tasks"]) for name, each in found.items()} == {
            "a": (START, 1),
            "b": (START, 0),
            "c": (START, 0),
            "d": (START, 0),
        }


@pytest.mark.parametrize("name", GOOD_NAMES)
async def test_good_names(name: str) -> None:
    """Letters, digits, dots, dashes and underscores name a session, in the header and in the path alike."""
    async with serving() as edge:
        task_id = await inside(edge, name).submit("evolink")
        assert (await inside(edge, name, "header").query("evolink", task_id)).status == 200
        assert list(await sessions(edge)) == [name]


@for_each("name", BAD_NAMES)
async def test_bad_names(name: str) -> None:
    """A name that is none is refused in words, in the control plane's shape, and makes no session."""
    with nothing_logged():
        async with serving() as edge, edge.raw() as wire:
            targets = ["/evolink/v1/credits", "/__admin/health", "/", "/nobody"]
            asked = [(target, {HEADER: name}) for target in targets]
            if name.isascii() and not {"/", " "} & set(name):
                asked += [(f"/~{name}{target}", {}) for target in targets]
            for target, headers in asked:
                await wire.send(request_bytes("GET", target, headers={**edge.key_headers("evolink"), **headers}))
                answer = await wire.answer()
                assert answer is not None
                assert answer.status == 400, (target, answer.body)
                assert answer.header("Content-Type") == "application/json"
                assert answer.header("Cache-Control") == "no-store"
                assert answer.json["error"]["code"] == "invalid_session"
                assert "1 to 100 letters, digits" in answer.json["error"]["message"]
            assert await sessions(edge) == {}


async def test_names_tell_small_letters_from_capitals() -> None:
    """A and a are two sessions."""
    async with serving() as edge:
        await inside(edge, "a").submit("evolink")
        await inside(edge, "A").admin("GET", "/health")
        assert {name: each["tasks"] for name, each in (await sessions(edge)).items()} == {"A": 0, "a": 1}


async def test_the_path_outranks_the_header() -> None:
    """Where both name a session it is the path's: so a client with a header of its own can follow any link."""
    async with serving() as edge:
        one = inside(edge, "one")
        task_id = await one.submit("evolink")
        path = f"/~one/evolink/v1/tasks/{task_id}"
        reply = await edge.call("GET", path, headers={**edge.key_headers("evolink"), HEADER: "two"})
        assert reply.status == 200
        assert list(await sessions(edge)) == ["one"]


@pytest.mark.parametrize("mark", ["~", "%7E", "%7e"])
async def test_a_tilde_that_was_escaped(mark: str) -> None:
    """A client that escapes the tilde of a link has not left the session: to URLs that is the same character."""
    async with serving() as edge, edge.raw() as wire:
        task_id = await inside(edge, "one").submit("evolink")
        target = f"/{mark}one/evolink/v1/tasks/{task_id}"
        await wire.send(request_bytes("GET", target, headers=edge.key_headers("evolink")))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 200


async def test_absolute_form() -> None:
    """A target in absolute form names a session like any other: in its path, or beside it in the header."""
    async with serving() as edge, edge.raw() as wire:
        task_id = await inside(edge, "one").submit("evolink")
        for target, headers in (
            (f"{edge.root}/~one/evolink/v1/tasks/{task_id}", {}),
            (f"http://api.evolink.ai/v1/tasks/{task_id}", {HEADER: "one"}),
            (f"http://api.evolink.ai/~one/v1/tasks/{task_id}", {}),
        ):
            await wire.send(request_bytes("GET", target, headers={**edge.key_headers("evolink"), **headers}))
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 200, target


@pytest.mark.parametrize("headers", [{}, {HEADER: "one"}])
async def test_real_host_hides_the_control_plane(headers: dict[str, str]) -> None:
    """Under a provider's real host /__admin is a path of the provider's, in a session as outside of one."""
    async with serving() as edge:
        prefix = "" if headers else "/~one"
        reply = await edge.call("GET", f"{prefix}/__admin/health", headers={"Host": "api.evolink.ai", **headers})
        assert reply.status == 404
        assert reply.json["error"]["type"] == "not_found_error"


async def test_a_token_is_asked_for_in_sessions_too() -> None:
    """Where the control plane asks for a token, it does so whichever session is named."""
    async with serving(admin_token="mine") as edge:
        for each in (inside(edge, "one"), inside(edge, "one", "header")):
            assert (await each.admin("GET", "/health")).status == 401
            assert (await each.admin("GET", "/health", Authorization="Bearer mine")).status == 200


# -- links ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "way"),
    [*((name, "header") for name in PROVIDERS), *(("evolink", way) for way in ("path", "real host", "only"))],
)
async def test_results_stay_in_the_session(name: str, way: str) -> None:
    """The link to a result leads into the session by itself, however the session was named when it was given out."""
    async with serving(only=name if way == "only" else None) as edge:
        one = inside(edge, "one", "path" if way == "path" else "header")
        host = {"Host": edge.provider(name).hosts[0]} if way == "real host" else {}
        prefix = "" if way in ("real host", "only") else f"/{name}"
        body = example(edge.provider(name))
        path = one.path_of(name, "submit").removeprefix(f"/{name}")
        headers = {**edge.key_headers(name), **host}
        assert (await one.call("POST", prefix + path, headers=headers, json=body)).status == 200
        (task_id,) = one.state(name).tasks
        await one.advance(600)
        query = one.query_path(name, task_id).removeprefix(f"/{name}")
        link = file_link(await one.call("GET", prefix + query, headers=headers))
        assert link.startswith(f"{edge.root}/~one/" + ("" if way == "only" else f"{name}/"))
        reply = await edge.call("HEAD", link)
        assert (reply.status, reply.headers["Content-Type"]) == (200, "video/mp4")
        assert (await edge.call("HEAD", link, headers={HEADER: "two"})).status == 200
        assert (await edge.call("HEAD", link.replace("/~one", ""))).status in (403, 404)
        assert (await edge.call("HEAD", link.replace("/~one", "/~two"))).status in (403, 404)


@pytest.mark.parametrize("only", [None, "googlegeminiomni"])
@pytest.mark.parametrize("by", BY)
async def test_uploads_stay_in_the_session(by: str, only: str | None) -> None:
    """An upload is served back at the address that was answered, and is not there in other sessions."""
    async with serving(only=only) as edge:
        one = inside(edge, "one", by)
        form = FormData()
        form.add_field("file", b"\x89PNG\r\n\x1a\n", filename="guide.png", content_type="image/png")
        path = UPLOAD if only is None else UPLOAD.removeprefix("/googlegeminiomni")
        link = (await one.call("POST", path, headers=one.key_headers("googlegeminiomni"), data=form)).json["url"]
        assert f"{edge.root}/~one/" in link
        assert (await edge.call("GET", link)).body == b"\x89PNG\r\n\x1a\n"
        assert (await edge.call("GET", link.replace("/~one", ""))).status == 404
        assert (await edge.call("GET", link.replace("/~one", "/~two"))).status == 404


async def test_download_in_a_session() -> None:
    """A file is downloaded whole, and in ranges, through a session's link."""
    async with serving() as edge:
        one = inside(edge, "one")
        task_id = await one.submit("googlegeminiomni", of="gemini-omni-audio")
        await one.advance(300)
        link = file_link(await one.query("googlegeminiomni", task_id))
        whole = await edge.call("GET", link)
        part = await edge.call("GET", link, headers={"Range": "bytes=100-199"})
        assert (whole.status, part.status) == (200, 206)
        assert part.body == whole.body[100:200]
        assert (await get(one, "/requests/count"))["count"] == 4
        assert len(edge.mock.journal) == 0


async def test_callback_bodies_lead_into_the_session() -> None:
    """The link in a callback leads into the session whose task it tells of."""
    async with serving() as edge, receiving() as receiver:
        one = inside(edge, "one", "header")
        await told(one, receiver.url())
        await one.advance(3600)
        (link,) = receiver.got[0].json["results"]
        assert link.startswith(f"{edge.root}/~one/evolink/")
        assert (await edge.call("HEAD", link)).status == 200


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("only", [None, "evolink"])
async def test_addresses_that_are_listed(by: str, only: str | None) -> None:
    """The addresses that the index, a wrong path and the control plane list lead into the session that asks."""
    async with serving(only=only) as edge:
        one = inside(edge, "one", by)
        urls = {name: f"{edge.root}/~one" + ("" if only else f"/{name}") for name in ([only] if only else PROVIDERS)}
        listed = {each["name"]: each["base_url"] for each in (await get(one, "/providers"))["providers"]}
        assert listed == urls
        if only is None:
            index = (await one.call("GET", "/")).json
            assert index["providers"] == (await one.call("GET", "/nobody")).json["providers"] == urls
            assert index["control_plane"] == f"{edge.root}/~one/__admin/health"
            assert (await edge.call("GET", index["control_plane"])).json["status"] == "ok"
        plain = {each["name"]: each["base_url"] for each in (await get(edge, "/providers"))["providers"]}
        assert plain == {name: url.replace("/~one", "") for name, url in urls.items()}


async def test_public_url() -> None:
    """With a public URL, a session's links begin with it."""
    async with serving(public_url="https://mock.example/") as edge:
        one = inside(edge, "one")
        task_id = await one.submit("evolink")
        await one.advance(600)
        urls = (await one.query("evolink", task_id)).json["results"]
        assert urls == [f"https://mock.example/~one/evolink/files/{task_id}/0.mp4"]


# -- their end ------------------------------------------------------------------------------------


async def test_drop() -> None:
    """A dropped session is gone with all its state; its name then creates a new one."""
    async with serving() as edge:
        one = inside(edge, "one")
        task_id = await one.submit("evolink")
        await one.advance(5)
        assert (await drop(edge, "one")).json == {"dropped": "one"}
        assert await sessions(edge) == {}
        assert (await drop(edge, "one")).status == 404
        assert (await one.query("evolink", task_id)).status == 404
        fresh = (await sessions(edge))["one"]
        assert (fresh["now"], fresh["tasks"]) == (START, 0)
        assert await one.submit("evolink") == task_id


@for_each("name", ["nobody", "..", "x" * 200, "%20", "%ff", "~one"])
async def test_drop_of_what_is_not_there(name: str) -> None:
    """There is nothing to drop under a name that no session has, and that is said."""
    async with serving() as edge, edge.raw() as wire:
        await wire.send(request_bytes("DELETE", f"/__admin/sessions/{name}"))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 404
        assert answer.json["error"]["code"] == "not_found"
        assert len(answer.body) < 300


async def test_drop_ends_callbacks_under_way() -> None:
    """A drop cuts off the callback that is under way, sends none of those to come, and an advance says it was cut."""
    arrived = asyncio.Event()

    async def answer(_: Received) -> int:
        arrived.set()
        await asyncio.Event().wait()
        return 200

    with nothing_logged():
        async with serving() as edge, receiving(answer) as receiver:
            one = inside(edge, "one")
            for number in range(3):
                await told(one, receiver.url(f"/{number}"))
            moving = asyncio.create_task(one.admin("POST", "/clock", {"advance_s": 3600}))
            await arrived.wait()
            assert (await drop(edge, "one")).status == 200
            moved = await moving
            assert (moved.status, moved.json["error"]["code"]) == (409, "dropped")
            assert len(receiver.got) == 1
            assert (await one.advance(3600))["attempts"] == 0


async def test_drop_leaves_the_others() -> None:
    """Callbacks of other sessions, under way or to come, are not touched by a drop."""
    arrived, let_go = asyncio.Event(), asyncio.Event()

    async def answer(_: Received) -> int:
        arrived.set()
        await let_go.wait()
        return 200

    async with serving() as edge, receiving(answer) as receiver:
        one, two = inside(edge, "one"), inside(edge, "two")
        await told(one, receiver.url())
        await two.submit("evolink")
        moving = asyncio.create_task(one.advance(3600))
        await arrived.wait()
        await drop(edge, "two")
        let_go.set()
        assert (await moving)["acknowledged"] == 1


async def test_drop_while_a_body_arrives() -> None:
    """A request whose session is dropped before its body has come is answered all the same."""
    with nothing_logged():
        async with serving() as edge, edge.raw() as wire:
            body = orjson.dumps(example(edge.provider("evolink")))
            headers = {**edge.key_headers("evolink"), "Content-Type": "application/json", HEADER: "one"}
            whole = request_bytes("POST", edge.path_of("evolink", "submit"), headers=headers, body=body)
            await wire.send(whole[:-5])
            while "one" not in await sessions(edge):
                pass
            await drop(edge, "one")
            await wire.send(whole[-5:])
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 200
            assert await sessions(edge) == {}


async def test_idle_sessions_end() -> None:
    """A session ends after a quarter of an hour of wall time without use; the default session never does."""
    async with serving() as edge:
        now_s = 1000.0
        kept = edge.mock.server.sessions
        kept._wall_s = lambda: now_s
        await edge.submit("evolink")
        for name in ("idle", "queried", "steered"):
            await inside(edge, name).submit("evolink")
        now_s += IDLE_S
        await kept.drop_idle()
        assert [each["idle_s"] for each in (await sessions(edge)).values()] == [IDLE_S] * 3
        await inside(edge, "queried").call("GET", "/evolink/v1/credits")
        await inside(edge, "steered", "header").admin("GET", "/health")
        now_s += 0.5
        await kept.drop_idle()
        assert {name: each["idle_s"] for name, each in (await sessions(edge)).items()} == {
            "queried": 0.5,
            "steered": 0.5,
        }
        now_s += 10 * IDLE_S
        await kept.drop_idle()
        assert await sessions(edge) == {}
        assert (await get(edge, "/tasks"))["total"] == 1
        assert (await get(inside(edge, "idle"), "/tasks"))["total"] == 0


async def test_a_session_that_is_used_while_others_end() -> None:
    """A session that is used, or dropped, while another idle one is still being ended is left alone."""
    async with serving() as edge:
        now_s = 0.0
        kept = edge.mock.server.sessions
        kept._wall_s = lambda: now_s
        for name in ("first", "used", "dropped"):
            kept.get(name)
        first = kept.get("first")
        close = first.close

        async def slowly() -> None:
            await close()
            kept.get("used")
            await kept.drop("dropped")

        first.close = slowly  # type: ignore[method-assign]  # what may happen while a session ends
        now_s = IDLE_S + 1
        await kept.drop_idle()
        assert list(kept) == ["used"]


async def test_idle_sessions_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server looks for idle sessions by itself, again and again."""
    monkeypatch.setattr(mockserver.edge.server, "_SESSIONS_CHECKED_S", 0.0)

    async with serving() as edge:
        for name in ("one", "two"):
            now_s = 0.0
            kept = edge.mock.server.sessions
            kept._wall_s = lambda: now_s  # noqa: B023 - read in this turn of the loop
            await inside(edge, name).submit("evolink")
            now_s = IDLE_S + 1
            while await sessions(edge):
                pass


@pytest.mark.parametrize("by", BY)
async def test_too_many(by: str) -> None:
    """Beyond the limit a new session is refused with 503 and what to do; those that are there are served."""
    with nothing_logged():
        async with serving(keep_sessions=3) as edge:
            for number in range(3):
                await inside(edge, f"s{number}", by).submit("evolink")
            one_more = inside(edge, "s3", by)
            for path in ("/evolink/v1/credits", "/__admin/health"):
                reply = await one_more.call("GET", path, headers=edge.key_headers("evolink"))
                assert reply.status == 503
                assert reply.headers["Content-Type"] == "application/json"
                assert reply.json["error"]["code"] == "too_many_sessions"
                assert "too many sessions (at most 3); drop one" in reply.json["error"]["message"]
            assert list(await sessions(edge)) == ["s0", "s1", "s2"]
            assert (await inside(edge, "s2", by).try_submit("evolink")).status == 200
            assert (await edge.try_submit("evolink")).status == 200
            await drop(edge, "s1")
            assert (await one_more.try_submit("evolink")).status == 200


async def test_a_session_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where a world cannot be made, say because the CA file has gone, that request fails in JSON and no other does."""

    def gone(_: object) -> bool:
        raise FileNotFoundError("ca.pem")

    async with serving() as edge, edge.raw() as wire:
        monkeypatch.setattr(mockserver.edge.runtime, "receivers_tls", gone)
        for target in ("/~one/evolink/v1/credits", "/~one/__admin/health"):
            await wire.send(request_bytes("GET", target, headers=edge.key_headers("evolink")))
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 500
            assert b"Traceback" not in answer.body
            assert "report" in answer.json["error"]
        await wire.send(request_bytes("GET", "/evolink/v1/credits", headers=edge.key_headers("evolink")))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 200
    assert "ca.pem" in caplog.text


# -- many at once ---------------------------------------------------------------------------------


async def test_fifty_at_once() -> None:
    """Fifty sessions that are used at the same time each see their own tasks, clock, faults, money and callbacks."""

    async def use(edge: Edge, number: int, url: str) -> None:
        one = inside(edge, f"s{number}", BY[number % 2])
        tasks = number % 4 + 1
        ids = [await told(one, url) for _ in range(tasks)]
        if number % 3 == 0:
            fault_request = {"fault": "error", "with": {"status": 500 + number}, "where": {"operation": "balance"}}
            await one.admin("POST", "/faults", fault_request)
        await one.admin("PUT", "/accounts", {"provider": "crun", "key": "k", "available_credits": number})
        report = await one.advance(3600 + number)
        assert report["acknowledged"] == tasks
        assert report["now_ms"] == MANUAL_START_MS + (3600 + number) * 1000
        listed = (await get(one, "/tasks"))["tasks"]
        assert [each["id"] for each in reversed(listed)] == ids
        assert all(each["status"] == "completed" for each in listed)
        reply = await one.call("GET", "/evolink/v1/credits", headers=one.key_headers("evolink"))
        assert reply.status == (500 + number if number % 3 == 0 else 200)
        (account,) = (await get(one, "/accounts?provider=crun"))["accounts"]
        assert account["available_credits"] == number
        assert (await get(one, "/requests/count"))["count"] == 2 * tasks + 1

    with nothing_logged():
        async with serving() as edge, receiving() as receiver:
            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(use(edge, number, receiver.url(f"/{number}")))
            counts = [sum(each.path == f"/{number}" for each in receiver.got) for number in range(50)]
            assert counts == [number % 4 + 1 for number in range(50)]
            assert len(await sessions(edge)) == 50
            assert (await get(edge, "/tasks"))["total"] == 0
            assert len(edge.mock.journal) == 0


async def test_close_with_sessions_open() -> None:
    """The server closes in peace while sessions hold tasks, streams of events and callbacks under way."""
    arrived, let_go = asyncio.Event(), asyncio.Event()

    async def answer(_: Received) -> int:
        arrived.set()
        await let_go.wait()
        return 200

    with nothing_logged():
        before = asyncio.all_tasks()
        async with AsyncExitStack() as stack:
            receiver = await stack.enter_async_context(receiving(answer))
            edge = await stack.enter_async_context(serving())
            for number in range(5):
                await told(inside(edge, f"s{number}"), receiver.url())
            wire = await stack.enter_async_context(edge.raw())
            await wire.send(request_bytes("GET", "/~s1/__admin/events"))
            moving = asyncio.create_task(inside(edge, "s0").admin("POST", "/clock", {"advance_s": 3600}))
            await arrived.wait()
            await edge.mock.server.close()
            (outcome,) = await asyncio.gather(moving, return_exceptions=True)
            assert isinstance(outcome, ClientError | Response)
            assert list(edge.mock.server.sessions) == []
            let_go.set()
        assert asyncio.all_tasks() == before
        gc.collect()
