"""Webhooks over HTTP: what receivers verify, and accounts that have an address."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest
import standardwebhooks
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook
from support.edge import receiving, serving
from support.jobs import spec_with

from mockserver.edge.build import providers_of
from mockserver.settings import ConfigError, Settings
from mockserver.testing.running import MockServer

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "whsec_" + base64.b64encode(b"a webhook secret").decode()
OTHER = "whsec_" + base64.b64encode(b"another webhook secret").decode()
STANDARD: dict[str, Any] = {"signature": {"scheme": "standard_webhooks", "default_secret": SECRET}}
JWKS = "/.well-known/jwks.json"
BODY = {"model": "film-1", "prompt": "A red kite"}


@pytest.fixture
def jobs(tmp_path: Path) -> str:
    """The small provider, with Standard Webhooks."""
    return written(tmp_path, spec_with(STANDARD))


def written(folder: Path, text: str) -> str:
    """Write a spec into a file."""
    path = folder / "jobs.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


async def submitted(edge: Any, **fields: Any) -> str:
    """Submit a task; return its id."""
    reply = await edge.call("POST", "/jobs/v1/jobs", headers=edge.key_headers("jobs"), json={**BODY, **fields})
    assert reply.status == 200, reply.body
    return str(reply.json["id"])


def verified(secret: str, received: Any) -> Any:
    """Verify a callback as its receiver does, with the library and the time of day."""
    headers = {name.lower(): value for name, value in received.headers.items()}
    return Webhook(secret).verify(received.body, headers)


async def test_a_receiver_verifies_by_its_own_clock_at_any_speed(jobs: str) -> None:
    """At 1000x, where mock time is far ahead, the time that is signed is the receiver's."""
    arrived = asyncio.Event()

    async def answer(_received: Any) -> int:
        arrived.set()
        return 200

    async with serving(specs=[jobs], builtin=False, clock="real", speed=1000) as edge, receiving(answer) as receiver:
        await edge.admin("POST", "/clock", {"advance_s": 86_400})
        await submitted(edge, webhook=receiver.url())
        await asyncio.wait_for(arrived.wait(), 20)
        assert verified(SECRET, receiver.got[0])["type"] == "job.succeeded"


async def test_on_a_manual_clock_the_time_is_mock_time_unless_said_otherwise(jobs: str) -> None:
    """The same bytes each time; with `callback_time: wall`, receivers with the time of day verify them."""
    for callback_time in (None, "wall"):
        async with serving(specs=[jobs], builtin=False, callback_time=callback_time) as edge, receiving() as receiver:
            await submitted(edge, webhook=receiver.url())
            await edge.advance(60)
            (callback,) = receiver.got
            if callback_time is None:
                assert callback.headers["webhook-timestamp"] == "1780617610"
                with pytest.raises(standardwebhooks.WebhookVerificationError, match="timestamp"):
                    verified(SECRET, callback)
            else:
                verified(SECRET, callback)


async def test_attempts_have_one_id_and_times_of_their_own(jobs: str) -> None:
    """The receiver, and the journal, see the id of the first attempt again, with a new time and signature."""
    async with serving(specs=[jobs], builtin=False) as edge, receiving(500) as receiver:
        await submitted(edge, webhook=receiver.url())
        await edge.advance(1000)
        records = [dict(each["request"]["headers"]) for each in edge.mock.journal.find(kind="delivery")]
    for seen in (records, [each.headers for each in receiver.got]):
        assert len(seen) == 3
        assert len({each["webhook-id"] for each in seen}) == 1
        assert [int(each["webhook-timestamp"]) - 1_780_617_610 for each in seen] == [0, 5, 65]
        assert len({each["webhook-signature"] for each in seen}) == 3


# -- accounts with an address -----------------------------------------------------------------------


async def test_an_account_has_an_address_and_a_secret_by_the_control_plane(jobs: str) -> None:
    """A submit that names no address calls back there; one that does, where it says; null takes it away."""
    async with serving(specs=[jobs], builtin=False) as edge, receiving() as receiver:
        await submitted(edge)
        (account,) = (await edge.admin("GET", "/accounts")).json["accounts"]
        assert "webhook_url" not in account
        changes = {"webhook_url": receiver.url("/account"), "secret": OTHER}
        changed = await edge.admin("PATCH", f"/accounts/{account['id']}", changes)
        assert (changed.status, changed.json["webhook_url"]) == (200, receiver.url("/account"))
        first = await submitted(edge)
        await submitted(edge, webhook=receiver.url("/own"))
        await edge.advance(60)
        assert [each.path for each in receiver.got] == ["/account", "/own"]
        assert receiver.got[0].json["job"] == first
        await edge.admin("PATCH", f"/accounts/{account['id']}", {"webhook_url": None})
        await submitted(edge)
        await edge.advance(60)
        assert len(receiver.got) == 2


async def test_an_account_chooses_its_events(tmp_path: Path) -> None:
    """Only the events that the account asks for are sent to its address, by the names that the spec gives them."""
    named = {**STANDARD, "filter": {"names": {"job.done": ["succeeded"], "job.broken": ["failed"]}}}
    spec = written(tmp_path, spec_with(named, url=None))
    async with serving(specs=[spec], builtin=False) as edge, receiving() as receiver:
        told = {"provider": "jobs", "key": "sk-test", "webhook_url": receiver.url(), "webhook_events": ["job.broken"]}
        assert (await edge.admin("PUT", "/accounts", told)).status == 200
        good, bad = await submitted(edge), await submitted(edge)
        await edge.admin("POST", f"/tasks/{bad}/fail", {})
        await edge.advance(60)
        assert [(each.json["type"], each.json["job"]) for each in receiver.got] == [("job.failed", bad)]
        assert good != bad


