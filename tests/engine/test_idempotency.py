"""Idempotency keys: a submit that is sent again makes one task, and is charged once."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from support.engine import START_MS
from support.jobs import LASTS_MS, RECEIVER, Jobs, issues_of, spec_with

from mockserver.edge.rule_codec import read_fault_request
from mockserver.engine import idempotency
from mockserver.engine.messages import Response
from mockserver.provider import ProviderRules

RULE: dict[str, Any] = {
    "key": "$request.header.Idempotency-Key",
    "lifetime_s": 3600,
    "replay_headers": {"Idempotent-Replayed": "true"},
}
CONFLICT = {"conflict": {"status": 409, "message": "{$problem.message}", "when": ["idempotency_conflict"]}}


def jobs_with(**rule: Any) -> Jobs:
    """Return a world in which submits may have keys."""
    return Jobs(idempotency={**RULE, **rule}, errors=CONFLICT)


def keyed(jobs: Jobs, idempotency_key: str, now_ms: int = START_MS, *, key: str = "sk-test", **fields: Any) -> Response:
    """Submit a task with an idempotency key."""
    return jobs.submit(now_ms, key=key, headers={"Idempotency_Key": idempotency_key}, **fields)


def test_the_same_key_with_the_same_body_gives_the_same_task() -> None:
    """The same bytes at any later time, even after the end; one task, one charge, one callback; a header says so."""
    jobs = jobs_with()
    first = keyed(jobs, "a", webhook=RECEIVER)
    account = jobs.state.account("sk-test", START_MS)
    reserved = account.reserved_ucr
    for now_ms in (START_MS, START_MS + 1000, START_MS + 2 * LASTS_MS):
        again = keyed(jobs, "a", now_ms, webhook=RECEIVER)
        assert (again.status, again.body, again.task_id) == (first.status, first.body, first.task_id)
        assert ("Idempotent-Replayed", "true") in again.headers
        assert again.remarks == {"repeated": True}
        assert account.reserved_ucr == reserved
    assert "Idempotent-Replayed" not in dict(first.headers)
    assert (len(jobs.state.tasks), len(account.tasks), len(jobs.callbacks())) == (1, 1, 1)
    assert dict(again.headers)["X-Request-Id"] != dict(first.headers)["X-Request-Id"]


def test_another_body_is_a_conflict() -> None:
    """The provider's error; the order of keys and spaces do not make another body."""
    jobs = jobs_with()
    first = keyed(jobs, "a")
    refused = keyed(jobs, "a", prompt="A blue kite")
    assert (refused.status, refused.error, refused.gate) == (409, "conflict", "idempotency")
    assert orjson.loads(refused.body)["error"]["message"] == "the idempotency key was used with another request"
    same = keyed(jobs, "a")
    assert same.task_id == first.task_id
    assert len(jobs.state.tasks) == 1


def test_without_an_error_of_its_own_a_conflict_is_an_invalid_body() -> None:
    """`idempotency_conflict` may be left out."""
    jobs = Jobs(idempotency=RULE)
    keyed(jobs, "a")
    assert keyed(jobs, "a", prompt="A blue kite").error == "bad_request"


def test_other_keys_and_none_make_tasks_of_their_own() -> None:
    """Another key, another account, or no key at all."""
    jobs = jobs_with()
    answers = [keyed(jobs, "a"), keyed(jobs, "b"), keyed(jobs, "a", key="sk-other"), jobs.submit(), jobs.submit()]
    answers.append(keyed(jobs, ""))
    assert len({each.task_id for each in answers}) == 6


def test_a_key_expires() -> None:
    """To the millisecond, in mock time from the first submit; then it makes another task, and counts anew."""
    jobs = jobs_with()
    first = keyed(jobs, "a")
    assert keyed(jobs, "a", START_MS + 3_600_000 - 1).task_id == first.task_id
    second = keyed(jobs, "a", START_MS + 3_600_000, prompt="A blue kite")
    assert second.task_id not in (None, first.task_id)
    assert keyed(jobs, "a", START_MS + 7_000_000, prompt="A blue kite").task_id == second.task_id


