"""Another fair reading of a document is no violation, or a should; a must comes from a document only."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.traffic import TASK, Traffic, providers

from contracts import judge_journal
from contracts.clause import all_clauses
from contracts.judge import untested_core
from contracts.report import as_json, junit, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from contracts.clause import Verdict

GOOGLE, TOAPIS, EVOLINK, CRUN = "googlegeminiomni", "toapis", "evolink", "crun"
LINK = {"jobId": TASK[GOOGLE], "status": "done", "outputUrl": "http://h/googlegeminiomni/omni/u/t/output.mp4"}
NO = {"error": "no"}


def day(name: str = GOOGLE) -> Traffic:
    """A day with a submit that was accepted."""
    return Traffic(name).submit()


def done() -> Traffic:
    """A day with a task that was shown as done."""
    return day().wait(3).query().wait(3).query("done", answer=LINK)


def refused(name: str, *waits: float, status: int = 429, **fields: Any) -> Traffic:
    """A submit that is refused before each wait."""
    out = Traffic(name)
    for wait in waits:
        out.submit(status=status, task=None, answer=NO, **fields).wait(wait)
    return out.submit()


def polled(name: str, number: int, apart: float, word: str, **fields: Any) -> Traffic:
    """A task that is asked after so often."""
    out = day(name)
    for _ in range(number):
        out.wait(apart).query(word, **fields)
    return out


def judged(traffic: Traffic) -> dict[str, Verdict]:
    """Judge a day, by clause."""
    return {each.clause.id: each for each in judge_journal(traffic.journal())}


def weight(traffic: Traffic, clause: str) -> str:
    """Say how severely a day violates a clause; empty if it does not."""
    found = judged(traffic)[clause]
    return found.severity if found.judgement == "violated" else ""


def two_jobs(*, crossed: bool) -> Traffic:
    """Two jobs that each ask for the balance, refused with 429, at the same instant."""
    out = Traffic(EVOLINK)
    for _ in range(4):
        out.exchange("balance", task=None, status=429, answer=NO, answer_headers=[["Retry-After", "5"]])
    out.job("returned", prompt="one")
    return out.job("returned", prompt="another") if crossed else out


def own_402() -> Traffic:
    """Two jobs that know nothing of each other each meet a 402."""
    out = Traffic()
    for number in range(2):
        out.wait(1).submit(status=402, gate="credits", task=None, answer=NO, body={"prompt": f"kite {number}"})
    return out


def in_flight() -> Traffic:
    """Jobs whose submits were on their way when the first 402 came."""
    out = Traffic()
    for number in range(5):
        out.submit(status=402, gate="credits", task=None, answer=NO, body={"prompt": f"kite {number}"})
    return out


FAILED = {"jobId": TASK[GOOGLE], "status": "failed", "error": "The model could not finish the job"}

#: What a careful client does, the clause that looks at it, and the weight of its verdict.
READINGS: dict[str, tuple[Callable[[], Traffic], str, str]] = {
    "a poll retried after 0.4 s": (
        lambda: day().wait(3).query(status=503).wait(0.4).query("done"),
        "retry.waits-grow",
        "",
    ),
    "a submit retried after 0.4 s, where no document has a figure": (
        lambda: refused(EVOLINK, 0.4, 0.4, 0.4),
        "retry.not-at-once",
        "",
    ),
    "a shorter Retry-After obeyed": (
        lambda: refused(GOOGLE, 1, 1, answer_headers=[["Retry-After", "1"]]),
        "retry.waits-grow",
        "",
    ),
    "full jitter where jitter is documented": (lambda: refused(TOAPIS, 0.2, 1.9, 0.6), "retry.waits-grow", ""),
    "equal jitter": (lambda: refused(TOAPIS, 0.6, 1.2, 2.3), "retry.waits-grow", ""),
    "decorrelated jitter": (lambda: refused(TOAPIS, 2.7, 1.1, 1.6), "retry.eases-off", ""),
    "an earlier retry than documented": (lambda: refused(GOOGLE, 0.5), "retry.waits-grow", "should"),
    "Retry-After ignored": (
        lambda: refused(GOOGLE, 1, answer_headers=[["Retry-After", "5"]]),
        "retry.retry-after",
        "should",
    ),
    "an interval a tenth shorter": (lambda: polled(GOOGLE, 5, 2.75, "generating"), "poll.interval", ""),
    "an interval far shorter": (lambda: polled(GOOGLE, 5, 1, "generating"), "poll.interval", "should"),
    "refused polls repeated": (
        lambda: polled(GOOGLE, 30, 3, "generating", status=503, answer=NO).wait(3).query("done"),
        "poll.gives-up",
        "",
    ),
    "more queries than the sample makes": (lambda: polled(GOOGLE, 61, 3, "generating"), "poll.gives-up", "should"),
    "patience beyond a public page's figure": (
        lambda: day(TOAPIS).wait(700).query("in_progress"),
        "poll.gives-up",
        "should",
    ),
    "one more query for the final usage": (lambda: done().wait(3).query("done"), "poll.stops-at-end", ""),
    "giving up after three times the estimate": (
        lambda: day(EVOLINK).wait(100).query("processing").wait(80).job("raised", "it took too long"),
        "outcome.follows-to-the-end",
        "",
    ),
    "giving up early where no document names a limit": (
        lambda: day(EVOLINK).wait(30).query("processing").wait(5).job("raised", "it took too long"),
        "outcome.follows-to-the-end",
        "should",
    ),
    "giving up at a public page's interval": (
        lambda: day(TOAPIS).wait(30).query("in_progress").wait(5).job("raised", "it took too long"),
        "outcome.follows-to-the-end",
        "should",
    ),
    "stopping at the first error where no document says what to do": (
        lambda: day(EVOLINK).wait(10).query(status=500, answer=NO).job("raised", "500"),
        "poll.errors-are-retried",
        "should",
    ),
    "stopping at the first error where the document asks to retry submits": (
        lambda: day().wait(3).query(status=503, answer=NO).job("raised", "503"),
        "poll.errors-are-retried",
        "should",
    ),
    "two jobs ask for the same": (lambda: two_jobs(crossed=True), "retry.retry-after", ""),
    "one job asks again and again": (lambda: two_jobs(crossed=False), "retry.retry-after", "should"),
    "each job its own 402": (own_402, "limits.no-credits-stops", ""),
    "submits on their way when the 402 came": (in_flight, "limits.no-credits-stops", ""),
    "a forged callback refused with 403": (
        lambda: day().callback("refused", status=403, faults=["wrong_signature"]),
        "callbacks.forged-refused",
        "should",
    ),
    "a forged callback accepted": (
        lambda: day().callback(status=200, faults=["wrong_signature"]),
        "callbacks.forged-refused",
        "must",
    ),
    "a deliberate 503 to an unreadable callback": (
        lambda: day().callback("refused", status=503, faults=["cut_callback"]),
        "callbacks.unreadable-handled",
        "",
    ),
    "a deliberate 500 to an unreadable callback": (
        lambda: day().callback("refused", status=500, faults=["cut_callback"]),
        "callbacks.unreadable-handled",
        "should",
    ),
    "a 5xx that asks for the redelivery": (
        lambda: day().callback("refused", status=503).wait(30).callback(),
        "callbacks.acknowledged",
        "",
    ),
    "204 where the document asks for 200": (
        lambda: day().callback("refused", status=204),
        "callbacks.acknowledged",
        "should",
    ),
    "a 4xx to a valid callback": (lambda: day().callback("refused", status=404), "callbacks.acknowledged", "must"),
    "an error after half a file": (
        lambda: done().download(answer_headers=[["Content-Length", "9"]], answer_bytes=5).job("raised", "cut off"),
        "results.whole",
        "should",
    ),
    "another model that the server accepts": (
        lambda: Traffic().submit(body={"model": "gemini-omni-next", "prompt": "x"}),
        "submit.body-as-documented",
        "",
    ),
    "a field left out that only examples show": (
        lambda: Traffic().submit(body={"model": "gemini-omni-video", "prompt": "x"}),
        "submit.body-as-documented",
        "should",
    ),
    "a value that the document rules out": (
        lambda: Traffic(EVOLINK).submit(
            body={"model": "gemini-omni-flash-text-to-video", "prompt": "x", "duration": 99}, status=400, task=None
        ),
        "submit.body-as-documented",
        "must",
    ),
    "a first query at once, as one of the samples does": (lambda: day().query(), "poll.interval", ""),
    "a failure told by a callback, with its reason": (
        lambda: day().callback(event="failed", body=json.dumps(FAILED)).job("raised", str(FAILED["error"])),
        "callbacks.failure-has-its-reason",
        "",
    ),
    "a failure told by a callback, without its reason": (
        lambda: day().callback(event="failed", body=json.dumps(FAILED)).job("raised", "it failed"),
        "callbacks.failure-has-its-reason",
        "should",
    ),
    "a fresh link asked for after the old one expired": (
        lambda: done().wait(700_000).download(status=403, error="result_expired").query("done").download(),
        "results.in-time",
        "",
    ),
}


@pytest.mark.parametrize("name", READINGS)
def test_a_fair_reading_is_weighed(name: str) -> None:
    """What a careful engineer may do is nothing or a should; only a document's own rule is a must."""
    traffic, clause, wanted = READINGS[name]
    assert weight(traffic(), clause) == wanted


