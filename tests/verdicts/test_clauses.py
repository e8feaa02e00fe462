"""Every clause: traffic that keeps it, traffic that breaks it, and traffic that cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from contracts import all_clauses, judged
from support.traffic import TASK, Traffic

if TYPE_CHECKING:
    from contracts.clause import Verdict

Day = Callable[[], Traffic]
GOOGLE, TOAPIS = "googlegeminiomni", "toapis"
LINK = {"jobId": TASK[GOOGLE], "status": "done", "outputUrl": "http://h/googlegeminiomni/omni/u/t/output.mp4"}
KEYED = [["Authorization", "Bearer [key of acct_1]"]]


def day(name: str = GOOGLE) -> Traffic:
    """A day with a submit that was accepted."""
    return Traffic(name).submit()


def ended(word: str = "done") -> Traffic:
    """A day with a task that was seen to have ended."""
    return day().wait(3).query().wait(3).query(word, answer={**LINK, "status": word})


def refused(status: int, *waits: float, **fields: object) -> Traffic:
    """A submit that is refused, and tried again after each wait; the last try is accepted."""
    out = Traffic()
    for wait in waits:
        out.submit(status=status, task=None, answer={"error": "no"}, **fields).wait(wait)
    return out.submit()


#: By clause: days that keep it, and days that break it.
DAYS: dict[str, tuple[list[Day], list[Day]]] = {
    "submit.body-as-documented": (
        [day, lambda: day(TOAPIS)],
        [
            lambda: Traffic().submit(body={"model": "gemini-omni-video"}),
            lambda: Traffic().submit(body={"model": "none", "prompt": "x"}),
            lambda: Traffic().submit(body="[1]"),
            lambda: Traffic(TOAPIS).submit(body={"model": "gemini_omni", "prompt": "x", "duration": 7}),
        ],
    ),
    "submit.says-json": ([day], [lambda: Traffic().submit(headers=KEYED)]),
    "auth.key-in-its-header": (
        [day, ended],
        [
            lambda: Traffic().submit(headers=[["Content-Type", "application/json"]]),
            lambda: Traffic().submit(headers=[["Authorization", "[key of acct_1]"]]),
            lambda: day().query(headers=[]),
        ],
    ),
    "auth.key-nowhere-else": (
        [day],
        [lambda: day().query(query="key=[key of acct_1]"), lambda: Traffic().submit(body={"k": "[key of acct_1]"})],
    ),
    "submit.right-endpoint": ([lambda: day(TOAPIS)], [lambda: Traffic(TOAPIS).exchange("decoy", status=400)]),
    "submit.not-again-after-refusal": (
        [lambda: Traffic().submit(status=400, task=None), lambda: refused(402, 60)],
        [lambda: refused(400, 1, 1), lambda: refused(401, 5, 5), lambda: refused(422, 60, 1)],
    ),
    "submit.not-again-after-lost-answer": (
        [lambda: Traffic().submit(status=None), lambda: Traffic().submit(status=None).wait(1).query()],
        [lambda: Traffic().submit(status=None).wait(5).submit()],
    ),
    "retry.waits-grow": (
        [lambda: refused(429, 1, 2, 4), lambda: refused(503, 1.2, 2.5)],
        [lambda: refused(429, 0.5), lambda: refused(429, 1, 1), lambda: refused(500, 1, 2, 3.5)],
    ),
    "retry.not-at-once": ([lambda: refused(503, 1)], [lambda: refused(503, 0.1), lambda: refused(429, 1, 0)]),
    "retry.retry-after": (
        [
            lambda: refused(429, 5, answer_headers=[["Retry-After", "5"]]),
            lambda: refused(503, 3, answer_headers=[["Retry-After", "Fri, 05 Jun 2026 00:00:03 GMT"]]),
        ],
        [
            lambda: refused(429, 4, answer_headers=[["Retry-After", "5"]]),
            lambda: refused(503, 2, answer_headers=[["Retry-After", "Fri, 05 Jun 2026 00:00:03 GMT"]]),
        ],
    ),
    "retry.at-most": ([lambda: refused(429, 1, 2, 4)], [lambda: refused(500, 1, 2, 4, 8, 16)]),
    "poll.first-wait": ([lambda: day().wait(3).query()], [lambda: day().wait(2).query()]),
    "poll.interval": (
        [lambda: day().wait(3).query().wait(3).query()],
        [lambda: day().wait(3).query().wait(1).query()],
    ),
    "poll.stops-at-end": ([ended, lambda: ended("failed")], [lambda: ended().wait(3).query("done")]),
    "poll.gives-up": (
        [lambda: day().wait(3).query().wait(3).query()],
        [lambda: many(day(), 61), lambda: day(TOAPIS).wait(700).query("in_progress")],
    ),
    "poll.unknown-words": (
        [lambda: day().wait(3).query("reviewing").wait(3).query("done")],
        [lambda: day().wait(3).query("reviewing")],
    ),
    "poll.errors-are-no-end": (
        [lambda: day().wait(3).query(status=503).wait(3).query("done")],
        [lambda: day().wait(3).query(status=503), lambda: many(day(), 40, status=500)],
    ),
    "poll.by-answered-id": ([ended], [lambda: day().wait(3).query(task="job_zzzzzz999999", status=404)]),
    "results.fetched": ([lambda: ended().download()], [ended]),
    "results.in-time": (
        [lambda: ended().download()],
        [lambda: ended().wait(700_000).download(status=403, error="result_expired")],
    ),
    "results.without-key": ([lambda: ended().download()], [lambda: ended().download(headers=KEYED)]),
    "results.link-as-given": (
        [lambda: ended().download()],
        [lambda: ended().download(path="/omni/u/t/other.mp4", status=404)],
    ),
    "results.whole": (
        [lambda: short(ended()).wait(1).download()],
        [lambda: short(ended())],
    ),
    "callbacks.acknowledged": ([lambda: day().callback()], [lambda: day().callback("refused", status=404)]),
    "callbacks.in-time": ([lambda: day().callback()], [lambda: day().callback("timeout")]),
    "callbacks.forged-refused": (
        [lambda: day().callback("refused", status=401, faults=["wrong_signature"])],
        [
            lambda: day().callback("acknowledged", faults=["wrong_signature"]),
            lambda: day().callback("refused", status=500, faults=["signature_length"]),
        ],
    ),
    "callbacks.survived": (
        [lambda: day().callback("refused", status=400, faults=["cut_callback"])],
        [lambda: day().callback("unreachable", faults=["cut_callback"])],
    ),
    "callbacks.lost-made-up": (
        [lambda: day().callback("lost").wait(60).query("done")],
        [lambda: day().callback("lost"), lambda: day().callback("lost").wait(60).query()],
    ),
    "limits.kept": (
        [lambda: day().submit().submit()],
        [lambda: rated(rated(day(), 1), 2)],
    ),
    "limits.no-credits-stops": (
        [lambda: day().submit(status=402, task=None)],
        [lambda: day().submit(status=402, task=None).wait(60).submit(status=402, task=None, body={"another": 1})],
    ),
    "limits.failed-not-blindly-again": ([lambda: failing(2)], [lambda: failing(4)]),
    "retry.jitter": (
        [lambda: toapis_waits(1.0, 1.1, 1.3)],
        [lambda: toapis_waits(1.0, 1.0, 1.0)],
    ),
    "retry.eases-off": (
        [lambda: toapis_chain(1, 2, 4)],
        [lambda: toapis_chain(8, 8, 1)],
    ),
}


def many(traffic: Traffic, number: int, **fields: Any) -> Traffic:
    """Ask so often, three seconds apart."""
    for _ in range(number):
        traffic.wait(3).query(**fields)
    return traffic


def short(traffic: Traffic) -> Traffic:
    """Fetch half a file."""
    return traffic.download(answer_headers=[["Content-Length", "1000"]], answer_bytes=500)


def rated(traffic: Traffic, number: int) -> Traffic:
    """Be refused by the plan's rate."""
    return traffic.wait(1).submit(status=429, gate="rate", task=None, body={"n": number})