def test_a_refused_submit_does_not_use_its_key_up() -> None:
    """After a refusal, the corrected submit may have the same key."""
    jobs = jobs_with()
    assert keyed(jobs, "a", prompt="").status == 400
    assert keyed(jobs, "a").status == 200


def test_no_gate_after_the_key_refuses_a_repeat() -> None:
    """An account without credits for another task still gets the answer of the first one."""
    jobs = jobs_with()
    first = keyed(jobs, "a")
    account = jobs.state.account("sk-test", START_MS)
    account.grant(-account.available_ucr, START_MS)
    assert keyed(jobs, "b").status == 402
    assert keyed(jobs, "a").task_id == first.task_id


def test_a_repeat_counts_against_the_rate() -> None:
    """It is a request like others."""
    jobs = Jobs(idempotency=RULE, rules=ProviderRules(plan="slow"))
    assert keyed(jobs, "a").status == 200
    assert keyed(jobs, "a", START_MS + 1000).status == 429
    assert keyed(jobs, "a", START_MS + 60_000).status == 200
    assert len(jobs.state.tasks) == 1


@pytest.mark.parametrize("fault", ["lost_answer", "truncated_body", "empty_body"])
def test_after_a_lost_answer_the_task_is_found_by_its_key(fault: str) -> None:
    """A fault that damages the first answer does not damage the next: it is as the provider has made it."""
    jobs = jobs_with()
    request = {"fault": fault, "where": {"provider": "jobs"}, "when": {"times": 1}}
    jobs.world.faults.add(*read_fault_request(jobs.world, request), START_MS)
    first = keyed(jobs, "a")
    again = keyed(jobs, "a")
    assert again.task_id == first.task_id
    assert orjson.loads(again.body)["id"] == first.task_id


def test_a_field_of_the_body_may_have_the_key() -> None:
    """`$request.body#/request_key` instead of a header."""
    jobs = jobs_with(key="$request.body#/request_key")
    first = jobs.submit(request_key="a")
    assert jobs.submit(request_key="a").task_id == first.task_id
    assert jobs.submit(request_key="a", prompt="A blue kite").status == 409
    assert jobs.submit(request_key="b").task_id != first.task_id


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest keys make room; a key whose task was evicted makes another one."""
    monkeypatch.setattr(idempotency, "KEYS_KEPT", 10)
    monkeypatch.setattr(idempotency, "_KEYS_DROPPED", 1)
    jobs = jobs_with()
    first = [keyed(jobs, f"key {number}").task_id for number in range(25)]
    assert len(jobs.state.kept_answers) <= 10
    assert keyed(jobs, "key 24").task_id == first[24]
    assert keyed(jobs, "key 0").task_id != first[0]
    del jobs.state.tasks[str(first[24])]
    assert keyed(jobs, "key 24").task_id != first[24]


MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"key": "$request.query.key"},
        "is no header and no field of the submit body (write $request.header",
    ),
    (
        {"key": "$request.body#/request_kee"},
        "has the field 'request_kee' (did you mean request_key?)",
    ),
    ({"key": "$request.header.K", "lifetime": 3}, "unknown key: lifetime (did you mean lifetime_s?)"),
    ({"key": "$request.header.K", "lifetime_s": 0}, "0 is less than or equal to the minimum of 0"),
    ({"lifetime_s": 3}, "missing required key `key`"),
    ({"key": "$request.header.K", "replay_headers": {"A B": "x"}}, "is not a name of a header"),
]


@pytest.mark.parametrize(("rule", "said"), MISTAKES)
def test_a_mistake_is_told_in_one_line(rule: dict[str, Any], said: str) -> None:
    """With the line, and the fix."""
    (issue,) = issues_of(spec_with(idempotency=rule))
    assert issue.startswith("jobs.yaml:")
    assert said in issue


def test_what_works_checks() -> None:
    """A key in a header, or in the body, with an error of its own."""
    for key in ("$request.header.Idempotency-Key", "$request.body#/request_key"):
        assert issues_of(spec_with(idempotency={**RULE, "key": key}, errors=CONFLICT)) == []
