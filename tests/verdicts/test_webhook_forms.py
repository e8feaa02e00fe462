"""Clauses on callbacks in other forms, and on submits with idempotency keys: fair, or silent where nothing is known."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.jobs import KEYS, START_MS, Jobs
from support.traffic import TASK, Traffic

from contracts import judge_journal
from contracts.analysis import makes_no_second_task
from contracts.client.subject import Setting
from contracts.server.signatures import expected, given
from mockserver.engine.signing import key_of
from mockserver.provider import Callbacks, Idempotency, Signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.clause import Verdict
    from contracts.journal import Journal

GOOGLE = "googlegeminiomni"
SECRET = "whsec_" + base64.b64encode(b"a webhook secret").decode()
PLAIN = {"header": "X-Sign", "algorithm": "hmac-sha512", "encoding": "base64url", "default_secret": "s"}
VERIFIABLE: dict[str, dict[str, Any]] = {
    "standard": {"signature": {"scheme": "standard_webhooks", "default_secret": SECRET}},
    "svix": {"signature": {"scheme": "svix", "default_secret": SECRET}},
    "plain": {"signature": {**PLAIN, "prefix": "sha512="}},
    "stamped": {
        "signature": {
            **PLAIN,
            "content": "{$callback.sent_unix_ms}:{$callback.id}:{$callback.body_sha256}",
            "value": "id={$callback.id};t={$callback.sent_unix_ms};{$signature}",
            "separator": ";",
        }
    },
}
UNKNOWABLE: dict[str, dict[str, Any]] = {
    "published": {"signature": {"header": "X-Sign", "algorithm": "ed25519"}},
    "token": {"signature": {"header": "X-Sign", "algorithm": "token", "secret": "$request.body#/webhook_secret"}},
    "of the task": {"signature": {**PLAIN, "content": "{$task.id}.{$callback.body}"}},
}


def received(jobs: Jobs, **fields: Any) -> tuple[Callbacks, Mapping[str, str], bytes]:
    """Return the provider's rule, and the headers and the body of a callback."""
    callback, callbacks = jobs.callback(**fields), jobs.provider.callbacks
    assert callbacks is not None
    return callbacks, dict(callback.headers), callback.body


@pytest.mark.parametrize("form", VERIFIABLE)
def test_a_server_is_judged_by_what_it_sends(form: str) -> None:
    """The id and the time are read from the headers; another secret, or other bytes, make another signature."""
    callbacks, headers, body = received(Jobs(VERIFIABLE[form]))
    rule = callbacks.signature
    assert rule is not None
    told = given(rule, headers[rule.header])
    assert told == [expected(callbacks, headers, body, None)]
    assert expected(callbacks, headers, body + b" ", None) not in told
    other = "whsec_" + base64.b64encode(b"other").decode()
    assert expected(callbacks, headers, body, other) not in told


def test_one_of_several_signatures_is_enough() -> None:
    """After a change of the secret, either of the two is the expected one."""
    form = {"signature": {**VERIFIABLE["standard"]["signature"], "previous_secret_s": 60}}
    jobs = Jobs(form)
    jobs.state.account("sk-test", START_MS).change_secret("whsec_" + base64.b64encode(b"new").decode(), START_MS)
    callbacks, headers, body = received(jobs)
    assert callbacks.signature is not None
    told = given(callbacks.signature, headers["webhook-signature"])
    assert len(told) == 2
    assert expected(callbacks, headers, body, None) == told[1]


@pytest.mark.parametrize("form", UNKNOWABLE)
def test_nothing_is_expected_where_it_cannot_be_known(form: str) -> None:
    """A published key, a token of the submit, or what only the provider knows."""
    jobs = Jobs(UNKNOWABLE[form], paths=KEYS if form == "published" else {})
    assert expected(*received(jobs, webhook_secret="t"), None) is None


def signed_with(signature: Signature, traffic: Traffic) -> Journal:
    """Return traffic at a provider that signs in another way."""
    journal = traffic.journal()
    callbacks = journal.provider.callbacks
    assert callbacks is not None
    return replace(journal, provider=replace(journal.provider, callbacks=replace(callbacks, signature=signature)))


