"""Clients that do right in ways of their own are not accused, and HAR files of other tools are judged fairly."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from hmac import compare_digest  # by name, as many do
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from support.traffic import TASK, Traffic, providers

from contracts import JournalError, judge_journal, read
from contracts.client.catalogue import conditions
from contracts.client.in_process.runner import run_scenario, run_situation
from contracts.client.situations import Situation
from mockserver.scenarios.read import of_data

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from contracts.clause import Verdict
    from contracts.client.run import Run
    from contracts.client.subject import Setting
    from contracts.journal import Journal

GOOGLE, EVOLINK = "googlegeminiomni", "evolink"


def by_clause(journal: Journal) -> dict[str, Verdict]:
    """Judge a journal."""
    return {each.clause.id: each for each in judge_journal(journal)}


def violated(journal: Journal) -> dict[str, str]:
    """Say what was violated, and what was seen."""
    return {name: each.violations[0].seen for name, each in by_clause(journal).items() if each.violations}


class Believer:
    """Polls every three seconds, and accepts a signed callback as the end."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.told: dict[str, dict[str, Any]] = {}
        self.headers = {"Authorization": f"Bearer {setting.api_key}"}

    async def handle_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        wanted = hmac.new(str(self.setting.callback_secret).encode(), body, hashlib.sha256).hexdigest()
        if not compare_digest(wanted, headers.get("x-gemini-signature", "")):
            return 401
        event = json.loads(body)
        self.told[event["jobId"]] = event
        return 200

    async def generate(self, prompt: str) -> bytes:
        body = {"model": "gemini-omni-video", "prompt": prompt, "resolution": "1080p", "duration": 8}
        body["callbackUrl"] = self.setting.callback_url or ""
        base = self.setting.base_url
        async with aiohttp.ClientSession() as http:
            job = await (await http.post(f"{base}/api/v1/generate", json=body, headers=self.headers)).json()
            for _ in range(60):
                await asyncio.sleep(3)
                seen = self.told.get(job["jobId"])
                for wait_s in (1, 2, 4, None):
                    if seen is not None:
                        break
                    answer = await http.get(f"{base}/api/v1/jobs/{job['jobId']}", headers=self.headers)
                    if answer.status == 200:
                        seen = await answer.json()
                    elif wait_s is None:
                        answer.raise_for_status()
                    else:
                        await asyncio.sleep(wait_s)
                assert seen is not None
                if seen.get("error"):
                    raise RuntimeError(seen["error"])
                if seen.get("outputUrl"):
                    return await (await http.get(seen["outputUrl"])).read()
        raise TimeoutError("it took too long")


def met(*names: str) -> Run:
    """Let it meet these things."""
    provider = providers()[GOOGLE]
    chosen = tuple(each for each in conditions(provider, callbacks=True) if each.name in names)
    assert len(chosen) == len(names)
    return run_situation(
        Believer, provider, Situation(GOOGLE, tuple(each for each in chosen if each.events), callbacks=True)
    )


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("callback lost", "task overdue"),
        ("callback lost", "callback after the poll"),
        ("callback lost", "query always fails: 429"),
        ("callback early", "task fails and is charged"),
        ("task fails, reported by callback",),
    ],
)
def test_who_believes_callbacks_is_accused_of_nothing(names: tuple[str, ...]) -> None:
    """A callback's word is an end; what is lost after the end, or after the time is over, asks for nothing."""
    assert violated(met(*names).journal) == {}


def test_comparing_by_an_imported_name_is_seen() -> None:
    """`from hmac import compare_digest` compares in constant time as well, run after run."""
    for _ in range(2):
        assert by_clause(met().journal)["callbacks.constant-time"].judgement == "kept"
    assert hmac.compare_digest is compare_digest


