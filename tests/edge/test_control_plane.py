"""The control plane: every operation of its document, well and badly asked, and who may ask at all.

Every answer is held to control-plane.yaml, whatever else a test asks of it. What goes wrong by request (faults,
scenarios) and the sessions are asked for in test_control_plane_faults.py.
"""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.control_plane import DOCUMENT, OPERATIONS, ask, bad, check_documented, good
from support.edge import OTHER_KEYS, PROVIDERS, Edge, receiving, request_bytes, serving
from support.tables import for_each

from mockserver import MockServer, __version__
from mockserver.clock import MANUAL_START_MS, iso_of

NO_TASK = "00000000-0000-4000-8000-000000000000"


# -- the server -----------------------------------------------------------------------------------


async def test_health_and_version() -> None:
    """Health tells mock time; version tells what runs, and the seed."""
    async with serving(seed=42) as edge:
        health = await good(edge, "health")
        assert (health["status"], health["now"]) == ("ok", "2026-06-05T00:00:00.000Z")
        assert await good(edge, "version") == {"name": "mockserver", "version": __version__, "seed": 42}


async def test_document() -> None:
    """The control plane hands out its own document."""
    async with serving() as edge:
        assert await good(edge, "document") == orjson.loads(orjson.dumps(DOCUMENT.data))


async def test_providers() -> None:
    """What is served is listed, with its base URL, plans, and the dialects that are switched on."""
    async with serving(providers={"crun": {"dialects": ["always_200"]}}) as edge:
        found = {each["name"]: each for each in (await good(edge, "providers"))["providers"]}
        assert set(found) == set(PROVIDERS)
        assert found["evolink"]["base_url"] == edge.mock.url("evolink")
        assert "api.evolink.ai" in found["evolink"]["hosts"]
        assert "starter" in found["googlegeminiomni"]["plans"]
        assert [each["active"] for each in found["crun"]["dialects"]] == [True]
        assert not any(each["active"] for each in found["toapis"]["dialects"])
        assert found["evolink"]["states"] == ["pending", "processing"]
        ends = {each["name"]: each for each in found["evolink"]["ends"]}
        assert [each["kind"] for each in ends.values()] == ["success", "failure", "cancellation"]
        assert "generation_timeout" in [each["code"] for each in ends["failed"]["reasons"]]
        assert "query" in [each["role"] for each in found["evolink"]["operations"]]


async def test_proxy(tmp_path: Path) -> None:
    """What clients need that use the server as their proxy: the mocked hosts, the CA, and what was refused."""
    async with serving(ca_dir=str(tmp_path)) as edge:
        state = await good(edge, "proxy")
        assert state["mocked_hosts"] == sorted(host for each in edge.mock.server.providers for host in each.hosts)
        assert state["kept_from"] == []
        assert state["ca"] == str(tmp_path / "ca.pem")
        assert state["keys"]["GEMINI_OMNI_API_KEY"] == state["keys"]["GOOGLEGEMINIOMNI_API_KEY"]
        async with edge.raw() as wire:
            await wire.send(request_bytes("GET", "http://api.openai.com/v1/videos", host="api.openai.com"))
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 403
        assert (await good(edge, "proxy"))["kept_from"] == [{"host": "api.openai.com:80", "times": 1}]


async def test_reset_all() -> None:
    """A reset of everything leaves a server as it was at its start: the same ids follow."""
    async with serving() as edge:
        first = await edge.submit("evolink")
        await edge.advance(100)
        state = await good(edge, "reset", {"what": "all"})
        assert state == {"now": iso_of(MANUAL_START_MS), "now_ms": MANUAL_START_MS, "speed": 0, "next_due": None}
        assert await good(edge, "tasks") == {"tasks": [], "total": 0}
        assert await good(edge, "accounts") == {"accounts": []}
        assert await good(edge, "requests") == {"records": []}
        assert await good(edge, "callbacks") == {"callbacks": []}
        assert await edge.submit("evolink") == first


async def test_reset_journal() -> None:
    """A reset of the journal forgets what went over the wire, and nothing else."""
    async with serving() as edge:
        task_id = await edge.submit("evolink")
        await edge.advance(100)
        state = await good(edge, "reset", {"what": "journal"})
        assert state["now_ms"] == MANUAL_START_MS + 100_000
        assert await good(edge, "countRequests") == {"count": 0}
        assert (await good(edge, "task", task_id=task_id))["status"] == "completed"
        await edge.query("evolink", task_id)
        (record,) = (await good(edge, "requests"))["records"]
        assert record["seq"] == 2


# -- the clock ------------------------------------------------------------------------------------


