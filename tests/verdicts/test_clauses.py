"""Every clause: traffic that keeps it, traffic that breaks it, and traffic that cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from support.missed_days import MISSED
from support.traffic import TASK, Traffic, providers

from contracts import all_clauses, judge_journal
from contracts.clause import RENAMED, current_id
from contracts.judge import applicable

if TYPE_CHECKING:
    from contracts.clause import Verdict

Day = Callable[[], Traffic]
GOOGLE, TOAPIS, EVOLINK = "googlegeminiomni", "toapis", "evolink"
LINK = {"jobId": TASK[GOOGLE], "status": "done", "outputUrl": "http://h/googlegeminiomni/omni/u/t/output.mp4"}
KEYED = [["Authorization", "Bearer [key of acct_1]"]]
NEW = ["unknown_event"]
SECOND = "job_000000000002"
OTHER = {"model": "gemini-omni-video", "prompt": "Something else"}
FULL: dict[str, Any] = {"status": 429, "gate": "concurrency", "task": None, "answer": {"error": "full"}}
DATE = [["Retry-After", "Fri, 05 Jun 2026 00:00:03 GMT"]]


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


def had() -> Traffic:
    """A day with a callback, and the whole file after it."""
    return day().wait(3).callback().query("done", answer=LINK).download()


def failed(reason: str = "The model could not finish the job") -> Traffic:
    """A day with a task that was seen to have failed."""
    answer = {"jobId": TASK[GOOGLE], "status": "failed", "error": reason}
    return day().wait(3).query("failed", answer=answer)


def broken(times: int = 1) -> Traffic:
    """A submit that meets 500 every time; its answers have the ids of their requests."""
    out = Traffic(TOAPIS)
    for number in range(times):
        headers = [["X-Request-Id", f"req_{number + 1}"]]
        out.submit(status=500, task=None, answer={"error": "no"}, answer_headers=headers).wait(2**number)
    return out


#: By clause: days that keep it, and days that break it.
DAYS: dict[str, tuple[list[Day], list[Day]]] = {
    "submit.body-as-documented": (
        [day, lambda: day(TOAPIS)],
        [
            lambda: Traffic().submit(body={"model": "gemini-omni-video"}),
            lambda: Traffic().submit(body={"model": "none", "prompt": "x"}, status=400, task=None),
            lambda: Traffic().submit(body="[1]"),
            lambda: Traffic(TOAPIS).submit(body={"model": "gemini_omni", "prompt": "x", "duration": 7}),
        ],
    ),
    "submit.content-type": ([day], [lambda: Traffic().submit(headers=KEYED)]),
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
        [
            lambda: Traffic().submit(status=None).wait(5).submit(),
            lambda: Traffic().submit(status=None).wait(5).submit(task="job_2").job(),
            lambda: Traffic().submit(faults=["latency"]).wait(5).submit(task="job_2").job(),
            lambda: Traffic().submit(answer="<html>").wait(5).submit(task="job_2", body=otherwise(1)).job(),
        ],
    ),
    "submit.one-task-a-job": (
        [
            lambda: ended().job(),
            lambda: failed().submit(task="job_2").job(),
            lambda: Traffic().submit(faults=["latency"]).wait(30).submit(task="job_2").job(),
            lambda: many(day(), 60).submit(task="job_2").job(),
            lambda: ended().download(status=403, error="result_expired").submit(task="job_2").job(),
        ],
        [
            lambda: day().submit(task="job_2").job(),
            lambda: day().wait(3).query(status=500).submit(task="job_2", body=otherwise(2)).job(),
            lambda: short(ended()).submit(task="job_2", body=otherwise(3)).job(),
            lambda: had().submit(task="job_2").job(),
            lambda: day().wait(3).query().wait(3).submit(task="job_2").job("raised"),
        ],
    ),
    "retry.waits-grow": (
        [lambda: refused(429, 1, 2, 4), lambda: refused(503, 1.2, 2.5)],
        [lambda: refused(429, 0.5), lambda: refused(429, 1, 1), lambda: refused(500, 1, 2, 3.5)],
    ),
    "retry.not-at-once": (
        [lambda: refused(503, 1), lambda: refused(503, 0.4), lambda: refused(429, 0.01, 1)],
        [lambda: refused(503, 0.01, 0.02), lambda: refused(429, 1, 0.01, 0.01)],
    ),
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
    "poll.first-wait": ([lambda: day(TOAPIS).wait(5).query()], [lambda: day(TOAPIS).wait(2).query()]),
    "poll.interval": (
        [lambda: day().wait(3).query().wait(3).query()],
        [lambda: day().wait(3).query().wait(1).query()],
    ),
    "poll.waits": (
        [lambda: many(day(EVOLINK), 25), lambda: many(day(EVOLINK), 25, apart=0.2)],
        [lambda: many(day(EVOLINK), 25, apart=0.01)],
    ),
    "poll.stops-at-end": (
        [
            ended,
            lambda: ended("failed"),
            lambda: ended().wait(3).query("done"),
            lambda: day().wait(3).query("done", faults=["late_url"]).wait(3).query("done"),
            lambda: ended().download(status=403, error="result_expired", faults=["expired_link"]).query("done"),
        ],
        [
            lambda: ended().wait(3).query("done").wait(3).query("done"),
            lambda: ended("failed").wait(3).query("failed").wait(3).query("failed"),
        ],
    ),
    "poll.gives-up": (
        [lambda: day().wait(3).query().wait(3).query()],
        [lambda: many(day(), 61), lambda: day(TOAPIS).wait(700).query("in_progress")],
    ),
    "poll.unknown-status": (
        [lambda: day().wait(3).query("reviewing").wait(3).query("done")],
        [lambda: day().wait(3).query("reviewing")],
    ),
    "poll.errors-are-retried": (
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
        [
            lambda: ended().download(path="/omni/u/t/other.mp4", status=404),
            lambda: ended().download(path="/omni/u/t/output.mp", status=404),
            lambda: ended().download(query="x=1", status=None),
        ],
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
    "callbacks.unreadable-handled": (
        [lambda: day().callback("refused", status=400, faults=["cut_callback"])],
        [lambda: day().callback("unreachable", faults=["cut_callback"])],
    ),
    "callbacks.lost-recovered-by-poll": (
        [lambda: day().callback("lost").wait(60).query("done"), lambda: day().callback("lost").wait(60).query()],
        [lambda: day().callback("lost"), lambda: day().wait(3).query().wait(60).callback("lost")],
    ),
    "callbacks.unknown-events": (
        [
            lambda: day().callback(faults=NEW),
            lambda: day().callback(faults=NEW).wait(60).query("failed").job("raised", "failed"),
        ],
        [
            lambda: day().callback("refused", status=422, faults=NEW),
            lambda: day().callback(faults=NEW).job("raised", "what is job.reviewing?"),
        ],
    ),
    "callbacks.idempotent": (
        [lambda: had().wait(1).callback(), lambda: had().wait(1).callback().wait(60).submit(body=OTHER, task=SECOND)],
        [lambda: had().wait(1).callback().download(), lambda: had().wait(1).callback().submit(task=SECOND)],
    ),
    "callbacks.early-kept": (
        [lambda: Traffic().callback().submit().wait(3).query("done"), lambda: Traffic().callback().submit().download()],
        [lambda: Traffic().callback().submit()],
    ),
    "callbacks.constant-time": (
        [lambda: day().callback().signatures(2, 1)],
        [lambda: day().callback().callback().signatures(2, 0)],
    ),
    "outcome.ends": (
        [lambda: day().job(), lambda: day().job("raised", "no")],
        [
            lambda: day().wait(3).query().wait(90_000).job("never"),
            lambda: day().job("never", "nothing else could run for 30 s").job(prompt="another"),
        ],
    ),
    "outcome.makes-video": (
        [lambda: ended().download().job(), lambda: ended().job()],
        [
            lambda: day().wait(3).exchange("query", task=None, status=404).job("raised", "404"),
            lambda: day().job("raised", "KeyError: 'id'"),
            lambda: Traffic().job("raised", "KeyError"),
        ],
    ),
    "outcome.success-is-real": (
        [
            lambda: ended().download(answer_bytes=500).job(size_bytes=500),
            lambda: ended().job(),
            lambda: day().callback().job(),
            lambda: day().download().job(),
        ],
        [
            lambda: day().job(),
            lambda: Traffic().submit(status=402, task=None, answer={"error": "no"}).job(),
            lambda: ended().download(answer_bytes=500).job(size_bytes=499),
            lambda: ended("failed").job(),
            lambda: ended().submit(task=SECOND, body=OTHER).download(task=SECOND, answer_bytes=500).job(size_bytes=500),
            lambda: day().wait(3).query("done", faults=["late_url"]).job(size_bytes=0),
            lambda: short(ended()).job(size_bytes=500),
        ],
    ),
    "outcome.failure-has-its-reason": (
        [
            lambda: failed().job("raised", "TaskFailed: the model could not finish the job"),
            lambda: failed(reason="nothing of the document's").job("raised", "it failed"),
        ],
        [
            lambda: failed().job("raised", "something went wrong"),
            lambda: failed().job(),
        ],
    ),
    "outcome.returns-file": (
        [lambda: ended().download().job()],
        [lambda: ended().job("raised", "ValueError"), lambda: ended().download().job("raised", "ValueError")],
    ),
    "outcome.error-has-request-id": (
        [lambda: broken().job("raised", "500: no (request req_1)"), lambda: broken(2).job("raised", "request req_1")],
        [lambda: broken().job("raised", "500: no"), lambda: broken(2).job("raised", "request req_9")],
    ),
    "outcome.begins": ([lambda: day().job("raised")], [lambda: Traffic().job("raised", "KeyError")]),
    "outcome.follows-to-the-end": (
        [lambda: ended().job(), lambda: day().wait(3).query().wait(300).job()],
        [
            lambda: day().job("raised", "KeyError: 'task_id'"),
            lambda: day().wait(3).query().job("raised", "KeyError"),
            lambda: day().wait(3).query("ACCEPTED").job(),
            lambda: day().wait(160).query().wait(9).job("raised", "KeyError"),
        ],
    ),
    "limits.kept": (
        [lambda: day().submit().submit(), lambda: crowded(6).submit(**FULL).wait(1).submit(**FULL)],
        [
            lambda: rated(rated(day(), 1), 2),
            lambda: followed(crowded(6).submit(**FULL).wait(1).submit(**FULL).wait(1), 6),
        ],
    ),
    "limits.no-credits-stops": (
        [lambda: day().submit(status=402, task=None)],
        [lambda: poor(day(), 3)],
    ),
    "limits.failed-not-resubmitted": ([lambda: failing(2)], [lambda: failing(4)]),
    "retry.jitter": (
        [lambda: toapis_waits(1.0, 1.1, 1.3)],
        [lambda: toapis_waits(1.0, 1.0, 1.0), lambda: toapis_waits(1.002, 1.001, 1.009)],
    ),
    "retry.eases-off": (
        [lambda: toapis_chain(1, 2, 4), lambda: toapis_chain(2.9, 1, 1)],
        [lambda: toapis_chain(8, 8, 1)],
    ),
    **MISSED,
}


#: By clause: more days that cannot tell, besides one with nothing in it but a download.
SILENT: dict[str, list[Day]] = {
    "submit.not-again-after-lost-answer": [lambda: Traffic().submit(status=None, task=None).wait(5).submit()],
    "submit.one-task-a-job": [lambda: day().submit(task="job_2")],
    "retry.jitter": [lambda: toapis_waits(1.0, 1.0)],
    "limits.no-credits-stops": [
        lambda: (
            Traffic()
            .submit(status=402, task=None, faults=["latency"])
            .submit(status=402, task=None, faults=["latency"])
        )
    ],
    "retry.retry-after": [lambda: refused(503, 2, answer_headers=DATE).at_speed(60)],
    "poll.first-wait": [lambda: day(TOAPIS).wait(1).callback(task=TASK[TOAPIS], event="completed").query()],
    "poll.interval": [
        lambda: day().wait(3).query().wait(1).callback().query(),
        lambda: day().query("done").wait(1).query(),
    ],
    "results.link-as-given": [lambda: ended().download(path="/omni/u/t/other.mp4")],
    "callbacks.acknowledged": [
        lambda: day().callback("lost"),
        lambda: day().callback("refused", status=422, faults=NEW),
        lambda: day().callback("refused", status=400, faults=["cut_callback"]),
    ],
    "callbacks.in-time": [lambda: day().callback("lost")],
    "callbacks.forged-refused": [lambda: day().callback(), lambda: day().callback("lost", faults=["wrong_signature"])],
    "callbacks.unreadable-handled": [lambda: day().callback("refused", status=500)],
    "callbacks.lost-recovered-by-poll": [
        lambda: day().callback(),
        lambda: day().callback("lost").callback(),
        lambda: Traffic().submit(status=None).callback("lost"),
        lambda: Traffic().submit(answer={"jobId": "another"}).callback("lost"),
    ],
    "callbacks.unknown-events": [lambda: day().callback(), lambda: day().callback("timeout", faults=NEW)],
    "callbacks.idempotent": [
        lambda: day().callback().callback(),
        lambda: ended().callback().callback().download(),
        had,
        lambda: had().callback("unreachable"),
    ],
    "callbacks.early-kept": [
        lambda: day().callback(),
        lambda: Traffic().callback("lost").submit(),
        lambda: Traffic().callback().submit(status=None),
    ],
    "callbacks.constant-time": [lambda: day().callback(), lambda: day().callback().signatures(0, 0)],
    "outcome.ends": [ended],
    "outcome.makes-video": [
        lambda: day().wait(3).query().job("never"),
        lambda: day().wait(3).query(status=500, faults=["error"]).job("raised"),
        lambda: Traffic().submit(status=402, gate="credits", task=None).job("raised"),
        lambda: failed().job("raised", "it failed"),
        lambda: day().job(),
        lambda: day().wait(3).query().job("never"),  # another clause says that it did not end
    ],
    "outcome.success-is-real": [lambda: ended().job("raised"), lambda: ended().job("never")],
    "outcome.failure-has-its-reason": [
        lambda: ended().job(),
        lambda: failed().submit(task=SECOND).wait(3).query("done", task=SECOND).job(),
        lambda: failed().job("raised", prompt="of another job"),
    ],
    "outcome.returns-file": [
        lambda: ended("failed").job("raised"),
        lambda: ended().submit(task=SECOND).job("raised"),
        lambda: ended().download(faults=["expired_link"], status=403).job("raised"),
        lambda: day().wait(3).query("done", faults=["late_url"]).job("raised"),
        lambda: ended().job("never"),
    ],
    "outcome.error-has-request-id": [
        lambda: broken().job(),
        lambda: Traffic(TOAPIS).submit(status=500, task=None, answer={"error": "no"}).job("raised"),
        lambda: broken().wait(1).submit().job("raised"),
        lambda: broken().submit(status=402, task=None, body=OTHER).job("raised"),
    ],
    "outcome.follows-to-the-end": [
        lambda: day().wait(3).query().job("never"),
        lambda: ended().job("raised"),
        lambda: day().wait(3).query(status=500, answer={"error": "no"}).job("raised"),
        lambda: day().wait(3).query().wait(240).job("raised", "it took too long"),
        lambda: many(day(), 60).job("raised", "asked 60 times"),
        lambda: day().wait(3).query().submit(task=SECOND).job("raised"),
    ],
}


def many(traffic: Traffic, number: int, apart: float = 3, **fields: Any) -> Traffic:
    """Ask so often, so many seconds apart."""
    for _ in range(number):
        traffic.wait(apart).query(**fields)
    return traffic


def short(traffic: Traffic) -> Traffic:
    """Fetch half a file."""
    return traffic.download(answer_headers=[["Content-Length", "1000"]], answer_bytes=500)


def otherwise(number: int) -> dict[str, Any]:
    """Return the first model's example with something else beside the prompt."""
    return {**dict(next(iter(Traffic().provider.models.values())).example or {}), "seed": number}


