"""API keys over the control plane: created and shown once, rotated, revoked, with the account kept."""

from __future__ import annotations

import re

from support.edge import serving
from support.engine import KILN, SHIPPED, providers
from support.tables import for_each

from mockserver.edge.admin.api import control_plane


def test_what_shows_a_key() -> None:
    """Only the two operations that make a key answer with one."""
    paths = control_plane().document.data["paths"].values()
    operations = [each for item in paths for each in item.values() if isinstance(each, dict) and "responses" in each]
    shown = {each["operationId"] for each in operations if "NewKey" in str(each["responses"])}
    assert shown == {"createKey", "rotateKey"}


@for_each("name", SHIPPED)
async def test_a_created_key_works_and_is_shown_once(name: str) -> None:
    """A new key opens an account of its own; no other answer and no journal shows it."""
    async with serving() as edge:
        reply = await edge.admin("POST", "/accounts", {"provider": name, "available_credits": 5000})
        assert reply.status == 200, reply.body
        key, account_id = reply.json["key"], reply.json["id"]
        assert providers()[name].key.well_formed(key)
        assert reply.json["available_credits"] == 5000
        assert (await edge.try_submit(name, key=key)).status == 200
        for path in ("/accounts", f"/accounts/{account_id}", "/requests", "/tasks"):
            shown = await edge.admin("GET", path)
            assert account_id.encode() in shown.body, path
            assert key.encode() not in shown.body, path
        other = await edge.admin("POST", "/accounts", {"provider": name})
        assert other.json["key"] != key


async def test_the_form_of_a_created_key() -> None:
    """googlegeminiomni.com's keys are gomni_ and 64 hexadecimal digits; the same seed gives the same keys."""
    made = []
    for _ in range(2):
        async with serving(seed=3) as edge:
            made.append((await edge.admin("POST", "/accounts", {"provider": "googlegeminiomni"})).json["key"])
    assert re.fullmatch("gomni_[0-9a-f]{64}", made[0])
    assert made[0] == made[1]


@for_each("name", SHIPPED)
async def test_rotation_keeps_the_account(name: str) -> None:
    """After a rotation the old key is refused, and the new one has the tasks and credits of the account."""
    async with serving() as edge:
        old = edge.provider(name).key.example
        task_id = await edge.submit(name)
        (before,) = (await edge.admin("GET", f"/accounts?provider={name}")).json["accounts"]
        reply = await edge.admin("POST", f"/accounts/{before['id']}/rotate-key")
        new = reply.json["key"]
        assert reply.json == {**before, "key": new}
        refused = edge.provider(name).refusals["invalid_key"].status
        assert (await edge.try_submit(name, key=old)).status == refused
        assert (await edge.query(name, task_id, key=old)).status == refused
        assert (await edge.query(name, task_id, key=new)).status == 200
        await edge.try_submit(name, key=new)
        (after,) = (await edge.admin("GET", f"/accounts?provider={name}")).json["accounts"]
        assert (after["id"], after["running_tasks"]) == (before["id"], 2)
        found = await edge.admin("PUT", "/accounts", {"provider": name, "key": old})
        assert found.json["id"] == before["id"]
        assert (await edge.try_submit(name, key=old)).status == refused
        shown = (await edge.admin("GET", "/requests")).body
        assert old.encode() not in shown
        assert new.encode() not in shown


async def test_a_leaked_key() -> None:
    """A key is revoked first and rotated then: the account works again, with the new key only."""
    async with serving() as edge:
        created = (await edge.admin("POST", "/accounts", {"provider": "crun"})).json
        assert (await edge.try_submit("crun", key=created["key"])).status == 200
        await edge.admin("PATCH", f"/accounts/{created['id']}", {"revoked": True})
        assert (await edge.try_submit("crun", key=created["key"])).status == 401
        rotated = (await edge.admin("POST", f"/accounts/{created['id']}/rotate-key")).json
        assert rotated["revoked"] is False
        assert (await edge.try_submit("crun", key=created["key"])).status == 401
        assert (await edge.try_submit("crun", key=rotated["key"])).status == 200


async def test_keys_of_an_unknown_form() -> None:
    """A spec with a pattern and no format has no new keys: the control plane says which word is missing."""
    async with serving(specs=str(KILN)) as edge:
        reply = await edge.admin("POST", "/accounts", {"provider": "kiln"})
        assert (reply.status, reply.json["error"]["code"]) == (409, "conflict")
        assert "key_format" in reply.json["error"]["message"]
        assert (await edge.admin("POST", "/accounts", {"provider": "none"})).status == 404
        assert (await edge.admin("POST", "/accounts/acct_none/rotate-key")).status == 404


async def test_a_charge_of_the_chat_endpoint_has_tokens() -> None:
    """A video model sent to chat is charged with token counts; the charge of a task has none."""
    async with serving() as edge:
        await edge.submit("toapis")
        body = {"model": "gemini_omni", "messages": [{"role": "user", "content": "a heron"}]}
        headers = edge.key_headers("toapis")
        reply = await edge.call("POST", "/toapis/v1/chat/completions", json=body, headers=headers)
        assert reply.json["error"]["message"] == "invalid apitype: -1"
        (account,) = (await edge.admin("GET", "/accounts?provider=toapis")).json["accounts"]
        entries = (await edge.admin("GET", f"/accounts/{account['id']}/ledger")).json["entries"]
        charge = next(each for each in entries if each["kind"] == "charge")
        assert (charge["credits"], charge["task"], charge["tokens"]["output"]) == (0.02, None, 0)
        assert charge["tokens"]["input"] > 0
        assert all("tokens" not in each for each in entries if each["kind"] != "charge")