async def test_clock() -> None:
    """The clock stands still until it is moved, by seconds or to an instant, and reports what was done on the way."""
    async with serving() as edge, receiving(500) as receiver:
        task_id = await edge.submit("evolink", callback_url=receiver.url())
        ends_ms = edge.state("evolink").tasks[task_id].ends_ms
        assert (await good(edge, "clock"))["next_due"] == iso_of(ends_ms)
        moved = await good(edge, "moveClock", {"advance_s": 0.001})
        assert moved["now_ms"] == MANUAL_START_MS + 1
        assert (moved["attempts"], moved["acknowledged"], moved["failed"]) == (0, 0, 0)
        moved = await good(edge, "moveClock", {"set": "2026-06-05T02:00:00+01:30"})
        assert moved["now"] == "2026-06-05T00:30:00.000Z"
        assert (moved["attempts"], moved["acknowledged"], moved["failed"]) == (4, 0, 4)
        assert moved["next_due"] is None
        assert await good(edge, "moveClock", {"advance_s": 0}) == {**moved, "attempts": 0, "failed": 0}


async def test_time_never_goes_back() -> None:
    """An instant that has passed is refused with 400, and nothing is changed."""
    async with serving() as edge:
        await edge.advance(60)
        message = await bad(edge, 400, "invalid_time", "moveClock", {"set": "2026-06-05T00:00:59Z"})
        assert "never goes back" in message
        await bad(edge, 400, "invalid_body", "moveClock", {"advance_s": -1})
        assert (await good(edge, "clock"))["now"] == "2026-06-05T00:01:00.000Z"
        assert (await good(edge, "moveClock", {"set": "2026-06-05T00:01:00Z"}))["attempts"] == 0


@for_each(
    ("body", "code"),
    [
        ({}, "invalid_body"),
        ({"advance_s": "60"}, "invalid_body"),
        ({"advance_s": 60, "set": "2030-01-01T00:00:00Z"}, "invalid_body"),
        ({"advance": 60}, "invalid_body"),
        ({"advance_s": 1e300}, "invalid_body"),
        ({"set": "tomorrow"}, "invalid_body"),
        ({"set": "2030-01-01T00:00:00"}, "invalid_body"),
        ({"set": "2030-02-30T00:00:00Z"}, "invalid_time"),
        ({"set": "2030-01-01T25:00:00Z"}, "invalid_"),
        ({"set": "9999-12-31T23:59:59Z"}, "invalid_time"),
        ({"set": "0000-01-01T00:00:00Z"}, "invalid_time"),
        ({"set": "2030-01-01T00:00:00+99:99"}, "invalid_"),
        ({"speed": -1}, "invalid_body"),
        ([], "invalid_body"),
    ],
)
async def test_clock_refuses(body: Any, code: str) -> None:
    """What is no way to move a clock is refused, and it stands where it stood."""
    async with serving() as edge:
        reply = await ask(edge, "moveClock", body)
        assert reply.status == 400
        assert reply.json["error"]["code"].startswith(code)
        assert (await good(edge, "clock"))["now_ms"] == MANUAL_START_MS


async def test_end_of_time() -> None:
    """However often it is moved, the clock stops before dates can no longer be written, and all still works there."""
    async with serving() as edge, receiving() as receiver:
        for _ in range(800):
            reply = await edge.admin("POST", "/clock", {"advance_s": 315_360_000})
            if reply.status != 200:
                break
        assert (reply.status, reply.json["error"]["code"]) == (400, "invalid_time")
        for name in PROVIDERS:
            fields = {} if name == "toapis" else {"callback_url": receiver.url(), "callbackUrl": receiver.url()}
            task_id = await edge.submit(name, **fields)
            await good(edge, "complete", task_id=task_id)
            assert (await edge.query(name, task_id)).status == 200
        await good(edge, "requests")


async def test_speed() -> None:
    """The clock's pace can be changed, and a clock that runs can be stopped."""
    async with serving() as edge:
        assert (await good(edge, "moveClock", {"speed": 100_000}))["speed"] == 100_000
        while (await good(edge, "clock"))["now_ms"] < MANUAL_START_MS + 1000:
            pass
        stopped = await good(edge, "moveClock", {"speed": 0})
        assert (await good(edge, "clock"))["now_ms"] == stopped["now_ms"]


# -- tasks ----------------------------------------------------------------------------------------


async def test_tasks() -> None:
    """Tasks are listed newest first, by provider, account and status, and at most as many as asked for."""
    async with serving() as edge:
        ids = []
        for name in ("evolink", "crun", "evolink"):
            ids.append(await edge.submit(name))
            await edge.advance(1)
        other = await edge.submit("evolink", key=OTHER_KEYS["evolink"])
        await good(edge, "fail", {}, task_id=ids[0])
        listed = await good(edge, "tasks", provider="evolink")
        assert [each["id"] for each in listed["tasks"]] == [other, ids[2], ids[0]]
        everything = await good(edge, "tasks")
        assert [each["provider"] for each in everything["tasks"]] == ["evolink", "evolink", "crun", "evolink"]
        assert everything["total"] == 4
        account = edge.mock.account("evolink").id
        assert [each["id"] for each in (await good(edge, "tasks", account=account))["tasks"]] == [ids[2], ids[0]]
        assert [each["id"] for each in (await good(edge, "tasks", status="failed"))["tasks"]] == [ids[0]]
        assert len((await good(edge, "tasks", limit="1"))["tasks"]) == 1
        assert await good(edge, "tasks", provider="nobody") == {"tasks": [], "total": 4}


