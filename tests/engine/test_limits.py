"""Rate limits: exact to the millisecond, and equal to a model that counts requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.engine import START_MS, Client, headers_of, loads, new_world, providers
from support.tables import for_each

from mockserver.engine.commands import run_command
from mockserver.engine.limits import RateLog
from mockserver.provider import DAY_MS, HOUR_MS, MINUTE_MS, Plan, ProviderRules

GOOGLE = providers()["googlegeminiomni"]
PRO, PREMIUM, STARTER = (GOOGLE.plans[name] for name in ("pro", "premium", "starter"))


def client_on(plan: Plan) -> Client:
    """Open an account on a plan whose concurrency does not get in the way."""
    client = Client(new_world(), "googlegeminiomni")
    client.account.plan = plan
    client.set_plan(concurrent_tasks=None)
    return client


def test_the_plans_are_the_documents() -> None:
    """Pro has 30 a minute, 200 an hour and 5 at once; Premium 60, 500 and 10; Starter has no API."""
    assert (PRO.requests_per_minute, PRO.requests_per_hour, PRO.concurrent_tasks) == (30, 200, 5)
    assert (PREMIUM.requests_per_minute, PREMIUM.requests_per_hour, PREMIUM.concurrent_tasks) == (60, 500, 10)
    assert STARTER.api is False
    assert GOOGLE.default_plan == "pro"


@pytest.mark.parametrize("plan", [PRO, PREMIUM], ids=lambda plan: plan.name)
def test_the_last_request_of_a_minute_passes_and_the_next_does_not(plan: Plan) -> None:
    """Pro's 30th submission in a minute passes, the 31st is a 429; Premium's are the 60th and the 61st."""
    client = client_on(plan)
    assert plan.requests_per_minute is not None
    for _ in range(plan.requests_per_minute):
        assert client.submit(START_MS).status == 200
    refused = client.submit(START_MS)
    assert (refused.status, refused.gate) == (429, "rate")


@pytest.mark.parametrize(("after_ms", "status"), [(1, 429), (59_999, 429), (60_000, 200), (60_001, 200)])
def test_the_window_of_a_minute_is_exact_to_the_millisecond(after_ms: int, status: int) -> None:
    """What was counted at t counts until t + 59 999 ms, and no more at t + 60 000 ms."""
    client = client_on(PRO)
    for _ in range(30):
        client.submit(START_MS)
    assert client.submit(START_MS + after_ms).status == status


def test_the_window_slides_with_each_request() -> None:
    """One place comes free for each request that leaves the window, at its own instant."""
    client = client_on(PRO)
    for number in range(30):
        assert client.submit(START_MS + 1_000 * number).status == 200
    assert client.submit(START_MS + 59_999).status == 429
    assert client.submit(START_MS + 60_000).status == 200
    assert client.submit(START_MS + 60_999).status == 429
    assert client.submit(START_MS + 61_000).status == 200


def test_the_window_of_an_hour_is_exact_to_the_millisecond() -> None:
    """200 submissions in an hour pass however they are spread; the 201st passes as the first leaves the window."""
    client = client_on(PRO)
    for number in range(200):
        assert client.submit(START_MS + 10_000 * number).status == 200
    assert client.submit(START_MS + HOUR_MS - 1).status == 429
    assert client.submit(START_MS + HOUR_MS).status == 200
    assert client.submit(START_MS + HOUR_MS).status == 429


@for_each(
    ("after_ms", "retry_after"), [(0, "60"), (1, "60"), (1_000, "59"), (58_999, "2"), (59_000, "1"), (59_999, "1")]
)
def test_retry_after_is_the_least_number_of_whole_seconds(after_ms: int, retry_after: str) -> None:
    """Retry-After leads to the first whole second at which the request passes, and is at least 1."""
    client = client_on(PRO)
    for _ in range(30):
        client.submit(START_MS)
    refused = client.submit(START_MS + after_ms)
    assert headers_of(refused)["Retry-After"] == retry_after
    wait_ms = int(retry_after) * 1000
    assert client.submit(START_MS + after_ms + wait_ms - 1000).status == 429
    assert client.submit(START_MS + after_ms + wait_ms).status == 200


def test_retry_after_looks_at_both_windows() -> None:
    """With the hour used up, Retry-After is the hour's wait and not the minute's."""
    client = client_on(PRO)
    for number in range(200):
        client.submit(START_MS + 10_000 * number)
    refused = client.submit(START_MS + 2_000_000)
    assert headers_of(refused)["Retry-After"] == "1600"


def test_refused_requests_are_not_counted() -> None:
    """Knocking while the window is full does not make the wait longer."""
    client = client_on(PRO)
    for _ in range(30):
        client.submit(START_MS)
    for after_ms in range(0, 60_000, 500):
        assert client.submit(START_MS + after_ms).status == 429
    assert client.submit(START_MS + 60_000).status == 200


def test_what_a_later_gate_refuses_has_been_counted() -> None:
    """A submission with a bad body uses up a place like any other."""
    client = client_on(PRO)
    for _ in range(30):
        assert client.submit(START_MS, {"model": "gemini-omni-video"}).status == 400
    assert client.submit(START_MS).status == 429


def test_only_submissions_are_counted_by_default() -> None:
    """A hundred polls leave the minute's 30 submissions untouched."""
    client = client_on(PRO)
    task_id = client.submit(START_MS).task_id
    assert task_id is not None
    for _ in range(100):
        assert client.query(task_id, START_MS).status == 200
        assert client.upload(START_MS).status == 200
    for _ in range(29):
        assert client.submit(START_MS).status == 200
    assert client.submit(START_MS).status == 429


