"""Careful clients of many styles are accused of nothing; what a document prints breaks only what it says."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from support.careful.as_documented import EndToEnd, OnWebhook, PollsAtOnce
from support.careful.by_webhook import WebhookAndSlowPoll, WebhookOnly
from support.careful.guarded import Adaptive, BulkQueue, CircuitBreaker
from support.careful.long_lived import FromDisk, OneLoop
from support.careful.with_httpx import WithHttpx
from support.careful.with_requests import WithRequests
from support.careful.with_threads import WithThreads
from support.traffic import providers

from contracts import judge_journal
from contracts.client.catalogue import conditions
from contracts.client.in_process.runner import run_situation
from contracts.client.situations import Situation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.clause import Verdict
    from contracts.client.subject import Factory

EVOLINK, GOOGLE, TOAPIS = "evolink", "googlegeminiomni", "toapis"
CAREFUL: tuple[tuple[str, Factory, bool], ...] = (
    (EVOLINK, WithRequests, False),
    (GOOGLE, WithHttpx, False),
    (TOAPIS, WithThreads, False),
    (GOOGLE, WebhookOnly, True),
    (GOOGLE, WebhookAndSlowPoll, True),
    (EVOLINK, Adaptive, False),
    (EVOLINK, CircuitBreaker, False),
    (EVOLINK, BulkQueue, False),
    (EVOLINK, FromDisk, False),
    (EVOLINK, OneLoop, False),
)
DOCUMENTED = (
    pytest.param(PollsAtOnce, False, 0, id="PollsAtOnce"),
    pytest.param(EndToEnd, False, 1, id="EndToEnd"),
    pytest.param(OnWebhook, True, 2, id="OnWebhook"),
)
#: Each client meets one condition in so many; together they meet all.
ONE_IN = 3


def violated(name: str, client: Factory, seed: int, *, callbacks: bool) -> Iterator[tuple[str, Verdict]]:
    """Run a client in its share of the conditions of a provider."""
    provider = providers()[name]
    share = conditions(provider, callbacks=callbacks)[seed % ONE_IN :: ONE_IN]
    for condition in share:
        chosen = (condition,) if condition.events or condition.account else ()
        situation = Situation(name, chosen, condition.jobs, callbacks, seed)
        for verdict in judge_journal(run_situation(client, provider, situation).journal):
            if verdict.violations:
                yield condition.name, verdict


@pytest.mark.slow(about_s=6)
@pytest.mark.parametrize(("name", "client", "callbacks"), CAREFUL, ids=[str(each[1].__name__) for each in CAREFUL])
def test_a_careful_client_is_accused_of_nothing(name: str, client: Factory, callbacks: bool) -> None:
    """Whatever its libraries, and whether it polls or is called back."""
    seed = [each[1] for each in CAREFUL].index(client)
    accused = defaultdict(list)
    for condition, verdict in violated(name, client, seed, callbacks=callbacks):
        accused[f"{verdict.clause.id}: {verdict.violations[0].seen}"].append(condition)
    assert accused == {}


@pytest.mark.slow(about_s=6)
@pytest.mark.parametrize(("client", "callbacks", "seed"), DOCUMENTED)
def test_what_a_document_prints_breaks_no_must_of_another_source(client: Factory, callbacks: bool, seed: int) -> None:
    """A must that it breaks is one of its document."""
    accused = {
        f"{verdict.clause.id}: {verdict.violations[0].seen}": condition
        for condition, verdict in violated(GOOGLE, client, seed, callbacks=callbacks)
        if verdict.severity == "must" and verdict.basis != "document"
    }
    assert accused == {}