@for_each("limit", ["0", "-1", "1001", "x", "", "1.5", "1e2", "%D9%A1", "9" * 30])
async def test_tasks_refuses(limit: str) -> None:
    """A limit that is none is refused."""
    async with serving() as edge:
        await bad(edge, 400, "invalid_parameter", "tasks", limit=limit)


async def test_task() -> None:
    """One task is shown with its course, cost and request."""
    async with serving() as edge:
        told = (await edge.try_submit("evolink", duration=6)).json
        task_id, reserved = told["id"], told["usage"]["credits_reserved"]
        task = await good(edge, "task", task_id=task_id)
        assert (task["provider"], task["status"]) == ("evolink", "pending")
        assert not task["ended"]
        assert not task["held"]
        assert task["submitted_at"] == iso_of(MANUAL_START_MS)
        assert task["ends_at"] == iso_of(edge.state("evolink").tasks[task_id].ends_ms)
        assert task["request"]["duration"] == 6
        assert task["reserved_credits"] == reserved > 0
        assert task["charged_credits"] == 0
        await edge.advance(3600)
        task = await good(edge, "task", task_id=task_id)
        assert (task["status"], task["progress"], task["ended"]) == ("completed", 100, True)
        assert 0 < task["charged_credits"] < reserved
        await bad(edge, 404, "not_found", "task", task_id=NO_TASK)


async def test_hold_and_release() -> None:
    """A held task stands still, as often as it is held; released it goes on, and only a held one can be."""
    async with serving() as edge:
        task_id = await edge.submit("evolink")
        await bad(edge, 409, "conflict", "release", task_id=task_id)
        await edge.advance(10)
        held = await good(edge, "hold", task_id=task_id)
        assert (held["held"], held["ends_at"]) == (True, None)
        await edge.advance(3600)
        assert await good(edge, "hold", task_id=task_id) == held
        released = await good(edge, "release", task_id=task_id)
        assert (released["held"], released["progress"]) == (False, held["progress"])
        assert released["ends_at"] is not None
        await edge.advance(3600)
        assert (await good(edge, "task", task_id=task_id))["ended"] is True
        for operation in ("hold", "release"):
            await bad(edge, 409, "conflict", operation, task_id=task_id)
            await bad(edge, 404, "not_found", operation, task_id=NO_TASK)


async def test_ends() -> None:
    """A task can be completed, failed for a chosen reason, or cancelled; then it has ended for ever."""
    async with serving() as edge:
        ids = [await edge.submit("evolink") for _ in range(4)]
        assert (await good(edge, "complete", task_id=ids[0]))["status"] == "completed"
        first = await good(edge, "fail", {}, task_id=ids[1])
        assert (first["status"], first["reason"], first["charged_credits"]) == ("failed", "service_error", 0)
        chosen = await good(edge, "fail", {"reason": "quota_exceeded"}, task_id=ids[2])
        assert chosen["reason"] == "quota_exceeded"
        assert (await edge.query("evolink", ids[2])).json["error"]["code"] == "quota_exceeded"
        assert (await good(edge, "cancel", task_id=ids[3]))["status"] == "cancelled"
        for task_id in ids:
            for operation, body in (("complete", None), ("fail", {}), ("cancel", None)):
                assert "is final" in await bad(edge, 409, "conflict", operation, body, task_id=task_id)
        await bad(edge, 404, "not_found", "complete", task_id=NO_TASK)
        await bad(edge, 404, "not_found", "fail", {}, task_id=NO_TASK)
        await bad(edge, 404, "not_found", "cancel", task_id=NO_TASK)


async def test_ends_that_are_none() -> None:
    """A reason that the provider does not know, and a cancellation it has not, are refused with what there is."""
    async with serving() as edge:
        task_id = await edge.submit("crun")
        message = await bad(edge, 400, "invalid_body", "fail", {"reason": "bad luck"}, task_id=task_id)
        assert "generation_failed" in message
        await bad(edge, 400, "invalid_body", "fail", {"reason": 7}, task_id=task_id)
        await bad(edge, 400, "invalid_body", "fail", {"because": "x"}, task_id=task_id)
        assert "no cancelled state" in await bad(edge, 400, "invalid_body", "cancel", task_id=task_id)
        assert (await good(edge, "task", task_id=task_id))["ended"] is False


# -- accounts -------------------------------------------------------------------------------------


