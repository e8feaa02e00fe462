"""Days for the clauses on mistakes that were found in real clients: some that keep each clause, some that break it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.traffic import TASK, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    Day = Callable[[], Traffic]

GOOGLE, EVOLINK = "googlegeminiomni", "evolink"
SECOND = "job_000000000002"
PAGE = {"answer_headers": [["Content-Type", "text/html"]], "answer_bytes": 45, "faults": ["wrong_media_type"]}
CUT: dict[str, Any] = {"answer_headers": [["Content-Length", "200"]], "answer_bytes": 100}
REST: dict[str, Any] = {
    "status": 206,
    "headers": [["Range", "bytes=100-"]],
    "answer_headers": [["Content-Length", "100"], ["Content-Range", "bytes 100-199/200"]],
}
WHOLE: dict[str, Any] = {"answer_headers": [["Content-Length", "200"]], "answer_bytes": 200}
HERE, THERE = ["Host", "127.0.0.1:4010"], ["Host", "localhost:4010"]
KEY = ["Authorization", "Bearer [key of acct_1]"]
PROMPT = 'A red kite over the sea, take 1. It says "é" and 風 \\ \U0001fa81.'
DATE = "Fri, 05 Jun 2026 00:00:07 GMT"
REASON = "The model could not finish the job"


def day(name: str = GOOGLE) -> Traffic:
    """A day with a submit that was accepted."""
    return Traffic(name).submit(answer={"jobId": TASK[name], "id": TASK[name]})


def refused(status: int, *waits: float, headers: tuple[list[str], ...] = ()) -> Traffic:
    """A submit that is refused, and tried again after each wait; then it is accepted."""
    out = Traffic()
    for wait in waits:
        out.submit(status=status, task=None, answer={"error": "no"}, answer_headers=list(headers)).wait(wait)
    return out.submit()


def dated() -> Traffic:
    """A submit that is refused until a date."""
    return Traffic().submit(status=429, task=None, body={"prompt": PROMPT}, answer_headers=[["Retry-After", DATE]])


def polls(*statuses: int) -> Traffic:
    """A task whose polls are answered so."""
    out = day()
    for status in statuses:
        out.wait(3)
        if status == 200:
            out.query()
        else:
            out.query(status=status, answer={"error": "no"})
    return out


def made(*files: str) -> Traffic:
    """Jobs that returned such files, or bytes."""
    out = day().query("done").download()
    for file in files:
        out.job(size_bytes=100, file=file)
    return out


def downloads(*each: dict[str, Any]) -> Traffic:
    """A task whose file is downloaded so."""
    out = day().wait(3).query("done")
    for fields in each:
        out.download(**fields)
    return out


def redirected(*headers: list[str]) -> Traffic:
    """A query that is redirected to another host, and followed with these headers."""
    place = [["Location", "http://localhost:4010/googlegeminiomni/api/v1/jobs/x"]]
    out = day().query(status=307, answer_headers=place, headers=[HERE, KEY], answer="", faults=["redirected"])
    return out.query(headers=[THERE, *headers]) if headers else out


def inside(**job: Any) -> Traffic:
    """A submit that is answered with status 200 and an error."""
    return Traffic().submit(task=None, answer={"error": "the server is full"}).job("raised", **job)


def strange() -> Traffic:
    """A task with a callback of an unknown event."""
    return day().wait(3).callback(event="reviewing", faults=["early_unknown_event"])


def told(**job: Any) -> Traffic:
    """A task whose failure a callback tells."""
    out = day().wait(3).callback(event="failed")
    out.records[-1]["request"]["body"] = f'{{"error": "{REASON}"}}'
    return out.job("raised", **job)


def lagging() -> Traffic:
    """A callback that tells the end, and a query that does not show it yet."""
    return day().wait(3).callback().query(faults=["stale_query"])


def cancelled() -> Traffic:
    """A task that was cancelled."""
    return day(EVOLINK).wait(3).query(answer={"id": TASK[EVOLINK], "status": "cancelled"})


def cancelled_and_polled(times: int) -> Traffic:
    """A task that was cancelled, and is polled so often after that."""
    out = cancelled()
    for _ in range(times):
        out.wait(5).query(answer={"id": TASK[EVOLINK], "status": "cancelled"})
    return out


def full() -> Traffic:
    """A task that is running, and shows full progress."""
    return day(EVOLINK).wait(3).query(answer={"status": "processing", "progress": 100}, faults=["full_progress"])


def held(seconds: float) -> Traffic:
    """A query that is held open; the client goes on so much later."""
    return day().query(status=None, faults=["held_open"]).wait(seconds).query()


#: By clause: days that keep it, and days that break it.
MISSED: dict[str, tuple[list[Day], list[Day]]] = {
    "payment.poll-errors": (
        [lambda: polls(503)],
        [lambda: polls(503).submit(task=SECOND), lambda: polls(200, 500, 500).submit(task=SECOND)],
    ),
    "payment.unreadable-answer": (
        [lambda: Traffic().submit(answer="")],
        [lambda: Traffic().submit(answer="").wait(1).submit(task=SECOND)],
    ),
    "payment.bad-file": (
        [lambda: downloads({"status": 500})],
        [
            lambda: downloads({"status": 500}).submit(task=SECOND),
            lambda: downloads(CUT).submit(task=SECOND),
            lambda: downloads(PAGE).submit(task=SECOND),
        ],
    ),
    "submit.error-inside-success": (
        [lambda: inside(said="200: the server is full")],
        [lambda: inside(said="KeyError: 'jobId'"), lambda: inside().query(task="None", status=404)],
    ),
    "submit.prompt-unchanged": (
        [lambda: Traffic().submit(body={"prompt": PROMPT}).job(prompt=PROMPT)],
        [
            lambda: Traffic().submit(body={"prompt": PROMPT[:40]}).job(prompt=PROMPT),
            lambda: Traffic().submit(body={"prompt": PROMPT.replace("é", "?")}).job(prompt=PROMPT),
            lambda: Traffic().submit(body={"prompt": "A%20red%20kite"}).job(prompt=PROMPT),
        ],
    ),
    "submit.known-fields": (
        [day],
        [
            lambda: Traffic().submit(body={"model": "gemini-omni-video", "prompt": "x", "negative_prompt": "y"}),
            lambda: Traffic("crun").submit(
                body={"model": "google/gemini-omni", "input": {"prompt": "x", "imageurl": "http://h/a.png"}}
            ),
        ],
    ),
    "submit.any-success": (
        [lambda: Traffic().submit(status=202).query("done").job()],
        [
            lambda: Traffic().submit(status=202).job("raised", "202"),
            lambda: Traffic().submit(status=202).wait(1).submit(task=SECOND).query("done", task=SECOND).job(),
        ],
    ),
    "poll.errors-in-a-row": (
        [lambda: polls(500, 200, 500, 200, 500, 200)],
        [lambda: polls(500, 200, 503, 200, 500)],
    ),
    "retry.reads-dates": (
        [
            lambda: dated().wait(7).submit(body={"prompt": PROMPT}).job(prompt=PROMPT),
            lambda: dated().job("raised", prompt=PROMPT, said=f"429: too many, wait until {DATE}"),
            lambda: dated().job("raised", prompt=PROMPT, said="429: too many"),
        ],
        [lambda: dated().job("raised", prompt=PROMPT, said=f"invalid literal for int() with base 10: '{DATE}'")],
    ),
    "retry.wait-as-asked": (
        [
            lambda: refused(429, 20, 20, 20, headers=(["Retry-After", "20"],)),
            lambda: refused(429, 20, 20, 60, headers=(["Retry-After", "20"],)),
        ],
        [lambda: refused(429, 20, 40, 80, headers=(["Retry-After", "20"],))],
    ),
    "requests.connections": (
        [lambda: polls(*[200] * 10).connected(2)],
        [lambda: polls(*[200] * 10).connected(11)],
    ),
    "retry.server-errors": (
        [lambda: refused(500, 1).job()],
        [lambda: Traffic().submit(status=500, task=None, answer={"error": "no"}).job("raised")],
    ),
    "retry.short-delays": ([lambda: refused(500, 1, 2, 60)], [lambda: refused(500, 600)]),
    "requests.timeout": ([lambda: held(60)], [lambda: held(3600)]),
    "callbacks.unknown-event-is-no-end": (
        [lambda: strange().wait(3).query().wait(3).query("done").job()],
        [lambda: strange().job("raised", "unknown event"), lambda: strange().wait(1).job("raised", "unknown event")],
    ),
    "callbacks.failure-has-its-reason": (
        [lambda: told(said=f"failed: {REASON}")],
        [lambda: told(said="failed")],
    ),
    "callbacks.signature-over-raw-bytes": (
        [lambda: day().callback(faults=["reformatted_callback"])],
        [lambda: day().callback("refused", status=401, faults=["reformatted_callback"])],
    ),
    "callbacks.query-may-lag": (
        [lambda: lagging().wait(3).query("done").job()],
        [lambda: lagging().job("raised", "it has not ended")],
    ),
    "poll.cancelled-is-an-end": (
        [lambda: cancelled().job("raised", "cancelled"), lambda: cancelled_and_polled(1)],
        [lambda: cancelled_and_polled(3), lambda: cancelled().job()],
    ),
    "poll.progress-is-no-end": (
        [lambda: full().wait(5).query(answer={"status": "completed"})],
        [lambda: full().job("raised", "no file")],
    ),
    "results.resumed-right": (
        [lambda: downloads(CUT, REST).job(size_bytes=200), lambda: downloads(CUT, WHOLE).job(size_bytes=200)],
        [
            lambda: downloads(CUT, REST).job(size_bytes=199),
            lambda: downloads(CUT, {**WHOLE, "headers": [["Range", "bytes=100-"]]}).job(size_bytes=300),
        ],
    ),
    "results.downloaded-once": (
        [lambda: downloads(WHOLE), lambda: downloads(CUT, WHOLE)],
        [lambda: downloads(WHOLE, WHOLE)],
    ),
    "results.own-file": (
        [lambda: made("/a.mp4", "/b.mp4"), lambda: made("", "")],
        [lambda: made("/video.mp4", "/video.mp4")],
    ),
    "results.is-a-video": (
        [lambda: downloads(PAGE).job("raised", "no video"), lambda: downloads(PAGE, WHOLE).job(size_bytes=200)],
        [lambda: downloads(PAGE).job(size_bytes=45), lambda: downloads(PAGE).job()],
    ),
    "auth.no-key-to-other-hosts": (
        [redirected, lambda: redirected(["Accept", "*/*"])],
        [lambda: redirected(KEY)],
    ),
}