# -- what the client received -----------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["latency", "held_open", "truncated_body", "broken_gzip", "empty_body"])
def test_an_answer_that_may_not_have_arrived_shows_nothing(fault: str) -> None:
    """A client that asks on after an answer that it never got is not told that it saw the end."""
    traffic = day().wait(3).query("done", answer=LINK, faults=[fault])
    for _ in range(3):
        traffic.wait(3).query("done", answer=LINK, faults=[fault])
    verdicts = judged(traffic.job("raised", "timed out"))
    for clause in ("poll.stops-at-end", "results.fetched", "outcome.returns-file"):
        assert verdicts[clause].judgement != "violated", clause


def test_a_request_id_may_be_kept_on_the_exception() -> None:
    """Its text does not have it, and a program finds it all the same."""
    traffic = Traffic(TOAPIS).submit(status=500, task=None, answer=NO, answer_headers=[["X-Request-Id", "req_1"]])
    journal = traffic.job("raised", "500: no").journal()
    kept = replace(journal, jobs=(replace(journal.jobs[0], kept="{'request_id': 'req_1'}"),))
    clause = "outcome.error-has-request-id"
    assert next(each for each in judge_journal(journal) if each.clause.id == clause).judgement == "violated"
    assert next(each for each in judge_journal(kept) if each.clause.id == clause).judgement == "kept"