async def test_accounts() -> None:
    """Accounts are listed by provider, with their money and what is left of their limits; keys are not shown."""
    async with serving() as edge:
        await edge.submit("googlegeminiomni")
        await edge.submit("evolink", key=OTHER_KEYS["evolink"])
        found = (await good(edge, "accounts"))["accounts"]
        assert [each["provider"] for each in found] == ["evolink", "googlegeminiomni"]
        (account,) = (await good(edge, "accounts", provider="googlegeminiomni"))["accounts"]
        assert account["limits_left"] == {
            "requests_per_minute": 29,
            "requests_per_hour": 199,
            "concurrent_tasks": 4,
        }
        assert account["running_tasks"] == 1
        assert account["granted_credits"] == account["available_credits"] + account["reserved_credits"] == 1_000_000
        assert await good(edge, "account", account_id=account["id"]) == account
        await bad(edge, 404, "not_found", "account", account_id="usr_none")
        for name in PROVIDERS:
            assert edge.mock.key(name) not in str(found)
            assert OTHER_KEYS[name] not in str(found)


async def test_open_account() -> None:
    """The account of a key can be opened before it is used, and made what a test needs."""
    async with serving() as edge:
        key = OTHER_KEYS["googlegeminiomni"]
        opened = await good(
            edge,
            "openAccount",
            {"provider": "googlegeminiomni", "key": key, "plan": "starter", "available_credits": 12.5},
        )
        assert (opened["plan"], opened["available_credits"]) == ("starter", 12.5)
        reply = await edge.try_submit("googlegeminiomni", key=key)
        assert reply.status == 403
        again = await good(edge, "openAccount", {"provider": "googlegeminiomni", "key": key})
        assert again["id"] == opened["id"]
        assert again["plan"] == "starter"


async def test_open_account_refuses() -> None:
    """No account is opened for a provider, a key or a plan that cannot be."""
    async with serving() as edge:
        await bad(edge, 404, "not_found", "openAccount", {"provider": "nobody", "key": "k"})
        for wrong in (
            {"provider": "googlegeminiomni", "key": "gomni_short"},
            {"provider": "evolink", "key": "two words"},
            {"provider": "evolink", "key": ""},
            {"provider": "evolink", "key": "ключ"},
            {"provider": "evolink", "key": "k", "plan": "platinum"},
            {"provider": "evolink", "key": "k", "available_credits": -1},
            {"provider": "evolink", "key": "k", "colour": "red"},
            {"provider": "evolink"},
        ):
            await bad(edge, 400, "invalid_body", "openAccount", wrong)
        assert (await good(edge, "accounts"))["accounts"] == []


async def test_change_account() -> None:
    """Plan, credits, secret and key of an account can be changed, and take effect at once."""
    async with serving() as edge:
        await edge.submit("evolink", duration=10)
        account = edge.mock.account("evolink").id
        changed = await good(edge, "changeAccount", {"available_credits": 0.5}, account_id=account)
        assert changed["available_credits"] == 0.5
        assert changed["granted_credits"] == 0.5 + changed["reserved_credits"]
        assert (await edge.try_submit("evolink")).status == 402
        await good(edge, "changeAccount", {"available_credits": 1e9}, account_id=account)
        assert (await edge.try_submit("evolink")).status == 200
        assert (await good(edge, "changeAccount", {"revoked": True}, account_id=account))["revoked"] is True
        assert (await edge.try_submit("evolink")).status == 401
        await good(edge, "changeAccount", {"revoked": False}, account_id=account)
        assert (await edge.try_submit("evolink")).status == 200
        assert await good(edge, "changeAccount", {}, account_id=account) == await good(
            edge, "account", account_id=account
        )


async def test_change_account_refuses() -> None:
    """A change that cannot be is refused whole: nothing of it is done."""
    async with serving() as edge:
        await edge.submit("googlegeminiomni")
        account = edge.mock.account("googlegeminiomni").id
        before = await good(edge, "account", account_id=account)
        changes: tuple[Any, ...] = (
            {"available_credits": 5, "plan": "platinum"},
            {"available_credits": "5"},
            {"available_credits": 1e10},
            {"secret": ""},
            {"revoked": 1},
            {"key": "x"},
            [],
        )
        for wrong in changes:
            await bad(edge, 400, "invalid_body", "changeAccount", wrong, account_id=account)
        await bad(edge, 404, "not_found", "changeAccount", {}, account_id="usr_none")
        assert await good(edge, "account", account_id=account) == before


