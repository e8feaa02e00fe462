"""Which callbacks a submit wants, and where those of its account go."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from support.engine import START_MS
from support.jobs import LASTS_MS, RECEIVER, Jobs, issues_of, spec_with

from mockserver.engine.commands import run_command
from mockserver.provider import ProviderRules

FILTER = {"filter": {"wanted": "$request.body#/webhook_events", "names": {"completed": ["succeeded", "failed"]}}}
ACCOUNT = "https://receiver.example/account"


def told(jobs: Jobs, command: str | None = None, **fields: Any) -> list[str]:
    """Submit a task, let it end, and return the types of its callbacks."""
    task_id = jobs.submit(webhook=RECEIVER, **fields).task_id
    if command is not None:
        run_command(jobs.world, str(task_id), command, START_MS + 1)  # type: ignore[arg-type]
    return [orjson.loads(each.body)["type"] for each in jobs.callbacks()]


@pytest.mark.parametrize(
    ("wanted", "command", "types"),
    [
        (None, None, ["job.succeeded"]),
        (["completed"], None, ["job.succeeded"]),
        (["completed"], "fail", ["job.failed"]),
        (["succeeded"], None, ["job.succeeded"]),
        (["failed"], None, []),
        (["failed"], "fail", ["job.failed"]),
        (["start", "logs"], None, []),
        ([], None, []),
    ],
)
def test_a_submit_chooses_its_events(wanted: list[str] | None, command: str | None, types: list[str]) -> None:
    """By the names that the spec gives to states, or those of the states; without a choice, all are sent."""
    fields = {} if wanted is None else {"webhook_events": wanted}
    assert told(Jobs(FILTER), command, **fields) == types


def test_without_a_filter_a_field_means_nothing() -> None:
    """Only `filter` makes a list of names a choice."""
    assert told(Jobs(), webhook_events=["failed"]) == ["job.succeeded"]


def test_the_account_has_an_address_for_submits_that_name_none() -> None:
    """The submit's address counts first, then the account's, then the spec's."""
    jobs = Jobs({"default_url": "https://receiver.example/spec"})
    jobs.submit()
    jobs.state.account("sk-test", START_MS).webhook_url = ACCOUNT
    jobs.submit()
    jobs.submit(webhook=RECEIVER)
    assert [each.url for each in jobs.callbacks()] == ["https://receiver.example/spec", ACCOUNT, RECEIVER]


def test_settings_give_new_accounts_an_address_and_a_secret() -> None:
    """Each account has them from its first request on, whatever its key."""
    jobs = Jobs(rules=ProviderRules(webhook_url=ACCOUNT, webhook_secret="s"))
    jobs.submit(key="sk-other")
    (callback,) = jobs.callbacks()
    assert (callback.url, callback.account.secret) == (ACCOUNT, "s")


def test_the_accounts_choice_is_for_its_own_address() -> None:
    """A submit that names an address chooses for itself."""
    jobs = Jobs(FILTER)
    account = jobs.state.account("sk-test", START_MS)
    account.webhook_url, account.webhook_events = ACCOUNT, ("failed",)
    jobs.submit()
    assert jobs.callbacks() == []
    assert told(jobs) == ["job.succeeded"]


def test_the_id_is_the_same_after_every_retry_and_command() -> None:
    """A callback that is sent again by a command has the id and the bytes of the first one."""
    jobs = Jobs({"headers": {"X-Event-Id": "$callback.id"}})
    callback = jobs.callback()
    before = dict(callback.headers)["X-Event-Id"]
    assert before == orjson.loads(callback.body)["id"]
    assert before.startswith("evt_")
    again = jobs.callback()
    assert dict(again.headers)["X-Event-Id"] != before
    assert Jobs().callback().callback_id == callback.callback_id
    assert callback.due_ms - START_MS == LASTS_MS


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"filter": {"wanted": "$request.body#/webhook_event"}}, "(did you mean webhook_events?)"),
    (
        {"filter": {"names": {"completed": ["succeded"]}}},
        "there is no callback for 'succeded' (did you mean succeeded?)",
    ),
    ({"filter": {"wants": "$request.body#/webhook_events"}}, "(did you mean wanted?)"),
    ({"default_url": "receiver.example"}, "does not match"),
    ({"headers": {"X-Id": "$callback.ID"}}, "(did you mean id"),
]


@pytest.mark.parametrize(("callbacks", "said"), MISTAKES)
def test_a_mistake_is_told_in_one_line(callbacks: dict[str, Any], said: str) -> None:
    """With the line, and the name that was meant."""
    (issue,) = issues_of(spec_with(callbacks))
    assert issue.startswith("jobs.yaml:")
    assert said in issue


def test_what_works_checks() -> None:
    """Nothing is wrong with a filter and addresses of accounts."""
    assert (
        issues_of(spec_with({**FILTER, "default_url": "https://receiver.example/spec", "url": "$input#/webhook"})) == []
    )
