"""A client with an account-level address, Standard Webhooks and idempotency keys, under the runner."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.jobs import provider_of, spec_with
from support.webhook_client import WebhookClient

from contracts.client.catalogue import conditions
from contracts.client.in_process.runner import run_situation
from contracts.client.situations import Situation
from contracts.judge import judge_journal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.clause import Verdict
    from contracts.client.run import Run
    from mockserver.provider import Provider

SECRET = "whsec_" + base64.b64encode(b"a webhook secret").decode()
MET = (
    "no faults",
    "callback forged: old secret",
    "callback forged: short signature",
    "callback forged: long signature",
    "callback forged: signature of other bytes",
    "callback forged: unsigned",
    "callback forged: wrong signature",
    "callback formatted otherwise: indented",
    "callback not JSON",
    "callback of an unknown event",
    "callback duplicated: x1",
    "callback sent again although acknowledged",
    "callback contradicts the query",
    "callback lost",
)


@cache
def provider() -> Provider:
    """The small provider: only its accounts have an address."""
    signature = {"scheme": "standard_webhooks", "default_secret": SECRET}
    rule = {"key": "$request.header.Idempotency-Key"}
    data = yaml.safe_load(spec_with({"signature": signature}, idempotency=rule))
    del data["x-mock"]["callbacks"]["url"]
    data["x-mock"]["models"]["film-1"]["example"] = {"model": "film-1", "prompt": "A red kite"}
    return provider_of(yaml.safe_dump(data))


def run(client: Any, met: str) -> Run:
    """Let a client meet a condition."""
    known = {each.name: each for each in conditions(provider(), callbacks=True)}
    return run_situation(client, provider(), Situation("jobs", (known[met],), 1, True, 0))


def verdicts(met: Run) -> Mapping[str, Verdict]:
    """Return what the clauses say, by their ids."""
    return {each.clause.id: each for each in judge_journal(met.journal)}


@pytest.mark.parametrize("met", MET)
def test_a_careful_client_is_not_accused(met: str) -> None:
    """Its callbacks come to the address of its account; the library refuses forged ones."""
    found = run(WebhookClient, met)
    assert [each for each in verdicts(found).values() if each.judgement == "violated"] == []
    assert [job.ended for job in found.journal.jobs] == ["returned"]
    reached = [each.status for each in found.journal.deliveries if each.status is not None]
    assert met == "callback lost" or reached
    if "forged" in met:
        assert set(reached) == {401}
        assert verdicts(found)["callbacks.forged-refused"].judgement == "kept"


class Credulous(WebhookClient):
    """Does not verify callbacks."""

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        """Acknowledge everything."""
        await super().handle_callback(headers, body)
        return 200


@pytest.mark.parametrize("met", [each for each in MET if "forged" in each])
def test_a_client_that_acknowledges_forged_callbacks_is_told(met: str) -> None:
    """No document says so here: it is good practice, and no more than a should."""
    found = verdicts(run(Credulous, met))["callbacks.forged-refused"]
    assert (found.judgement, found.severity) == ("violated", "should")
    assert "compute the HMAC over what is signed" in found.violations[0].fix