async def test_ledger() -> None:
    """The ledger shows every movement, oldest first, and adds up to the account."""
    async with serving() as edge:
        done, failed = await edge.submit("evolink", duration=6), await edge.submit("evolink", duration=4)
        account_id = edge.mock.account("evolink").id
        await good(edge, "fail", {}, task_id=failed)
        await edge.advance(3600)
        await good(edge, "changeAccount", {"available_credits": 7}, account_id=account_id)
        entries = (await good(edge, "ledger", account_id=account_id))["entries"]
        kinds = [(each["kind"], each["task"]) for each in entries]
        assert kinds == [
            ("grant", None),
            ("reserve", done),
            ("reserve", failed),
            ("refund", failed),
            ("settle", done),
            ("refund", done),
            ("grant", None),
        ]
        assert [each["at"] for each in entries] == sorted(each["at"] for each in entries)
        account = await good(edge, "account", account_id=account_id)
        total = {kind: sum(each["credits"] for each in entries if each["kind"] == kind) for kind, _ in kinds}
        assert total["grant"] == pytest.approx(account["granted_credits"])
        assert total["settle"] == pytest.approx(account["spent_credits"])
        assert total["reserve"] == pytest.approx(total["settle"] + total["refund"])
        assert account["available_credits"] == 7
        await bad(edge, 404, "not_found", "ledger", account_id="usr_none")


# -- the journal ----------------------------------------------------------------------------------


async def some_traffic(edge: Edge) -> str:
    """Make a few exchanges of different kinds, and a delivery; return the id of a task."""
    async with receiving() as receiver:
        task_id = await edge.submit("evolink", callback_url=receiver.url())
        await edge.query("evolink", task_id)
        await edge.call("GET", "/evolink/v1/credits")
        await edge.call("GET", "/crun/nothing", headers=edge.key_headers("crun"))
        await edge.advance(3600)
    return task_id


async def test_requests() -> None:
    """The journal is read oldest first, filtered by any of its words, and counted in the same way."""
    async with serving() as edge:
        task_id = await some_traffic(edge)
        account = edge.mock.account("evolink").id
        filters: list[tuple[dict[str, str], list[int]]] = [
            ({}, [1, 2, 3, 4, 5]),
            ({"kind": "exchange"}, [1, 2, 3, 4]),
            ({"kind": "delivery"}, [5]),
            ({"provider": "crun"}, [4]),
            ({"operation": "createVideo"}, [1]),
            ({"task": task_id}, [1, 2, 5]),
            ({"account": account}, [1, 2]),
            ({"gate": "key"}, [3]),
            ({"gate": "route"}, [4]),
            ({"method": "POST"}, [1, 5]),
            ({"status": "200"}, [1, 2, 5]),
            ({"status": "401"}, [3]),
            ({"after": "2"}, [3, 4, 5]),
            ({"after": "2", "kind": "exchange", "provider": "evolink"}, [3]),
            ({"provider": "nobody"}, []),
            ({"after": "99"}, []),
        ]
        for words, expected in filters:
            records = (await good(edge, "requests", **words))["records"]
            assert [each["seq"] for each in records] == expected, words
            assert await good(edge, "countRequests", **words) == {"count": len(expected)}, words
        assert len((await good(edge, "requests", limit="2"))["records"]) == 2


@for_each("operation", ["requests", "countRequests"])
@for_each("words", [{"kind": "rumour"}, {"status": "ok"}, {"after": "-1"}, {"after": "x"}])
async def test_requests_refuses(operation: str, words: dict[str, str]) -> None:
    """A filter that means nothing is refused."""
    async with serving() as edge:
        await bad(edge, 400, "invalid_parameter", operation, **words)


async def test_export_ndjson() -> None:
    """The journal as NDJSON is the records, a line each."""
    async with serving() as edge:
        await some_traffic(edge)
        for words in ({}, {"format": "ndjson"}):
            reply = await ask(edge, "exportRequests", **words)
            assert reply.headers["Content-Type"] == "application/x-ndjson"
            assert reply.body.endswith(b"}\n")
            records = [orjson.loads(line) for line in reply.body.splitlines()]
            assert records == (await good(edge, "requests"))["records"]
        await bad(edge, 400, "invalid_parameter", "exportRequests", format="xml")


#: What HAR 1.2 requires, by its own field names.
HAR = {
    "type": "object",
    "required": ["log"],
    "properties": {
        "log": {
            "type": "object",
            "required": ["version", "creator", "entries"],
            "properties": {
                "version": {"const": "1.2"},
                "creator": {"type": "object", "required": ["name", "version"]},
                "entries": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["startedDateTime", "time", "request", "response", "cache", "timings"],
                        "properties": {
                            "startedDateTime": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
                            "time": {"type": "number", "minimum": 0},
                            "request": {
                                "type": "object",
                                "required": [
                                    "method",
                                    "url",
                                    "httpVersion",
                                    "cookies",
                                    "headers",
                                    "queryString",
                                    "headersSize",
                                    "bodySize",
                                ],
                                "properties": {
                                    "url": {"pattern": "^https?://[^/]+/"},
                                    "headers": {"$ref": "#/$defs/pairs"},
                                    "queryString": {"$ref": "#/$defs/pairs"},
                                    "postData": {"type": "object", "required": ["mimeType", "text"]},
                                },
                            },
                            "response": {
                                "type": "object",
                                "required": [
                                    "status",
                                    "statusText",
                                    "httpVersion",
                                    "cookies",
                                    "headers",
                                    "content",
                                    "redirectURL",
                                    "headersSize",
                                    "bodySize",
                                ],
                                "properties": {
                                    "status": {"type": "integer"},
                                    "headers": {"$ref": "#/$defs/pairs"},
                                    "content": {
                                        "type": "object",
                                        "required": ["size", "mimeType"],
                                        "properties": {"size": {"type": "integer"}, "mimeType": {"minLength": 1}},
                                    },
                                },
                            },
                            "cache": {"type": "object"},
                            "timings": {"type": "object", "required": ["send", "wait", "receive"]},
                        },
                    },
                },
            },
        }
    },
    "$defs": {
        "pairs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "value"],
                "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
            },
        }
    },
}