# -- what the runner did ----------------------------------------------------------------------------


def test_a_job_that_the_runner_stopped_is_not_tested() -> None:
    """The verdict names the reason and the flag, and what the job had no time to do is no violation."""
    journal = day().wait(3).query(status=503, answer=NO).wait(60).job("never", "had not ended after 60 s").journal()
    limited = replace(
        journal, jobs=(replace(journal.jobs[0], stopped="stopped by the runner after 60 s (--job-limit)"),)
    )
    verdicts = {each.clause.id: each for each in judge_journal(limited)}
    assert verdicts["outcome.ends"].judgement == "not exercised"
    assert "--job-limit" in verdicts["outcome.ends"].reason
    assert "--job-limit" in text(verdicts.values())
    assert "--job-limit" in junit(verdicts.values())
    assert verdicts["poll.errors-are-retried"].judgement == "not exercised"
    own = {each.clause.id: each for each in judge_journal(journal)}
    assert own["outcome.ends"].judgement == "violated"


# -- the worst misses -------------------------------------------------------------------------------


def test_a_run_that_proves_nothing_is_no_success() -> None:
    """The core clauses are tested by every client that works; a scenario with faults needs less."""
    idle = judge_journal(Traffic().exchange("result", task=None, status=404, path="/x").journal())
    assert {each.clause.id for each in untested_core(idle)} == {"outcome.begins", "outcome.makes-video"}
    assert {each.clause.id for each in untested_core(idle, faultless=False)} == {"outcome.begins"}
    good = done().download().job()
    assert untested_core(judge_journal(good.journal())) == []


def test_every_paid_task_of_a_job_is_counted() -> None:
    """Four tasks are paid because each submit was slower than the client's timeout."""
    traffic = Traffic()
    for number in range(4):
        traffic.submit(task=f"job_{number}", faults=["latency"]).wait(30)
    found = judged(traffic.job("raised", "timed out"))["submit.not-again-after-lost-answer"]
    assert (found.judgement, found.severity, len(found.violations)) == ("violated", "must", 3)


@pytest.mark.parametrize(
    ("first", "clause"),
    [
        (lambda: Traffic().submit(answer="<html>"), "payment.unreadable-answer"),
        (lambda: Traffic().submit(faults=["truncated_body"]), "payment.unreadable-answer"),
        (lambda: day().wait(3).query(status=500, answer=NO), "payment.poll-errors"),
        (lambda: done().download(answer_headers=[["Content-Length", "9"]], answer_bytes=5), "payment.bad-file"),
    ],
)
def test_each_way_to_pay_twice_is_judged_once(first: Callable[[], Traffic], clause: str) -> None:
    """One clause names it, and none of the others repeats it."""
    found = judged(first().wait(5).submit(task="job_2").job("raised", "no"))
    paid = {
        name for name, each in found.items() if each.judgement == "violated" and name.startswith(("pay", "submit."))
    }
    assert paid == {clause}