def failing(times: int) -> Traffic:
    """Submit one job so often; each time it fails."""
    out = Traffic()
    for number in range(times):
        task = f"job_{number:012d}"
        out.submit(task=task).wait(3).query("failed", task=task).wait(60)
    return out


def toapis_waits(*waits: float) -> Traffic:
    """Different jobs, each refused once with 429 and tried again after a wait."""
    out = Traffic(TOAPIS)
    for number, wait in enumerate(waits):
        body = {"model": "gemini_omni", "prompt": f"kite {number}"}
        out.submit(status=429, task=None, body=body).wait(wait).submit(body=body).wait(1)
    return out


def toapis_chain(*waits: float) -> Traffic:
    """One job that is refused with 429 again and again."""
    out = Traffic(TOAPIS)
    for wait in waits:
        out.submit(status=429, task=None).wait(wait)
    return out.submit(status=429, task=None)


def verdict(traffic: Traffic, clause: str) -> Verdict:
    """Return what a clause says of a day."""
    return next(each for each in judged(traffic.journal()) if each.clause.id == clause)


def test_every_clause_is_tested() -> None:
    """There are days for each clause, and clauses for all days."""
    assert set(DAYS) == {each.id for each in all_clauses()}


@pytest.mark.parametrize(
    ("clause", "number"), [(clause, n) for clause, days in DAYS.items() for n in range(len(days[0]))]
)
def test_kept(clause: str, number: int) -> None:
    """A day that keeps the rule is judged to keep it."""
    found = verdict(DAYS[clause][0][number](), clause)
    assert found.judgement == "kept", found.violations


@pytest.mark.parametrize(
    ("clause", "number"), [(clause, n) for clause, days in DAYS.items() for n in range(len(days[1]))]
)
def test_violated(clause: str, number: int) -> None:
    """A day that breaks it is judged to break it, with records, words and a fix."""
    found = verdict(DAYS[clause][1][number](), clause)
    assert found.judgement == "violated"
    for violation in found.violations:
        assert violation.records
        assert violation.seen
        assert violation.asks
        assert violation.fix


@pytest.mark.parametrize("clause", DAYS)
def test_not_exercised(clause: str) -> None:
    """Traffic that has nothing to do with a rule leaves it open, and never counts as kept."""
    provider = TOAPIS if clause in ("retry.jitter", "retry.eases-off", "submit.right-endpoint") else GOOGLE
    found = verdict(Traffic(provider).exchange("result", task=None, status=404, headers=[], path="/x"), clause)
    expected = "kept" if clause == "results.without-key" else "not exercised"
    assert found.judgement == expected


def test_a_good_day_breaks_nothing() -> None:
    """A client that does everything right is accused of nothing."""
    good = ended().download().callback()
    assert [each.clause.id for each in judged(good.journal()) if each.judgement == "violated"] == []