async def test_export_har() -> None:
    """The exchanges as an HTTP archive have every field that HAR 1.2 requires."""
    async with serving() as edge:
        await some_traffic(edge)
        await edge.call("GET", "/evolink/v1/credits?a=1&b=%20&c", headers=edge.key_headers("evolink"))
        archive = await good(edge, "exportRequests", format="har")
        jsonschema.Draft202012Validator(HAR).validate(archive)
        entries = archive["log"]["entries"]
        assert [each["response"]["status"] for each in entries] == [200, 200, 401, 404, 200]
        assert orjson.loads(entries[0]["request"]["postData"]["text"])["callback_url"].startswith("http://127.0.0.1")
        assert entries[0]["request"]["postData"]["mimeType"] == "application/json"
        assert orjson.loads(entries[0]["response"]["content"]["text"])["status"] == "pending"
        assert [each["name"] for each in entries[4]["request"]["queryString"]] == ["a", "b", "c"]


async def test_callbacks_and_redelivery() -> None:
    """Callbacks are listed by task, and one that is over can be sent again."""
    async with serving() as edge, receiving() as receiver:
        ids = [await edge.submit("evolink", callback_url=receiver.url()) for _ in range(2)]
        await edge.advance(3600)
        assert len((await good(edge, "callbacks"))["callbacks"]) == 2
        (found,) = (await good(edge, "callbacks", task=ids[1]))["callbacks"]
        assert (found["task"], found["event"], found["state"]) == (ids[1], "completed", "acknowledged")
        again = await good(edge, "redeliver", delivery_id=found["id"])
        assert again["task"] == ids[1]
        assert len(receiver.got) == 3
        await bad(edge, 404, "not_found", "redeliver", delivery_id="dlv_999999")


async def test_redelivery_of_what_is_under_way() -> None:
    """A callback that still waits for another attempt cannot be sent again: it will be."""
    async with serving() as edge, receiving(500) as receiver:
        task_id = await edge.submit("evolink", callback_url=receiver.url())
        await good(edge, "complete", task_id=task_id)
        (waiting,) = (await good(edge, "callbacks"))["callbacks"]
        assert waiting["state"] == "waiting"
        await bad(edge, 404, "not_found", "redeliver", delivery_id=waiting["id"])


async def test_live_page() -> None:
    """The live page, its files and its events are as the document says; test_live.py tests more."""
    async with serving() as edge:
        assert (await ask(edge, "livePage")).status == 200
        assert (await ask(edge, "livePageInFolder")).status == 200
        for name in ("app.js", "style.css"):
            assert (await ask(edge, "liveFile", file=name)).status == 200
        await bad(edge, 404, "not_found", "liveFile", file="nothing.js")
        assert (await ask(edge, "events", once="true")).status == 200
        await bad(edge, 400, "invalid_parameter", "events", once="perhaps")


# -- asking at all --------------------------------------------------------------------------------


def test_every_operation_is_tested() -> None:
    """Each operation of the document is asked for in these files, by its name."""
    files = [*Path(__file__).parent.glob("test_control_plane*.py"), Path(__file__).with_name("test_live.py")]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [name for name in OPERATIONS if not re.search(rf'"{name}"', text)] == []


async def test_ready() -> None:
    """A server that takes requests is ready; a probe needs no token, and may come under any name."""
    async with serving(admin_token="a-token") as edge:
        reply = await edge.admin("GET", "/ready", Host="10.1.2.3:4010")
        assert (reply.status, reply.json) == (200, {"status": "ready"})
        check_documented("ready", reply)
        edge.mock.server.sessions.closing = True
        reply = await edge.admin("GET", "/ready")
        assert (reply.status, reply.json["error"]["code"]) == (503, "stopping")
        check_documented("ready", reply)


@for_each("path", ["/nothing", "/tasks/", "//health", "/health/", "/tasks/x/y/z"])
async def test_no_such_operation(path: str) -> None:
    """A path that the control plane has not is answered 404, with where to look."""
    async with serving() as edge:
        reply = await edge.admin("GET", path)
        assert reply.status == 404
        assert "openapi.json" in reply.json["error"]["message"]


