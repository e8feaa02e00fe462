"""Keys that bring a situation with them: no credits, a revoked key, one submit a minute, a key without scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from support.edge import Edge, Response, serving
from support.engine import ALL, KILN, providers
from support.tables import for_each

if TYPE_CHECKING:
    from mockserver.provider import TestKey as Kind

GATES = {"insufficient_credits": "credits", "invalid_key": "key", "rate_exceeded": "rate", "plan_forbidden": "plan"}
WITH_TEST_KEYS = tuple(name for name in ALL if providers()[name].key.test_keys)


def key_of(name: str, kind: Kind) -> str:
    """The test key of a kind."""
    return next(key for key, each in providers()[name].key.test_keys.items() if each == kind)


def refusal(edge: Edge, name: str, reply: Response, condition: str) -> None:
    """Hold an answer to what the provider says to a condition, at the gate that sees to it."""
    error, header = edge.provider(name).refusals[condition], edge.provider(name).request_id_header
    assert reply.status == error.status, reply.body
    server = edge.mock.server
    worlds = (server.runtime, *(server.sessions.get(each) for each in server.sessions))
    records = [record for each in worlds for record in each.journal.records(kind="exchange", status=error.status)]
    (found, *_) = [each for each in records if [header, reply.headers[header]] in each["response"]["headers"]]
    assert (found["gate"], found["error"]) == (GATES[condition], error.name)
    assert orjson.loads(found["response"]["body"]) == reply.json


async def submitted(edge: Edge, name: str, key: str | None = None) -> str:
    """Submit a task that must be taken; return its id."""
    operation = next(each for each in edge.provider(name).operations.values() if each.role == "submit")
    reply = await edge.try_submit(name, key=key)
    assert reply.status == operation.status, reply.body
    return next(reversed(edge.state(name).tasks))


async def account_of(edge: Edge, name: str, key: str, **changes: Any) -> Any:
    """The account of a key, as the control plane shows it; changed, if changes are named."""
    reply = await edge.admin("PUT", "/accounts", {"provider": name, "key": key, **changes})
    assert reply.status == 200, reply.body
    return reply.json


def world(**settings: Any) -> Any:
    """A mock that serves every provider with test keys."""
    return serving(specs=str(KILN), **settings)


def test_who_has_them() -> None:
    """Every provider that is shipped has a test key of each kind: well-formed, different, not the one that works."""
    assert WITH_TEST_KEYS == ALL
    for name in WITH_TEST_KEYS:
        rule = providers()[name].key
        assert set(rule.test_keys.values()) == {"no_credits", "revoked", "rate_limited", "no_scope"}
        assert len(rule.test_keys) == 4
        assert all(rule.well_formed(key) for key in rule.test_keys)
        assert rule.example not in rule.test_keys


@for_each("credits_mode", ["ample", "documented"])
@for_each("name", WITH_TEST_KEYS)
async def test_no_credits(name: str, credits_mode: str) -> None:
    """The account has nothing, so that a submit is refused for want of credits, until it is given some."""
    async with world(credits=credits_mode) as edge:
        key = key_of(name, "no_credits")
        for _ in range(2):
            refusal(edge, name, await edge.try_submit(name, key=key), "insufficient_credits")
        assert edge.state(name).tasks == {}
        account = await account_of(edge, name, key)
        assert account["available_credits"] == account["granted_credits"] == account["reserved_credits"] == 0
        assert account["revoked"] is False
        await account_of(edge, name, key, available_credits=1000)
        await submitted(edge, name, key)


@for_each("name", WITH_TEST_KEYS)
async def test_revoked(name: str) -> None:
    """The key is refused everywhere that a key is asked for, until the control plane lets it in again."""
    async with world() as edge:
        key = key_of(name, "revoked")
        task_id = await submitted(edge, name)
        refusal(edge, name, await edge.try_submit(name, key=key), "invalid_key")
        refusal(edge, name, await edge.query(name, task_id, key=key), "invalid_key")
        for operation in edge.provider(name).operations.values():
            if operation.secured and "{" not in operation.path:
                headers = edge.key_headers(name, key)
                reply = await edge.call(operation.method, f"/{name}{operation.path}", headers=headers)
                refusal(edge, name, reply, "invalid_key")
        assert (await account_of(edge, name, key))["revoked"] is True
        await account_of(edge, name, key, revoked=False)
        await submitted(edge, name, key)


@for_each("name", WITH_TEST_KEYS)
async def test_no_scope(name: str) -> None:
    """The key is well-formed and known, but may not use the API, until its account is put on a plan again."""
    async with world() as edge:
        key = key_of(name, "no_scope")
        task_id = await submitted(edge, name)
        refusal(edge, name, await edge.try_submit(name, key=key), "plan_forbidden")
        refusal(edge, name, await edge.query(name, task_id, key=key), "plan_forbidden")
        await account_of(edge, name, key, plan=edge.provider(name).default_plan)
        await submitted(edge, name, key)


async def test_the_scope_of_a_toapis_key() -> None:
    """ToAPIs answers a key without the scope with 401 authentication_error, like any key that is wrong."""
    async with world() as edge:
        reply = await edge.try_submit("toapis", key=key_of("toapis", "no_scope"))
        assert (reply.status, reply.json["error"]["type"]) == (401, "authentication_error")


@for_each("name", WITH_TEST_KEYS)
async def test_rate_limited(name: str) -> None:
    """One submit passes; the next is refused, where the provider says so with how long to wait, for that minute."""
    async with world() as edge:
        key = key_of(name, "rate_limited")
        for _ in range(2):
            await submitted(edge, name, key)
            await edge.advance(20)
            reply = await edge.try_submit(name, key=key)
            refusal(edge, name, reply, "rate_exceeded")
            tells = edge.provider(name).refusals["rate_exceeded"].retry_after
            assert reply.headers.get("Retry-After") == ("40" if tells else None)
            await edge.advance(39.999)
            refusal(edge, name, await edge.try_submit(name, key=key), "rate_exceeded")
            await edge.advance(0.001)
        await submitted(edge, name, key)
        account = await account_of(edge, name, key)
        plain = await account_of(edge, name, edge.provider(name).key.example)
        assert account["limits"] == {**plain["limits"], "requests_per_minute": 1}
        assert account["plan"] == plain["plan"]


@for_each("name", WITH_TEST_KEYS)
async def test_queries_of_the_rate_limited(name: str) -> None:
    """Queries count against the limit where the provider counts all requests, and pass where it does not."""
    async with world() as edge:
        key = key_of(name, "rate_limited")
        task_id = await submitted(edge, name, key)
        reply = await edge.query(name, task_id, key=key)
        if edge.provider(name).counts_all_requests:
            refusal(edge, name, reply, "rate_exceeded")
        else:
            assert reply.status == 200


@for_each("name", WITH_TEST_KEYS)
async def test_other_keys_are_not_touched(name: str) -> None:
    """Whatever becomes of the test keys, other keys of the provider are served as ever."""
    async with world() as edge:
        for key in edge.provider(name).key.test_keys:
            await edge.try_submit(name, key=key)
            await edge.try_submit(name, key=key)
        for _ in range(2):
            await submitted(edge, name)
        for key in edge.provider(name).key.test_keys:
            task_id = next(reversed(edge.state(name).tasks))
            reply = await edge.query(name, task_id, key=key)
            refused = edge.provider(name).refusals["plan_forbidden"].status
            assert reply.status in (401, 404, 429, refused)


@for_each("name", WITH_TEST_KEYS)
async def test_after_a_reset(name: str) -> None:
    """A reset, and another session, find the test keys as they were at the start, whatever was done to them."""
    async with world() as edge:
        for way in ("", "/~one", "reset"):
            if way == "reset":
                await edge.mock.reset()
            prefix = "" if way == "reset" else way
            path = prefix + edge.path_of(name, "submit")
            for kind, condition in (("no_credits", "insufficient_credits"), ("revoked", "invalid_key")):
                key = key_of(name, kind)  # type: ignore[arg-type]  # the two are kinds
                reply = await edge.call(
                    "POST", path, headers=edge.key_headers(name, key), json=dict(edge_body(edge, name))
                )
                refusal(edge, name, reply, condition)
                change = {"provider": name, "key": key, "revoked": False, "available_credits": 500}
                changed = await edge.call("PUT", f"{prefix}/__admin/accounts", json=change)
                assert changed.json["available_credits"] == 500


def edge_body(edge: Edge, name: str) -> Any:
    """The example of the provider's first model."""
    return next(iter(edge.provider(name).models.values())).example


@for_each("name", WITH_TEST_KEYS)
async def test_they_are_keys_to_the_journal_too(name: str) -> None:
    """Test keys do not stand in the journal in clear, refused or not, and not in the list of accounts."""
    async with world() as edge:
        for key in edge.provider(name).key.test_keys:
            await edge.try_submit(name, key=key)
        shown = edge.mock.journal.ndjson() + orjson.dumps((await edge.admin("GET", "/accounts")).json)
        for key in edge.provider(name).key.test_keys:
            assert key.encode() not in shown


@for_each("name", WITH_TEST_KEYS)
async def test_with_test_values(name: str) -> None:
    """A test key and a test value in one request: the fault comes first, then the key's own situation."""
    async with world() as edge:
        key = key_of(name, "no_credits")
        headers = {"X-Mock-Fault": "error;status=503"}
        body = edge_body(edge, name)
        path = edge.path_of(name, "submit")
        reply = await edge.call("POST", path, headers={**edge.key_headers(name, key), **headers}, json=body)
        assert reply.status == 503
        refusal(edge, name, await edge.try_submit(name, key=key), "insufficient_credits")