async def test_settings_give_every_account_an_address(jobs: str) -> None:
    """`webhook_url` and `webhook_secret`, for all providers or for one."""
    async with receiving() as receiver:
        settings = {"webhook_url": receiver.url("/all"), "webhook_secret": OTHER, "callback_time": "wall"}
        async with serving(specs=[jobs], builtin=False, **settings) as edge:
            await submitted(edge)
            await edge.advance(60)
        assert [each.path for each in receiver.got] == ["/all"]
        verified(OTHER, receiver.got[0])
        async with serving(
            specs=[jobs], builtin=False, providers={"jobs": {"webhook_url": receiver.url("/one")}}
        ) as edge:
            await submitted(edge)
            await edge.advance(60)
        assert [each.path for each in receiver.got] == ["/all", "/one"]


async def test_the_spec_may_have_an_address(tmp_path: Path) -> None:
    """`default_url` is that of every account; `url` may then be missing."""
    async with receiving() as receiver:
        data = yaml.safe_load(spec_with({**STANDARD, "default_url": receiver.url("/spec")}))
        del data["x-mock"]["callbacks"]["url"]
        async with serving(specs=[written(tmp_path, yaml.safe_dump(data))], builtin=False) as edge:
            await submitted(edge)
            await edge.advance(60)
        assert [each.path for each in receiver.got] == ["/spec"]


async def test_the_python_handle_sets_an_address(jobs: str) -> None:
    """`account.set_webhook`, with the events that are wanted."""
    async with MockServer(specs=[jobs], builtin=False) as mock, receiving() as receiver:
        account = mock.account("jobs")
        account.set_webhook(receiver.url())
        state = mock.server.runtime.world.providers["jobs"]
        assert state.account("sk-test", 0).webhook_url == receiver.url()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"webhook_url": "ftp://x.example/"}, "webhook_url: is not an absolute http(s) URL"),
        ({"webhook_url": "http://10.0.0.1/"}, "webhook_url: leads to an internal address"),
        ({"secret": "no base64!"}, "secret: must be base64"),
    ],
)
async def test_a_wrong_address_or_secret_is_refused(jobs: str, changes: dict[str, str], said: str) -> None:
    """The control plane and the settings say what is wrong."""
    async with serving(specs=[jobs], builtin=False) as edge:
        reply = await edge.admin("PUT", "/accounts", {"provider": "jobs", "key": "sk-test", **changes})
        assert (reply.status, said in reply.json["error"]["message"]) == (400, True)
    settings = {
        name.replace("secret", "webhook_secret").replace("webhook_webhook", "webhook"): value
        for name, value in changes.items()
    }
    if not settings.get("webhook_url", "").startswith("ftp"):
        with pytest.raises(ConfigError, match=r"webhook_\w+: .*, at jobs; set it in"):
            providers_of(Settings(spec=(jobs,), builtin=False, **settings))  # type: ignore[arg-type]


async def test_a_key_is_published(tmp_path: Path) -> None:
    """The JSON Web Key Set needs no API key, at the provider's path; it verifies the callbacks."""
    signature = {"scheme": "standard_webhooks", "algorithm": "ed25519"}
    keys = {
        "operationId": "keys",
        "security": [],
        "responses": {"200": {"description": "The keys."}},
        "x-mock": {"role": "keys"},
    }
    spec = written(tmp_path, spec_with({"signature": signature}, paths={JWKS: {"get": keys}}))
    async with serving(specs=[spec], builtin=False) as edge, receiving() as receiver:
        (key,) = (await edge.call("GET", f"/jobs{JWKS}")).json["keys"]
        await submitted(edge, webhook=receiver.url())
        await edge.advance(60)
        (callback,) = receiver.got
        public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
        version, _, signed = callback.headers["webhook-signature"].partition(",")
        content = f"{callback.headers['webhook-id']}.{callback.headers['webhook-timestamp']}.".encode() + callback.body
        public.verify(base64.b64decode(signed), content)
        assert version == "v1a"


async def test_the_journal_does_not_show_a_token(tmp_path: Path) -> None:
    """The header with the token of a submit is redacted, like one with a key."""
    signature = {"header": "X-Callback-Token", "algorithm": "token", "secret": "$request.header.X-Webhook-Token"}
    spec = written(tmp_path, spec_with({"signature": signature}))
    async with serving(specs=[spec], builtin=False) as edge, receiving() as receiver:
        headers = {**edge.key_headers("jobs"), "X-Webhook-Token": "tok-123456"}
        await edge.call("POST", "/jobs/v1/jobs", headers=headers, json={**BODY, "webhook": receiver.url()})
        await edge.advance(60)
        assert receiver.got[0].headers["X-Callback-Token"] == "tok-123456"
        (record,) = edge.mock.journal.find(kind="delivery")
        assert "tok-123456" not in dict(record["request"]["headers"])["X-Callback-Token"]