@for_each("name", OPERATIONS)
async def test_methods(name: str) -> None:
    """A method that a path does not know is answered 405, with those it does know."""
    method, path, _ = OPERATIONS[name]
    known = {each.upper() for each in DOCUMENT.data["paths"][path] if each != "parameters"}

    assert method.upper() in known
    async with serving() as edge:
        for other in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} - known:
            reply = await edge.admin(other, re.sub(r"\{\w+\}", "x", path))
            assert reply.status == 405
            assert set(reply.headers["Allow"].split(", ")) == known
            assert reply.json["error"]["code"] == "method_not_allowed"


WITH_BODY = [name for name, (_, _, entry) in OPERATIONS.items() if "requestBody" in entry]


@for_each("name", WITH_BODY)
async def test_bodies(name: str) -> None:
    """Where a body is asked for, one that is none is refused for what is wrong with it."""
    method, path, _ = OPERATIONS[name]
    path = re.sub(r"\{\w+\}", "x", path)
    cases: list[tuple[bytes, str, int, str]] = [
        (b"", "application/json", 400, "malformed_body"),
        (b"{", "application/json", 400, "malformed_body"),
        (b'{"a": NaN}', "application/json", 400, "malformed_body"),
        (b'{"what": "all", "what": "all"}', "application/json", 400, "malformed_body"),
        (b"[" * 2000, "application/json", 400, "malformed_body"),
        (b"null", "application/json", 400, "invalid_body"),
        (b'{"surprise": 1}', "application/json", 400, "invalid_body"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"what=all", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"x" * 2_000_000, "application/json", 413, "body"),
    ]

    async with serving() as edge:
        for body, kind, status, code in cases:
            headers = {"Content-Type": kind}
            reply = await edge.call(method.upper(), f"/__admin{path}", headers=headers, data=body)
            assert (reply.status, reply.json["error"]["code"]) == (status, code), (body[:20], reply.body)
            check_documented(name, reply)


async def test_body_that_does_not_arrive() -> None:
    """A body that stops coming is given up with 408."""
    async with serving(request_timeout_s=0.1) as edge, edge.raw() as wire:
        headers = {"Content-Type": "application/json", "Content-Length": "100"}
        await wire.send(request_bytes("POST", "/__admin/clock", headers=headers) + b'{"advance_s":')
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 408
        assert answer.json["error"]["code"] == "body"


FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "localhost.evil.example",
    "192.168.0.1:{port}",
    "",
    "[",
    "[::1",
    "a b",
]


@for_each("host", FOREIGN_HOSTS)
async def test_foreign_host(host: str) -> None:
    """A request that means another host is refused, so that no name that is made to lead here gets in."""
    async with serving() as edge, edge.raw() as wire:
        named = host.format(port=edge.port)
        body = {"Content-Type": "application/json", "Content-Length": "17"}
        await wire.send(request_bytes("POST", "/__admin/reset", headers=body, host=named) + b'{"what": "all"}  ')
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 403
        assert answer.json["error"]["code"] == "foreign_host"


@for_each("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "[::1]:{port}", "127.0.0.1"])
async def test_own_host(host: str) -> None:
    """This machine may be called by any of its own names."""
    async with serving() as edge, edge.raw() as wire:
        await wire.send(request_bytes("GET", "/__admin/health", host=host.format(port=edge.port)))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 200


@for_each(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        "http://localhost.evil.example",
        "http://[",
        "",
        "chrome-extension://abcdef",
    ],
)
async def test_foreign_origin(origin: str) -> None:
    """A page from elsewhere cannot use the control plane through its reader's browser."""
    async with serving() as edge:
        task_id = await edge.submit("evolink")
        reply = await edge.admin("POST", f"/tasks/{task_id}/fail", {}, Origin=origin)
        assert reply.status == 403
        assert reply.json["error"]["code"] in ("foreign_origin", "foreign_host")
        assert "Access-Control-Allow-Origin" not in reply.headers
        assert (await good(edge, "task", task_id=task_id))["ended"] is False


async def test_own_origin() -> None:
    """A page of the server's own may."""
    async with serving() as edge:
        assert (await edge.admin("GET", "/health", Origin=edge.root)).status == 200


@pytest.mark.parametrize("given", [None, "token-of-my-own"])
async def test_token_off_loopback(given: str | None) -> None:
    """A server that others can reach asks for a token: the one it was given, or one of its own making."""
    async with serving(host="0.0.0.0", admin_token=given) as edge:
        token = edge.mock.server.admin_token
        assert token is not None
        assert token == given if given else len(token) >= 24
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer"},
            {"Authorization": f"Basic {token}"},
            {"Authorization": f"Bearer {token}x"},
            {"Authorization": f"Bearer {token[:-1]}"},
            {"X-Admin-Token": "wrong"},
            {"X-Admin-Token": ""},
        ):
            reply = await edge.admin("GET", "/health", **headers)
            assert (reply.status, reply.json["error"]["code"]) == (401, "token_required"), headers
            check_documented("health", reply)
        for headers in (
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"bearer {token}"},
            {"X-Admin-Token": token},
        ):
            assert (await edge.admin("GET", "/health", **headers)).status == 200, headers
        assert (await edge.call("GET", "/evolink/v1/credits", headers=edge.key_headers("evolink"))).status == 200