def test_a_dialect_counts_every_request() -> None:
    """With count_all_requests polls and uploads are counted and refused like submissions, downloads are not."""
    client = Client(new_world(dialects={"googlegeminiomni": ["count_all_requests"]}), "googlegeminiomni")
    task_id = client.submit(START_MS).task_id
    assert task_id is not None
    for _ in range(28):
        assert client.query(task_id, START_MS).status == 200
    assert client.upload(START_MS).status == 200
    for refused in (client.query(task_id, START_MS), client.upload(START_MS), client.submit(START_MS)):
        assert (refused.status, refused.gate, headers_of(refused)["Retry-After"]) == (429, "rate", "60")
    later_ms = client.task(task_id).ends_ms
    assert client.fetch(client.links(task_id, later_ms)[0], later_ms).status == 200


def test_keys_do_not_share_a_window() -> None:
    """One key's traffic never uses up another's limits."""
    world = new_world()
    example = GOOGLE.key.example
    one, other = (Client(world, "googlegeminiomni", example[:-1] + digit) for digit in "ab")
    for client in (one, other):
        client.set_plan(concurrent_tasks=None)
    for _ in range(30):
        one.submit(START_MS)
    assert one.submit(START_MS).status == 429
    assert other.submit(START_MS).status == 200


@pytest.mark.parametrize(("plan", "limit"), [(PRO, 5), (PREMIUM, 10)], ids=["pro", "premium"])
def test_so_many_tasks_run_at_once(plan: Plan, limit: int) -> None:
    """Pro lets 5 tasks run at once and Premium 10; the next is a 429 until the first of them has ended."""
    client = Client(new_world(), "googlegeminiomni")
    client.account.plan = plan
    ends_ms = min(client.task(client.submit(START_MS).task_id).ends_ms for _ in range(limit))
    assert client.account.running_tasks(START_MS) == limit
    for now_ms in (START_MS, ends_ms - 1):
        refused = client.submit(now_ms)
        assert (refused.status, refused.gate) == (429, "concurrency")
        assert headers_of(refused)["Retry-After"] == str(max(1, -(-(ends_ms - now_ms) // 1000)))
    assert client.submit(ends_ms).status == 200


def test_a_held_task_keeps_its_place() -> None:
    """Tasks that are held run on; with none due to end, Retry-After says a second."""
    client = Client(new_world(), "googlegeminiomni")
    ids = [client.submit(START_MS).task_id for _ in range(5)]
    for task_id in ids:
        assert task_id is not None
        run_command(client.world, task_id, "hold", START_MS)
    refused = client.submit(START_MS + 10**9)
    assert (refused.gate, headers_of(refused)["Retry-After"]) == ("concurrency", "1")
    run_command(
        client.world, str(ids[0]), "cancel" if client.provider.lifecycle.cancellation else "fail", START_MS + 10**9
    )
    assert client.submit(START_MS + 10**9).status == 200


def test_starter_has_no_api() -> None:
    """On Starter every operation is refused with 403, including queries of tasks from an earlier plan."""
    client = Client(new_world(), "googlegeminiomni")
    task_id = client.submit(START_MS).task_id
    assert task_id is not None
    client.account.plan = STARTER
    for refused in (client.submit(START_MS), client.query(task_id, START_MS), client.upload(START_MS)):
        assert (refused.status, refused.gate) == (403, "plan")


def test_a_plan_can_be_the_default_of_a_run() -> None:
    """What a user sets as the plan is what every new account is on."""
    world = new_world(rules={"googlegeminiomni": ProviderRules(plan="starter")})
    assert Client(world, "googlegeminiomni").submit(START_MS).status == 403


def test_a_better_plan_counts_what_was_counted_before() -> None:
    """After a change from Pro to Premium the minute's 30 requests stay counted, and 30 more pass."""
    client = client_on(PRO)
    for _ in range(31):
        client.submit(START_MS)
    client.account.plan = PREMIUM
    client.set_plan(concurrent_tasks=None)
    assert [client.submit(START_MS + 1).status for _ in range(31)] == [200] * 30 + [429]


def test_a_lesser_plan_counts_what_was_counted_before() -> None:
    """After a change from Premium to Pro the requests that Premium let through keep Pro's window shut."""
    client = client_on(PREMIUM)
    for number in range(60):
        client.submit(START_MS + number)
    client.account.plan = PRO
    client.set_plan(concurrent_tasks=None)
    assert client.submit(START_MS + 60_029).status == 429
    assert client.submit(START_MS + 60_030).status == 200


def test_what_is_left_is_told() -> None:
    """`left` counts down with each request, by the name of the limit, and never below none."""
    log = RateLog()
    plan = Plan("p", "", requests_per_minute=2, requests_per_hour=3)
    assert log.left(plan, 0) == {"requests_per_minute": 2, "requests_per_hour": 3}
    log.count(plan, 0)
    log.count(plan, 1)
    assert log.left(plan, 59_999) == {"requests_per_minute": 0, "requests_per_hour": 1}
    assert log.left(plan, 60_000) == {"requests_per_minute": 1, "requests_per_hour": 1}
    assert log.left(Plan("q", "", requests_per_hour=1), 60_000) == {"requests_per_hour": 0}
    assert log.left(Plan("free", ""), 60_000) == {}


def test_a_plan_without_limits_never_waits() -> None:
    """Where no document gives a number there is no limit, and nothing is kept to count with."""
    log, plan = RateLog(), Plan("free", "")
    for _ in range(1000):
        assert log.wait_ms(plan, 0) == 0
        log.count(plan, 0)
    assert len(log._counted_ms) == 0


LIMITS = st.one_of(st.none(), st.integers(1, 5))
WAITS = st.lists(
    st.one_of(st.integers(0, 3), st.integers(0, 20_000), st.sampled_from([59_999, 60_000, 3_599_999, 3_600_000])),
    max_size=40,
)


@given(LIMITS, LIMITS, WAITS)
def test_the_log_agrees_with_a_model_that_counts(minute: int | None, hour: int | None, waits_ms: list[int]) -> None:
    """A request passes when fewer than the limit were counted in the window, and the wait told is the least one."""
    plan = Plan("p", "", requests_per_minute=minute, requests_per_hour=hour)
    log, passed, now_ms = RateLog(), list[int](), 0
    windows = [(limit, length) for limit, length in ((minute, MINUTE_MS), (hour, HOUR_MS)) if limit is not None]

    def passes_at(at_ms: int) -> bool:
        return all(sum(1 for each in passed if each > at_ms - length) < limit for limit, length in windows)

    for each_ms in waits_ms:
        now_ms += each_ms
        wait_ms = log.wait_ms(plan, now_ms)
        assert (wait_ms == 0) == passes_at(now_ms)
        if wait_ms == 0:
            log.count(plan, now_ms)
            passed.append(now_ms)
        else:
            assert passes_at(now_ms + wait_ms)
            assert not passes_at(now_ms + wait_ms - 1)


# -- quotas and fixed windows -----------------------------------------------------------------------


def test_an_exhausted_quota_is_a_429() -> None:
    """ToAPIs' plan with a quota takes 5 tasks in 24 hours; the next submit is a 429 rate_limit_exceeded."""
    client = Client(new_world(rules={"toapis": ProviderRules(plan="quota")}), "toapis")
    for number in range(5):
        assert client.submit(START_MS + number, {"model": "gemini_omni"}).status == 400  # takes nothing of the quota
        assert client.submit(START_MS + number).status == 200
    refused = client.submit(START_MS + 10)
    assert (refused.status, refused.error) == (429, "quota_exceeded")
    assert loads(refused)["error"]["type"] == "rate_limit_exceeded"
    assert client.submit(START_MS + DAY_MS - 1).status == 429
    assert client.submit(START_MS + DAY_MS).status == 200
    assert client.submit(START_MS + DAY_MS).status == 429
    task_id = next(iter(client.account.tasks))
    assert client.query(task_id, START_MS + DAY_MS).status == 200


def test_a_quota_without_an_error_of_its_own_has_that_of_the_rate() -> None:
    """A spec that does not list `quota_exceeded` answers it like `rate_exceeded`."""
    assert GOOGLE.refusals["quota_exceeded"] is GOOGLE.refusals["rate_exceeded"]


@pytest.mark.parametrize(("after_ms", "status"), [(0, 429), (14_999, 429), (15_000, 200)])
def test_a_fixed_window_starts_anew_with_the_minute(after_ms: int, status: int) -> None:
    """In the dialect fixed_windows the limit of a minute is free again at the next whole minute, not 60 s later."""
    client = Client(new_world(dialects={"googlegeminiomni": ["fixed_windows"]}), "googlegeminiomni")
    client.set_plan(concurrent_tasks=None)
    begins_ms = START_MS + 45_000
    for _ in range(30):
        assert client.submit(begins_ms).status == 200
    reply = client.submit(begins_ms + after_ms)
    assert reply.status == status
    if status == 429:
        assert headers_of(reply)["Retry-After"] == str(-(-(15_000 - after_ms) // 1000))


def test_windows_slide_unless_the_dialect_fixes_them() -> None:
    """The default is stated in the spec: windows slide."""
    assert not PRO.fixed_windows
    assert GOOGLE.plans["pro"].fixed_windows is False


@given(
    st.lists(st.integers(0, 3 * MINUTE_MS), min_size=1, max_size=40).map(sorted),
    st.integers(1, 4),
)
def test_fixed_windows_equal_a_count(instants: list[int], limit: int) -> None:
    """A request passes a fixed window exactly where fewer than the limit have passed in its own minute."""
    plan = Plan("p", "", requests_per_minute=limit, fixed_windows=True)
    log = RateLog()
    passed: list[int] = []
    for at_ms in instants:
        fits = sum(1 for each in passed if each // MINUTE_MS == at_ms // MINUTE_MS) < limit
        wait_ms = log.wait_ms(plan, at_ms)
        assert (wait_ms <= 0) is fits
        if fits:
            log.count(plan, at_ms)
            passed.append(at_ms)
        else:
            assert at_ms + wait_ms == (at_ms // MINUTE_MS + 1) * MINUTE_MS