class Resumes:
    """Goes on with a download where it broke off."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.headers = {"Authorization": f"Bearer {setting.api_key}"}

    async def generate(self, prompt: str) -> bytes:
        base = self.setting.base_url
        body = {"model": "gemini-omni-flash-text-to-video", "prompt": prompt, "duration": 6}
        async with aiohttp.ClientSession() as http:
            post = await http.post(f"{base}/v1/videos/generations", json=body, headers=self.headers)
            task = await post.json()
            while task["status"] != "completed":
                await asyncio.sleep(5)
                task = await (await http.get(f"{base}/v1/tasks/{task['id']}", headers=self.headers)).json()
            data = b""
            while True:
                more = await http.get(task["results"][0], headers={"Range": f"bytes={len(data)}-"})
                try:
                    async for chunk in more.content.iter_any():
                        data += chunk
                except aiohttp.ClientError:
                    continue
                return data


def test_a_file_fetched_in_parts_is_whole() -> None:
    """Range is not half a file."""
    fault = {"fault": "expires_midway", "where": {"provider": EVOLINK}, "when": {"times": 1}}
    scenario = of_data({"scenario": "cut once", "seed": 0, "timeline": [fault]})
    run = run_scenario(Resumes, providers()[EVOLINK], scenario, jobs=1, callbacks=False, seed=0)
    assert violated(run.journal) == {}
    assert run.journal.jobs[0].size_bytes == 80_600


def test_a_situation_of_a_file_can_be_met() -> None:
    """Its scenario has mappings in it, and yet it can be kept in sets, which replays need."""
    fault = {"fault": "stuck", "where": {"provider": EVOLINK}}
    one = Situation(EVOLINK, file=of_data({"scenario": "one", "timeline": [fault]}))
    other = Situation(EVOLINK, file=of_data({"scenario": "other", "timeline": [fault]}))
    assert len({one, other}) == 2


def early(event: str) -> Traffic:
    """A callback that came before the submit's answer."""
    return Traffic().callback(event=event).submit()


def test_an_early_callback_of_a_failure_is_reported_and_no_more() -> None:
    """Nothing has to be asked then; without jobs it cannot be known; a forgotten one is a violation."""
    clause = "callbacks.early-kept"
    assert by_clause(early("failed").job("raised", "failed").journal())[clause].judgement == "kept"
    assert by_clause(early("failed").journal())[clause].judgement == "not exercised"
    assert by_clause(early("failed").job("never").journal())[clause].judgement == "violated"
    assert by_clause(early("done").journal())[clause].judgement == "violated"


@pytest.mark.parametrize("clause", ["poll.errors-are-retried", "poll.unknown-status", "outcome.follows-to-the-end"])
def test_a_callback_that_told_the_end_ends_polling(clause: str) -> None:
    """The last query may show an error, an unknown word or a task on its way: a callback said the rest."""
    shown: dict[str, Any] = {
        "poll.errors-are-retried": {"status": 500, "answer": {"error": "no"}},
        "poll.unknown-status": {"answer": {"jobId": TASK[GOOGLE], "status": "reviewing"}},
        "outcome.follows-to-the-end": {},
    }
    silent = Traffic().submit().wait(3).query(**shown[clause])
    assert by_clause(silent.wait(60).job("raised").journal())[clause].judgement == "violated"
    told = Traffic().submit().wait(3).query(**shown[clause]).wait(60).callback().download().job()
    assert by_clause(told.journal())[clause].judgement == "kept"
    forged = (
        Traffic().submit().wait(3).query(**shown[clause]).wait(60).callback(faults=["wrong_signature"]).job("raised")
    )
    assert by_clause(forged.journal())[clause].judgement == "violated"


def test_an_error_when_time_is_over_is_an_end() -> None:
    """After an error at the sixtieth query, a sixty-first is not required."""
    traffic = Traffic().submit()
    for _ in range(59):
        traffic.wait(3).query()
    journal = traffic.wait(3).query(status=500, answer={"error": "no"}).job("raised", "timed out").journal()
    assert "poll.errors-are-retried" not in violated(journal)


def test_an_end_in_capitals_with_its_reason_is_an_end() -> None:
    """The reason beside it is the task's, not an error of the answer."""
    failed = {"jobId": TASK[GOOGLE], "status": "FAILED", "error": {"code": "model_error", "message": "model_error"}}
    journal = Traffic().submit().wait(60).query(answer=failed).job("raised", "model_error").journal()
    assert "poll.errors-are-retried" not in violated(journal)
    assert by_clause(journal)["outcome.failure-has-its-reason"].judgement == "kept"


@pytest.mark.parametrize("status", [402, 429, None])
def test_the_same_request_on_another_day_is_no_retry(status: int | None) -> None:
    """Recorded traffic knows no jobs: what is the same ten minutes later is a retry, and a day later is not."""

    def day(wait_s: float) -> dict[str, str]:
        fields: dict[str, Any] = {} if status is None else {"task": None, "answer": {"error": "no"}}
        first = Traffic().submit(status=status, **fields).wait(wait_s)
        return violated(first.submit(status=402, task=None, answer={"error": "no"}).journal())

    assert bool(day(0.2)) is (status is not None) or day(0.2).keys() == {"submit.not-again-after-lost-answer"}
    assert day(86_400) == {}