async def test_tokens_differ() -> None:
    """Two servers do not make up the same token, whatever their seeds."""

    async def token() -> str | None:
        async with serving(host="0.0.0.0", seed=1) as edge:
            return edge.mock.server.admin_token

    assert await token() != await token()


async def test_token_on_loopback() -> None:
    """On loopback no token is asked for, unless one was set."""
    async with serving() as edge:
        assert edge.mock.server.admin_token is None
    async with serving(admin_token="mine") as edge:
        assert (await edge.admin("GET", "/health")).status == 401
        assert (await edge.admin("GET", "/health", Authorization="Bearer mine")).status == 200


async def test_public_url_is_an_own_host() -> None:
    """Where a public URL is set, its host is one of the server's own."""
    async with serving(public_url="https://mock.example/base") as edge:
        assert (await edge.admin("GET", "/health", Host="mock.example")).status == 200
        assert (await edge.admin("GET", "/health", Host="other.example")).status == 403


async def test_control_plane_is_not_journaled() -> None:
    """What is asked of the control plane does not stand in the journal, which is about providers."""
    async with serving() as edge:
        await edge.admin("GET", "/health")
        await edge.admin("GET", "/nothing")
        assert (await good(edge, "countRequests")) == {"count": 0}


def test_without_async() -> None:
    """The control plane is the same if the server runs in a thread."""
    with MockServer() as mock, urllib.request.urlopen(f"{mock.admin_url}/health") as response:
        assert orjson.loads(response.read())["status"] == "ok"


async def test_the_root_leads_a_browser_to_the_page() -> None:
    """With and without a slash, in a session too, the query kept; no token is needed for that."""
    async with serving(admin_token="secret") as edge:
        for path in ("/__admin", "/__admin/", "/~mine/__admin/"):
            answer = await edge.call("GET", f"{path}?token=secret")
            assert (answer.status, answer.headers["Location"]) == (302, f"{path.rstrip('/')}/ui?token=secret")
            check_documented("root", answer)
        page = await edge.call("GET", answer.headers["Location"])
        assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


async def test_metrics() -> None:
    """Everything that is counted, of all sessions, as Prometheus reads it."""
    async with serving() as edge, receiving() as receiver:
        await edge.submit("evolink", callback_url=receiver.url())
        await edge.call("GET", "/evolink/nowhere")
        await edge.call("GET", "/~mine/crun/nowhere")
        edge.mock.evolink.refuse_next(503)
        await edge.call("GET", edge.path_of("evolink", "balance"), headers=edge.key_headers("evolink"))
        await edge.advance(600)
        answer = await edge.call("GET", "/__admin/metrics")
        check_documented("metrics", answer)
    families = {each.name: each for each in text_string_to_metric_families(answer.body.decode())}
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    latency = "mockserver_answer_seconds"
    assert found.pop(("mockserver_connections",)) >= 1
    assert {key: value for key, value in found.items() if not str(key[0]).startswith(latency)} == {
        ("mockserver_callback_attempts_total", ("outcome", "acknowledged"), ("provider", "evolink")): 1,
        ("mockserver_callbacks_waiting",): 0,
        ("mockserver_faults_total", ("fault", "error"), ("provider", "evolink")): 1,
        ("mockserver_requests_total", ("operation", ""), ("provider", "crun"), ("status", "404")): 1,
        ("mockserver_requests_total", ("operation", ""), ("provider", "evolink"), ("status", "404")): 1,
        ("mockserver_requests_total", ("operation", "createVideo"), ("provider", "evolink"), ("status", "200")): 1,
        ("mockserver_requests_total", ("operation", "getCredits"), ("provider", "evolink"), ("status", "503")): 1,
        ("mockserver_tasks", ("provider", "evolink"), ("state", "completed")): 1,
    }
    buckets = [value for key, value in found.items() if key[0] == f"{latency}_bucket"]
    assert sorted(buckets) == buckets
    assert buckets[-1] == found[f"{latency}_count",] == 4
    assert found[f"{latency}_sum",] > 0


async def test_metrics_without_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """501 says what to install; nothing is counted."""
    monkeypatch.setattr("mockserver.edge.server.new_metrics", lambda: None)
    async with serving() as edge:
        assert "[metrics]'" in await bad(edge, 501, "not_installed", "metrics")
        assert edge.mock.runtime.journal.counts is None