def test_a_late_answer_that_was_read_is_no_reason_to_accuse() -> None:
    """The task was followed to its failure, so a second one is no double payment."""
    traffic = Traffic().submit(faults=["latency"]).wait(60).query("failed", answer=FAILED)
    found = judged(traffic.wait(5).submit(task="job_2").job("raised", str(FAILED["error"])))
    assert [name for name, each in found.items() if each.judgement == "violated" and "again" in str(each)] == []
    assert found["payment.unreadable-answer"].judgement == "not exercised"


# -- one cause, one verdict -------------------------------------------------------------------------


def shouting() -> Traffic:
    """A client that never sees the end, because it is written in capitals."""
    traffic = day().wait(3)
    for _ in range(3):
        traffic.query(answer={**LINK, "status": "DONE"}, faults=["status_case"]).wait(3)
    return traffic.job("raised", "KeyError: 'DONE'")


def test_an_undocumented_oddity_yields_one_should() -> None:
    """It is named for its cause, and the other clauses are grouped under it, in every output."""
    verdicts = judge_journal(shouting().journal())
    (found,) = [each for each in verdicts if each.judgement == "violated"]
    assert (found.severity, found.cause) == ("should", "status_case")
    names = {found.clause.id, *(each.clause.id for each in found.grouped)}
    assert {"poll.stops-at-end", "results.fetched", "outcome.returns-file"} <= names
    said = text(verdicts)
    assert "cause: status case" in said
    assert all(name in said for name in names)
    data = next(each for each in as_json(verdicts)["verdicts"] if each["judgement"] == "violated")
    assert data["cause"] == "status_case"
    assert {data["clause"], *(each["clause"] for each in data["grouped"])} == names


def test_what_happens_without_the_oddity_too_is_the_clients_own() -> None:
    """The same violation at a task without it is told in full weight, and not put down to the oddity."""
    traffic = (
        shouting()
        .submit(task="job_2", body={"prompt": "another"})
        .wait(60)
        .query("done", task="job_2", answer={**LINK, "jobId": "job_2"})
    )
    found = judged(traffic)["results.fetched"]
    assert (found.judgement, found.cause) == ("violated", "")


def test_what_a_request_contains_is_no_answers_fault() -> None:
    """A missing key is a must, whatever oddities the answers have."""
    headers = [["Content-Type", "application/json"]]
    traffic = Traffic().submit(faults=["extra_fields"], headers=headers)
    assert weight(traffic, "auth.key-in-its-header") == "must"


@pytest.mark.parametrize(
    ("name", "clause", "basis"),
    [
        (GOOGLE, "poll.interval", "document"),
        (TOAPIS, "poll.interval", "public page"),
        (CRUN, "outcome.success-is-real", "best practice"),
    ],
)
def test_a_verdict_names_what_it_rests_on(name: str, clause: str, basis: str) -> None:
    """A document, a public page, or best practice; figures of public pages are never a must."""
    found = judged(day(name))[clause]
    assert found.basis == basis
    assert found.basis != "public page" or found.severity != "must"


def test_no_clause_is_a_must_by_a_public_page() -> None:
    """At no provider."""
    for provider in providers():
        for verdict in judge_journal(day(provider).journal()):
            assert (verdict.basis, verdict.severity) != ("public page", "must"), verdict


def test_a_must_without_a_document_is_said_clause_by_clause() -> None:
    """Where no document has the rule, a clause that claims nothing is a should."""
    claimed = {each.id for each in all_clauses() if each.severity_on("best practice") == "must"}
    assert claimed == {
        *("auth.key-nowhere-else", "callbacks.idempotent", "payment.poll-errors", "payment.unreadable-answer"),
        *("outcome.begins", "outcome.ends", "outcome.makes-video", "outcome.returns-file", "outcome.success-is-real"),
        *("results.resumed-right", "results.without-key", "submit.content-type", "submit.not-again-after-lost-answer"),
        *("submit.not-again-after-refusal", "submit.one-task-a-job", "submit.prompt-unchanged"),
    }