def poor(traffic: Traffic, jobs: int) -> Traffic:
    """Submit so many jobs one after the other without credits."""
    for number in range(jobs):
        traffic.wait(60).submit(status=402, task=None, body={"another": number})
    return traffic


def rated(traffic: Traffic, number: int) -> Traffic:
    """Be refused by the plan's rate."""
    return traffic.wait(1).submit(status=429, gate="rate", task=None, body={"n": number})


def crowded(tasks: int) -> Traffic:
    """Submit so many jobs one after the other."""
    out = Traffic()
    for number in range(tasks):
        out.submit(task=f"job_{number:012d}", body={**OTHER, "prompt": str(number)}).wait(1)
    return out


def followed(traffic: Traffic, tasks: int) -> Traffic:
    """Ask after so many tasks."""
    for number in range(tasks):
        traffic.query(task=f"job_{number:012d}")
    return traffic


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
    return next(each for each in judge_journal(traffic.journal()) if each.clause.id == clause)


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
        assert violation.records or clause in (
            "outcome.begins",
            "outcome.makes-video",
        )  # what shows it is that there are none
        assert violation.seen
        assert violation.asks
        assert violation.fix


@pytest.mark.parametrize("clause", DAYS)
def test_not_exercised(clause: str) -> None:
    """Traffic that has nothing to do with a rule leaves it open, and never counts as kept."""
    names = {each.id: name for name in (EVOLINK, TOAPIS, GOOGLE) for each, _ in applicable(providers()[name])}
    found = verdict(Traffic(names[clause]).exchange("result", task=None, status=404, headers=[], path="/x"), clause)
    expected = "kept" if clause == "results.without-key" else "not exercised"
    assert found.judgement == expected


