"""Signatures of callbacks in the forms of the field: each is verified with what its receivers use."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import standardwebhooks.webhooks
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from support.jobs import KEYS, LASTS_MS, RECEIVER, START_MS, Jobs, issues_of, spec_with

from mockserver.edge.account_changes import apply_changes
from mockserver.edge.rule_codec import read_fault_request
from mockserver.faults import all_faults

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "whsec_" + base64.b64encode(b"a webhook secret").decode()
OTHER = "whsec_" + base64.b64encode(b"another webhook secret").decode()
STANDARD = {"signature": {"scheme": "standard_webhooks", "default_secret": SECRET}}
STAMPED = {
    "signature": {
        "header": "Jobs-Signature",
        "algorithm": "hmac-sha256",
        "content": "{$callback.sent_unix_s}.{$callback.body}",
        "value": "t={$callback.sent_unix_s},{$signature}",
        "prefix": "v1=",
        "separator": ",",
        "default_secret": "a secret",
        "previous_secret_s": 3600,
    }
}
PUBLISHED: dict[str, Any] = {
    "headers": {"X-Request-Id": "$callback.id", "X-User-Id": "$account.id", "X-Time": "$callback.sent_unix_s"},
    "signature": {
        "header": "X-Signature",
        "algorithm": "ed25519",
        "content": "{$callback.id}\n{$account.id}\n{$callback.sent_unix_s}\n{$callback.body_sha256}",
    },
}
TOKEN = {"signature": {"header": "X-Callback-Token", "algorithm": "token", "secret": "$request.body#/webhook_secret"}}
FORMS: dict[str, dict[str, Any]] = {"standard": STANDARD, "stamped": STAMPED, "published": PUBLISHED, "token": TOKEN}
FORGING = sorted(name for name, kind in all_faults().items() if kind.forges_signature)


@pytest.fixture
def receiver_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library's clock show the end of the task."""

    class AtTheEnd(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.fromtimestamp((START_MS + LASTS_MS) / 1000, tz=tz or UTC)

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", AtTheEnd)


def lowered(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return headers by their names in lower case."""
    return {name.lower(): value for name, value in headers}


# -- Standard Webhooks ------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["standard_webhooks", "svix"])
def test_standard_webhooks_are_verified_by_the_library(receiver_time: None, scheme: str) -> None:
    """`webhook-id`, `webhook-timestamp` and `webhook-signature`, with svix under its names, are what it verifies."""
    callback = Jobs({"signature": {"scheme": scheme, "default_secret": SECRET}}).callback()
    names = {"svix-id": "webhook-id", "svix-timestamp": "webhook-timestamp", "svix-signature": "webhook-signature"}
    headers = {names.get(name, name): value for name, value in lowered(callback.headers).items()}
    if scheme == "svix":
        assert not any(name.startswith("webhook-") for name, _ in callback.headers)
    verified: Any = Webhook(SECRET).verify(callback.body, headers)
    assert verified["type"] == "job.succeeded"
    assert headers["webhook-id"] == verified["id"] == callback.callback_id
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(callback.body, headers)


def test_the_time_is_that_of_the_attempt_and_the_id_stays() -> None:
    """Each attempt is signed anew for its own time; the id does not change, nor does any other header."""
    callback = Jobs(STANDARD).callback()
    first = lowered(callback.headers)
    callback.seal(callback.due_ms + 60_000)
    second = lowered(callback.headers)
    assert int(second["webhook-timestamp"]) == int(first["webhook-timestamp"]) + 60
    assert second["webhook-signature"] != first["webhook-signature"]
    assert {name for name in first if first[name] != second[name]} == {"webhook-timestamp", "webhook-signature"}


def test_after_a_change_of_the_secret_both_sign(receiver_time: None) -> None:
    """While the old secret is still valid, the header has the new signature first, then the old one."""
    jobs = Jobs({"signature": {**STANDARD["signature"], "previous_secret_s": 60}})
    account = jobs.state.account("sk-test", START_MS)
    account.change_secret(OTHER, START_MS)
    callback = jobs.callback()
    headers = lowered(callback.headers)
    assert [each[:3] for each in headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(callback.body, headers)
    first, _ = headers["webhook-signature"].split(" ")
    Webhook(OTHER).verify(callback.body, headers | {"webhook-signature": first})


def test_the_old_secret_is_valid_for_so_long() -> None:
    """After `previous_secret_s` only the new secret signs."""
    jobs = Jobs({"signature": {**STANDARD["signature"], "previous_secret_s": 5}})
    jobs.state.account("sk-test", START_MS).change_secret(OTHER, START_MS)
    assert " " not in lowered(jobs.callback().headers)["webhook-signature"]


# -- timestamped HMAC, tokens -----------------------------------------------------------------------


def test_a_timestamped_hmac_has_time_and_signature_in_one_header() -> None:
    """`t=…,v1=…` over `time.body`, as the spec's templates say."""
    callback = Jobs(STAMPED).callback()
    told = dict(part.split("=", 1) for part in lowered(callback.headers)["jobs-signature"].split(","))
    wanted = hmac.new(b"a secret", f"{told['t']}.".encode() + callback.body, hashlib.sha256).hexdigest()
    assert told == {"t": str((START_MS + LASTS_MS) // 1000), "v1": wanted}


def test_two_secrets_make_two_signatures_in_one_header() -> None:
    """With `separator: ','` they are `v1=…,v1=…`."""
    jobs = Jobs(STAMPED)
    jobs.state.account("sk-test", START_MS).change_secret("a new secret", START_MS)
    value = lowered(jobs.callback().headers)["jobs-signature"]
    assert [part.partition("=")[0] for part in value.split(",")] == ["t", "v1", "v1"]


def test_what_is_signed_may_name_the_address() -> None:
    """`{$callback.url}` and any expression of the task may be signed; base64url is written with - and _."""
    signature = {
        "header": "X-Sign",
        "algorithm": "hmac-sha512",
        "encoding": "base64url",
        "content": "POST {$callback.url} {$task.id} {$callback.body}",
        "default_secret": "s",
    }
    callback = Jobs({"signature": signature}).callback()
    content = f"POST {RECEIVER} {callback.task_id} ".encode() + callback.body
    wanted = base64.urlsafe_b64encode(hmac.new(b"s", content, hashlib.sha512).digest()).decode()
    assert lowered(callback.headers)["x-sign"] == wanted


def test_a_token_of_the_submit_is_sent_along() -> None:
    """The body names a token, or a header and a token; without one nothing is sent."""
    jobs = Jobs(TOKEN)
    assert lowered(jobs.callback(webhook_secret="tok-1").headers)["x-callback-token"] == "tok-1"
    assert "x-callback-token" not in lowered(jobs.callback().headers)
    signature = {**TOKEN["signature"], "header": "$request.body#/webhook_header", "prefix": "Bearer "}
    callback = Jobs({"signature": signature}).callback(webhook_secret="tok-2", webhook_header="Authorization")
    assert dict(callback.headers)["Authorization"] == "Bearer tok-2"


def test_what_a_submit_sends_cannot_add_a_header() -> None:
    """A header is one line, whatever the fields that it shows."""
    headers = {"X-About": "{$callback.id} {$request.body#/prompt}"}
    callback = Jobs({"headers": headers}).callback(prompt="a\r\nX-Other: b")
    assert dict(callback.headers)["X-About"] == f"{callback.callback_id} a  X-Other: b"


def test_a_header_of_the_submit_may_have_the_token() -> None:
    """`secret: $request.header.NAME` reads it where the submit sends it, and keeps it for the end of the task."""
    jobs = Jobs({"signature": {**TOKEN["signature"], "secret": "$request.header.X-Webhook-Token"}})
    jobs.submit(webhook=RECEIVER, headers={"X_Webhook_Token": "from a header"})
    assert lowered(jobs.callbacks()[0].headers)["x-callback-token"] == "from a header"


@pytest.mark.parametrize("name", ["Bad Name", "X:Y", "Content-Length", "a\r\nb", ""])
def test_a_header_that_cannot_be_sent_is_refused(name: str) -> None:
    """A submit cannot name a header that is none, or that the server sends itself."""
    signature = {**TOKEN["signature"], "header": "$request.body#/webhook_header"}
    answer = Jobs({"signature": signature}).submit(webhook=RECEIVER, webhook_secret="t", webhook_header=name)
    assert (answer.status, answer.error) == (400, "bad_request")


def test_a_secret_of_the_submit_signs() -> None:
    """With HMAC, the submit's own secret signs the callbacks of its task."""
    signature = {"header": "X-Sign", "algorithm": "hmac-sha256", "secret": "$request.body#/webhook_secret"}
    callback = Jobs({"signature": signature}).callback(webhook_secret="mine")
    assert lowered(callback.headers)["x-sign"] == hmac.new(b"mine", callback.body, hashlib.sha256).hexdigest()


# -- published keys ---------------------------------------------------------------------------------


def verified_with(key: Ed25519PublicKey, callback: Any) -> None:
    """Verify a callback as its receiver does."""
    headers = lowered(callback.headers)
    told = (headers["x-request-id"], headers["x-user-id"], headers["x-time"])
    content = "\n".join((*told, hashlib.sha256(callback.body).hexdigest()))
    key.verify(bytes.fromhex(headers["x-signature"]), content.encode())


def test_the_published_key_verifies_callbacks() -> None:
    """A JSON Web Key Set, and the seed determines the key."""
    jobs = Jobs(PUBLISHED, paths=KEYS)
    answer = jobs.send("GET", "/.well-known/jwks.json")
    (key,) = orjson.loads(answer.body)["keys"]
    assert (answer.content_type, key["kty"], key["crv"]) == ("application/json", "OKP", "Ed25519")
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    callback = jobs.callback()
    verified_with(public, callback)
    with pytest.raises(InvalidSignature):
        verified_with(public, Jobs(PUBLISHED, seed=8, paths=KEYS).callback())
    verified_with(public, Jobs(PUBLISHED, paths=KEYS).callback())


@pytest.mark.parametrize("form", ["pem", "base64", "hex", "raw", "reply"])
def test_the_key_is_published_in_other_forms(form: str) -> None:
    """PEM, base64, hexadecimal, raw bytes, or as the spec's reply says: each is the same key."""
    mock: dict[str, Any] = {"role": "keys", "format": form}
    if form == "reply":
        mock = {"role": "keys", "reply": {"status": 200, "body": {"public_key": "$signing_key.base64"}}}
    paths = {"/key": {"get": {**KEYS["/.well-known/jwks.json"]["get"], "x-mock": mock}}}
    jobs = Jobs(PUBLISHED, paths=paths)
    body = jobs.send("GET", "/key").body
    read: dict[str, Callable[[], Any]] = {
        "pem": lambda: load_pem_public_key(body),
        "base64": lambda: Ed25519PublicKey.from_public_bytes(base64.b64decode(body)),
        "hex": lambda: Ed25519PublicKey.from_public_bytes(bytes.fromhex(body.decode())),
        "raw": lambda: Ed25519PublicKey.from_public_bytes(body),
        "reply": lambda: Ed25519PublicKey.from_public_bytes(base64.b64decode(json.loads(body)["public_key"])),
    }
    key = read[form]()
    verified_with(key, jobs.callback())


# -- faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", FORGING)
def test_faults_forge_every_form(form: str, fault: str) -> None:
    """Each fault changes the signature, and nothing but it; a token does not depend on the bytes."""
    given = {"webhook_secret": "a-token"} if form == "token" else {}
    genuine, jobs = _jobs(form).callback(**given), _jobs(form)
    inject(jobs, fault)
    forged = jobs.callback(**given)
    header = jobs.provider.callbacks.signature.header  # type: ignore[union-attr]
    before, after = dict(genuine.headers), dict(forged.headers)
    assert (forged.body, forged.callback_id) == (genuine.body, genuine.callback_id)
    assert {name: value for name, value in before.items() if name != header} == {
        name: value for name, value in after.items() if name != header
    }
    if (form, fault) == ("token", "signature_of_other_bytes"):
        assert (after, forged.faults) == (before, ())
    else:
        assert before[header] != after.get(header)
        assert forged.faults == (fault,)
        assert (header in after) == (fault != "unsigned_callback")


def _jobs(form: str) -> Jobs:
    return Jobs(FORMS[form], paths=KEYS if form == "published" else {})


def inject(jobs: Jobs, fault: str) -> None:
    """Add a fault, as the control plane does."""
    jobs.world.faults.add(*read_fault_request(jobs.world, {"fault": fault, "where": {"provider": "jobs"}}), START_MS)


@pytest.mark.parametrize("fault", FORGING)
def test_the_library_refuses_what_faults_forge(receiver_time: None, fault: str) -> None:
    """Standard Webhooks: every forged callback is refused; one that is written otherwise is valid."""
    jobs = Jobs(STANDARD)
    inject(jobs, fault)
    callback = jobs.callback()
    with pytest.raises(Exception, match=r"\w"):  # short base64 is an error of another type
        Webhook(SECRET).verify(callback.body, lowered(callback.headers))
    jobs = Jobs(STANDARD)
    inject(jobs, "reformatted_callback")
    callback = jobs.callback()
    assert callback.faults == ("reformatted_callback",)
    Webhook(SECRET).verify(callback.body, lowered(callback.headers))


def test_an_old_secret_is_not_one_that_is_still_valid() -> None:
    """While the previous secret still signs, `old_secret` takes one that never did."""
    jobs = Jobs(STAMPED)
    jobs.state.account("sk-test", START_MS).change_secret("a new secret", START_MS)
    inject(jobs, "old_secret")
    callback = jobs.callback()
    told = lowered(callback.headers)["jobs-signature"].split(",")
    time = told[0].removeprefix("t=")
    for secret in (b"a secret", b"a new secret"):
        wanted = hmac.new(secret, f"{time}.".encode() + callback.body, hashlib.sha256).hexdigest()
        assert f"v1={wanted}" not in told


def test_an_unknown_event_has_an_id_of_its_own(receiver_time: None) -> None:
    """A receiver that remembers ids still takes the true callback; both are signed."""
    jobs = Jobs(STANDARD)
    inject(jobs, "unknown_event")
    jobs.submit(webhook=RECEIVER)
    unknown, true = jobs.callbacks()
    told = [lowered(each.headers)["webhook-id"] for each in (unknown, true)]
    assert told == [orjson.loads(each.body)["id"] for each in (unknown, true)]
    assert told[0] != told[1]
    for each in (unknown, true):
        Webhook(SECRET).verify(each.body, lowered(each.headers))


@pytest.mark.parametrize("fault", ["duplicated_callback", "contradicting_callback", "repeated_callback"])
def test_copies_have_the_same_id(fault: str) -> None:
    """At least once: whatever tells the same end has the same id, in the body and in the headers."""
    jobs = Jobs(STANDARD)
    inject(jobs, fault)
    jobs.submit(webhook=RECEIVER)
    found = jobs.callbacks(START_MS + LASTS_MS + 5000)
    ids = {lowered(each.headers)["webhook-id"] for each in found}
    assert len(found) == (2 if fault == "duplicated_callback" else 1)
    assert ids == {orjson.loads(each.body)["id"] for each in found}
    assert len(ids) == 1


def test_a_secret_must_have_the_providers_form() -> None:
    """A secret that is no base64 is refused where it comes from: a submit, or a command."""
    jobs = Jobs({"signature": {**STANDARD["signature"], "secret": "$request.body#/webhook_secret"}})
    assert jobs.submit(webhook=RECEIVER, webhook_secret="whsec_no base64").status == 400
    with pytest.raises(ValueError, match="must be base64"):
        apply_changes(jobs.state, jobs.state.account("sk-test", START_MS), {"secret": "not base64!"}, START_MS)


# -- mistakes ---------------------------------------------------------------------------------------

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"scheme": "standard_webhook", "default_secret": SECRET}, "(did you mean standard_webhooks?)"),
    ({"scheme": "svix", "default_secret": "no base64"}, "is not base64 (write whsec_ and base64"),
    ({"algorithm": "hmac-sha256", "default_secret": "s"}, "missing key `header` (add it, or `scheme`)"),
    ({"header": "X", "default_secret": "s"}, "missing key `algorithm` (add it, or `scheme`)"),
    ({"header": "X", "algorithm": "hmac-sha256"}, "missing key `default_secret` (add it, or `secret`"),
    ({"header": "X", "algorithm": "hmac-md5", "default_secret": "s"}, "hmac-md5"),
    (
        {"header": "X", "algorithm": "hmac-sha256", "default_secret": "s", "content": "{$callback.bdy}"},
        "$callback.bdy: $callback has no 'bdy'",
    ),
    (
        {"header": "X", "algorithm": "hmac-sha256", "default_secret": "s", "content": "callback.body"},
        "nothing of the callback is in it (write {$callback.body}",
    ),
    (
        {"header": "X", "algorithm": "hmac-sha256", "default_secret": "s", "value": "v1="},
        "the signature is not in it (write {$signature}",
    ),
    (
        {
            "header": "X",
            "algorithm": "hmac-sha256",
            "default_secret": "s",
            "content": "{$callback.sent_unix_s}.{$callback.body}",
        },
        "the time that is signed is not sent (send it in `value`",
    ),
    (
        {"header": "X", "algorithm": "token", "default_secret": "s", "content": "{$callback.body}"},
        "has no effect: token sends the token itself (remove it)",
    ),
    (
        {"header": "X", "algorithm": "token", "secret": "$request.body#/webhook_secre"},
        "no request schema has the field 'webhook_secre' (did you mean webhook_secret?)",
    ),
    ({"header": "X", "algorithm": "hmac-sha256", "default_secret": "s", "prefx": "a"}, "(did you mean prefix?)"),
]


@pytest.mark.parametrize(("signature", "said"), MISTAKES)
def test_a_mistake_is_told_in_one_line(signature: dict[str, Any], said: str) -> None:
    """With the line, and the fix."""
    (told,) = issues_of(spec_with({"signature": signature}))
    assert told.startswith("jobs.yaml:")
    assert said in told


def test_a_key_is_published_and_signs() -> None:
    """A key that no operation publishes is of no use, and neither is one that signs nothing."""
    (told,) = issues_of(spec_with(PUBLISHED))
    assert "no operation publishes the key (add a get with `x-mock: {role: keys}`" in told
    (told,) = issues_of(spec_with(STANDARD, paths=KEYS))
    assert "no callback is signed with the key (use `algorithm: ed25519`" in told


@pytest.mark.parametrize("form", FORMS)
def test_every_form_checks(form: str) -> None:
    """Nothing is wrong with what works."""
    assert issues_of(spec_with(FORMS[form], paths=KEYS if form == "published" else {})) == []