def verdict(journal: Journal, clause: str) -> Verdict:
    """Return what a clause says."""
    return next(each for each in judge_journal(journal) if each.clause.id == clause)


@pytest.mark.parametrize(("algorithm", "judgement"), [("hmac-sha256", "violated"), ("ed25519", "not exercised")])
def test_a_public_key_needs_no_constant_time(algorithm: Any, judgement: str) -> None:
    """Whoever verifies with a public key compares nothing that is secret."""
    rule = Signature("X-Sign", algorithm, "hex", "", "s")
    journal = signed_with(rule, Traffic().submit().callback().signatures(signed=3, compared=0))
    assert verdict(journal, "callbacks.constant-time").judgement == judgement


@pytest.mark.parametrize(
    ("rule", "fix"),
    [
        (Signature("X-Sign", "ed25519", "hex", "", None), "verify X-Sign with the published key"),
        (Signature("", "token", "hex", "", None), "compare the header of the submit with the token"),
        (Signature("X-Sign", "hmac-sha256", "hex", "", "s"), "compute the HMAC over the raw body"),
    ],
)
def test_a_forged_callback_is_refused_in_every_form(rule: Signature, fix: str) -> None:
    """The advice is what the form needs."""
    journal = signed_with(rule, Traffic().submit().callback(faults=["wrong_signature"]))
    (violation,) = verdict(journal, "callbacks.forged-refused").violations
    assert fix in violation.fix


def test_a_client_is_given_secrets_of_the_providers_form() -> None:
    """The old secret is base64 too, and not the present one; a published key comes with no secret."""
    provider = Jobs(VERIFIABLE["standard"]).provider
    setting = Setting.of(provider, "http://mock.test", "http://127.0.0.1:9/hook")
    signature = None if provider.callbacks is None else provider.callbacks.signature
    assert signature is not None
    assert (setting.callback_secret, setting.callback_old_secret) != (None, None)
    assert key_of(signature, str(setting.callback_secret)) == b"a webhook secret"
    assert key_of(signature, str(setting.callback_old_secret)) != b"a webhook secret"
    published = Jobs(UNKNOWABLE["published"], paths=KEYS).provider
    assert Setting.of(published, "http://mock.test", "http://127.0.0.1:9/hook").callback_secret is None


# -- idempotency keys -------------------------------------------------------------------------------

_KEY = ["Idempotency-Key", "a"]
_AUTH = [["Content-Type", "application/json"], ["Authorization", "Bearer [key of acct_1]"]]


@pytest.mark.parametrize("second", [{}, {"status": 429, "task": None}])
@pytest.mark.parametrize("clause", ["submit.not-again-after-lost-answer", "payment.unreadable-answer"])
def test_a_submit_with_the_same_key_is_no_second_task(clause: str, second: dict[str, Any]) -> None:
    """After an answer that was lost, or cannot be read, it is what a careful client sends; without a key it is not."""
    lost: dict[str, Any] = {"status": None} if "lost" in clause else {"answer": "<html>"}
    for headers, wanted in (([*_AUTH, _KEY], "kept"), (_AUTH, "violated")):
        later = {**second, "task": second.get("task", TASK[GOOGLE] if headers is not _AUTH else "job_other1234567")}
        traffic = Traffic().submit(headers=headers, **lost).wait(5).submit(headers=headers, **later)
        journal = traffic.journal()
        rule = Idempotency(lambda _context: None, "Idempotency-Key", (), 1)
        journal = replace(journal, provider=replace(journal.provider, idempotency=rule))
        assert verdict(journal, clause).judgement == wanted


@pytest.mark.parametrize(
    ("keys", "same"), [(("a", "a"), True), (("a", "b"), False), (("", ""), False), ((1, 1), False)]
)
def test_a_key_in_the_body_counts_too(keys: tuple[Any, Any], same: bool) -> None:
    """The same text in both; an empty one is no key."""
    traffic = Traffic()
    for key, task in zip(keys, (None, "job_other1234567"), strict=True):
        traffic.submit(body={"key": key}, task=task)
    first, second = traffic.journal().of_role("submit")
    rule = Idempotency(lambda _context: None, "", ("key",), 1)
    assert makes_no_second_task(replace(traffic.provider, idempotency=rule), first, second) is same
    assert not makes_no_second_task(traffic.provider, first, second)