@pytest.mark.parametrize(
    ("clause", "number"), [(clause, n) for clause, days in SILENT.items() for n in range(len(days))]
)
def test_cannot_tell(clause: str, number: int) -> None:
    """A day that comes near a rule without meeting it leaves it open."""
    found = verdict(SILENT[clause][number](), clause)
    assert found.judgement == "not exercised", found.violations


def test_a_job_that_nothing_went_over_the_wire_for_is_not_done() -> None:
    """What was done for another job does not count; there are no records to show."""
    for traffic in (ended().download().job(prompt="of another job"), Traffic().job()):
        (violation,) = verdict(traffic, "outcome.success-is-real").violations
        assert (violation.records, "none of its tasks had succeeded" in violation.seen) == ((), True)


def test_a_good_day_breaks_nothing() -> None:
    """A client that does everything right is accused of nothing."""
    good = day().wait(3).query().wait(3).callback().query("done", answer=LINK).download(answer_bytes=500)
    good.wait(1).callback().job(size_bytes=500).signatures(2, 2)
    assert [each.clause.id for each in judge_journal(good.journal()) if each.judgement == "violated"] == []


def test_old_clause_ids_are_accepted_for_one_release() -> None:
    """An old id stands for the new one, with a warning; an unknown one is refused."""
    known = {each.id for each in all_clauses()}
    for old, new in RENAMED.items():
        assert (old in known, new in known) == (False, True)
        with pytest.warns(DeprecationWarning, match=new):
            assert current_id(old) == new
    assert current_id("results.without-key") == "results.without-key"
    with pytest.raises(ValueError, match="unknown clause"):
        current_id("results.without-a-key")
