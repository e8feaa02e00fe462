"""Retry-After counts the client's seconds: those of its own clock, whatever the speed of mock time."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.engine import START_MS
from support.jobs import Jobs

from mockserver.clock import http_date
from mockserver.engine.client_time import ClientTime
from mockserver.provider import ProviderRules

CLIENT_MS = 1_000_000_000_000
HINT: dict[str, Any] = {"error_body": {"error": {"type": "$error.name", "retry_in?": "$problem.retry_after_s"}}}


def refused(pace: float | None, after_ms: int = 0, **more: Any) -> Any:
    """Submit twice on a plan of one a minute; return the refusal."""
    jobs = Jobs(rules=ProviderRules(plan="slow"), **more)
    client = None if pace is None else ClientTime(pace, CLIENT_MS)
    jobs.client = client
    jobs.submit()
    return jobs.submit(START_MS + after_ms)


@pytest.mark.parametrize(
    ("pace", "after_ms", "told", "mock_s"),
    [
        (None, 0, "60", None),
        (60, 0, "1", 60),
        (10, 0, "6", 60),
        (7, 0, "9", 60),
        (0.5, 0, "120", 60),
        (60, 59_500, "1", 1),
        (1000, 0, "1", 60),
        (10, 30_001, "3", 30),
    ],
)
def test_a_wait_is_told_in_the_clients_seconds(
    pace: float | None, after_ms: int, told: str, mock_s: int | None
) -> None:
    """Rounded up to whole seconds, at least one; the journal has the seconds of mock time beside it."""
    answer = refused(pace, after_ms)
    assert (answer.status, dict(answer.headers)["Retry-After"]) == (429, told)
    assert (answer.remarks or {}).get("retry_after_s") == mock_s


def test_a_client_that_waits_as_told_is_let_in() -> None:
    """After so many of its own seconds, the limit is over."""
    for pace in (0.3, 2, 7, 60, 61.5):
        answer = refused(pace)
        waited_ms = int(int(dict(answer.headers)["Retry-After"]) * pace * 1000) + 1
        assert refused(pace, waited_ms).status == 200


def test_a_body_may_say_the_same() -> None:
    """`$problem.retry_after_s` is what the header says; where there is none, it is null."""
    for pace, told in ((None, 60), (60, 1)):
        assert orjson.loads(refused(pace, **HINT).body)["error"]["retry_in"] == told
    jobs = Jobs(**HINT)
    assert "retry_in" not in orjson.loads(jobs.submit(prompt="").body)["error"]


def test_headers_of_a_reply_count_too() -> None:
    """A poll that is answered with Retry-After, of the spec's own, or with milliseconds."""
    get = {"x-mock": {"reply": {"headers": {"Retry-After": "10", "retry-after-ms": "10000", "X-Wait": "10"}}}}
    jobs = Jobs(paths={"/v1/jobs/{id}": {"get": get}})
    task_id = jobs.submit().task_id
    jobs.client = ClientTime(4, CLIENT_MS)
    answer = jobs.send("GET", f"/v1/jobs/{task_id}")
    told = dict(answer.headers)
    assert [told[name] for name in ("Retry-After", "retry-after-ms", "X-Wait")] == ["3", "2500", "10"]
    assert answer.remarks == {"retry_after_s": 10}


def test_a_date_is_one_of_the_clients_clock() -> None:
    """The same wait, from the client's present instant on."""
    client = ClientTime(60, CLIENT_MS)
    headers = (("Retry-After", http_date(START_MS // 1000 + 120)),)
    assert client.retold(headers, START_MS) == ((("Retry-After", http_date(CLIENT_MS // 1000 + 2)),), 120)


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "Thu, 99 Foo 2026 00:00:00 GMT"])
def test_what_is_no_wait_stays(text: str) -> None:
    """As it was written."""
    headers = (("Retry-After", text), ("Content-Language", "10"))
    assert ClientTime(60, CLIENT_MS).retold(headers, START_MS) == (headers, None)


@given(st.integers(0, 10**7), st.floats(0.01, 10**5))
def test_a_wait_is_long_enough_and_less_than_a_second_too_long(mock_s: int, pace: float) -> None:
    """Whatever the speed is."""
    told = ClientTime(pace, CLIENT_MS).seconds(mock_s)
    assert told * pace >= mock_s * (1 - 1e-6) - pace * 1e-6
    assert (told - 1) * pace < mock_s or told == 0