def test_a_job_that_ends_beside_an_unknown_event_may_have_other_reasons() -> None:
    """A submit without a readable answer after it; a query before it that showed the end."""
    clause = "callbacks.unknown-events"
    asked = Traffic().submit().wait(60).query("failed").callback(faults=["unknown_event"])
    assert by_clause(asked.job("raised", "failed").journal())[clause].judgement == "kept"
    before = Traffic().callback(faults=["unknown_event"])
    assert by_clause(before.submit(answer="").job("raised", "unreadable").journal())[clause].judgement == "kept"
    after = Traffic().submit().callback(faults=["unknown_event"]).job("raised", "unknown event")
    assert by_clause(after.journal())[clause].judgement == "violated"


# -- HAR --------------------------------------------------------------------------------------------


def entry(method: str, url: str, answer: Any, second: int, **more: Any) -> dict[str, Any]:
    """Write an entry as a browser does."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    headers = [{"name": "authorization", "value": "Bearer sk-1234567890"}] if more.get("key", True) else []
    content = {"size": more.get("size", len(text)), "text": text}
    answered = [{"name": "content-length", "value": str(len(text))}]
    return {
        "startedDateTime": f"2026-06-05T00:00:{second:02}.000Z",
        "request": {
            "method": method,
            "url": url,
            "headers": [{"name": "content-type", "value": "application/json"}, *headers],
            "postData": {"text": json.dumps(more["body"])} if "body" in more else None,
        },
        "response": {"status": more.get("status", 200), "headers": answered, "content": content, "bodySize": -1},
    }


def har(
    path: Path, *, key: bool = True, size: int | None = None, link: str = "https://cdn.example/v/0.mp4?s=1"
) -> Path:
    """Write a day with the real provider as a HAR file: submit, query, download from a third party's host."""
    api, task = "https://api.evolink.ai/v1", TASK[EVOLINK]
    body = {"model": "gemini-omni-flash-text-to-video", "prompt": "a red kite", "duration": 6}
    done = {"id": task, "status": "completed", "results": [link]}
    entries = [
        entry("POST", f"{api}/videos/generations", {"id": task, "status": "pending"}, 0, body=body, key=key),
        entry("GET", f"{api}/tasks/{task}", done, 9, key=key),
        entry("GET", link, "film", 10, key=False, **({} if size is None else {"size": size})),
        entry("GET", "https://elsewhere.example/", "page", 11, key=False),
    ]
    path.write_text("\ufeff" + json.dumps({"log": {"entries": entries}}), encoding="utf-8")
    return path


@pytest.mark.parametrize("more", [{}, {"key": False}, {"size": 0}, {"size": -1}])
def test_a_browsers_har_is_accused_of_nothing(tmp_path: Path, more: dict[str, Any]) -> None:
    """A byte order mark, downloads from elsewhere, keys that were taken out and sizes that were not kept are fine."""
    (journal,) = read(har(tmp_path / "day.har", **more), providers().values())
    verdicts = by_clause(journal)
    assert violated(journal) == {}
    assert len(journal.exchanges) == 3
    assert verdicts["results.fetched"].judgement == "kept"
    assert verdicts["auth.key-in-its-header"].judgement == ("kept" if more.get("key", True) else "not exercised")


def test_a_link_on_our_own_host_is_followed_by_its_path(tmp_path: Path) -> None:
    """HAR files of the mock server's have a host of their own, which the links have not."""
    path = har(tmp_path / "day.har", link="http://127.0.0.1:4010/evolink/files/x/0.mp4")
    text = path.read_text(encoding="utf-8-sig")
    path.write_text(text.replace('"url": "http://127.0.0.1:4010/', '"url": "http://mockserver.invalid/'))
    (journal,) = read(path, providers().values())
    assert by_clause(journal)["results.fetched"].judgement == "kept"


def test_a_key_in_the_address_is_seen_in_a_har(tmp_path: Path) -> None:
    """Nobody has marked it there, but the header says what it is; it is not shown."""
    path = har(tmp_path / "day.har")
    path.write_text(
        path.read_text(encoding="utf-8-sig").replace(
            TASK[EVOLINK] + '", "headers', TASK[EVOLINK] + '?k=sk-1234567890", "headers'
        )
    )
    (journal,) = read(path, providers().values())
    assert "the key is in the URL" in violated(journal)["auth.key-nowhere-else"]
    assert "sk-1234567890" not in repr(journal.exchanges)


def test_an_address_that_is_none_is_told(tmp_path: Path) -> None:
    """One line, not a traceback."""
    path = har(tmp_path / "day.har", link="http://[::1")
    with pytest.raises(JournalError, match="invalid HAR file"):
        read(path, providers().values())
