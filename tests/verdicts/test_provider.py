"""`contracts provider`: the mock server violates no clause, and each broken server is caught by the right clause."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from support.engine import KILN
from support.spoiled import Said, Spoiled

from contracts.server.clauses import all_server_clauses
from contracts.server.judge import Terms, judge
from contracts.server.pacing import Deadline, RealTimePacing, TimeIsUpError
from contracts.server.spec import Spec, load
from mockserver.testing.running import MockServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contracts.clause import Verdict
    from contracts.server.judge import Judgement
    from mockserver.testing.running import RunningServer

pytestmark = pytest.mark.slow

AMPLE = 100_000


@cache
def spec_of(name: str) -> Spec:
    """Return a provider's spec."""
    return load(name, (KILN,) if name == "kiln" else (), (), "")


def by_judgement(found: Judgement, judgement: str) -> set[str]:
    """Return the ids of the clauses with a judgement."""
    return {each.clause.id for each in found.verdicts if each.judgement == judgement}


def verdict(found: Judgement, server_clause: str) -> Verdict:
    """Return the verdict of one clause."""
    return next(each for each in found.verdicts if each.clause.id == server_clause)


# -- ours -------------------------------------------------------------------------------------------

#: What a provider's document has not: a link, a stated end, a price in the answer about a failure.
UNSAID = {
    "crun": {"results.stated-end", "tasks.progress-is-percent"},
    "evolink": {"results.stated-end", "tasks.failure-is-free"},
    "googlegeminiomni": {"tasks.progress-is-percent", "tasks.submitted-at"},
    "kiln": {"bodies.values-refused", "tasks.link-leads-there", "tasks.failure-is-free", "tasks.submitted-at"},
    "toapis": {"tasks.failure-is-free"},
}


@pytest.mark.parametrize("name", sorted(UNSAID))
def test_the_mock_server_violates_no_clause(name: str) -> None:
    """Each of our providers keeps all that it can be asked, with tasks and without."""
    files = (KILN,) if name == "kiln" else ()
    with MockServer(specs=files, only=name) as mock:
        terms = Terms(mock.url(name), mock.key(name), spend_credits=AMPLE, max_examples=3, spec_files=files)
        found = judge(spec_of(name), terms)
    assert by_judgement(found, "violated") == set()
    assert by_judgement(found, "not exercised") == UNSAID[name]


@pytest.mark.parametrize("name", ["evolink", "googlegeminiomni", "kiln"])
def test_nothing_is_spent_unless_told(name: str) -> None:
    """Without a budget no task comes of any request, and what needs a task is not exercised."""
    with MockServer(specs=(KILN,) if name == "kiln" else (), only=name) as mock:
        found = judge(spec_of(name), Terms(mock.url(name), mock.key(name), max_examples=2))
        assert not mock.server.runtime.world.providers[name].tasks
        assert mock.account(name).available_credits == spec_of(name).provider.ample_ucr / 1_000_000
    assert by_judgement(found, "violated") == set()
    assert {"tasks.taken", "tasks.never-back", "results.link-works"} <= by_judgement(found, "not exercised")
    assert {"keys.asked-for", "errors.shape", "shapes.body"} <= by_judgement(found, "kept")
    assert any("--spend" in note for note in found.notes)


def test_no_more_is_spent_than_said() -> None:
    """With credits for one task and a half, one is made, by whatever request."""
    price = 61.4
    with MockServer() as mock:
        mock.account("evolink").available_credits = 1000
        terms = Terms(mock.url("evolink"), mock.key("evolink"), spend_credits=price * 1.5, max_examples=4)
        found = judge(spec_of("evolink"), terms)
        assert 1000 - price * 1.5 <= mock.account("evolink").available_credits < 1000
    assert by_judgement(found, "violated") == set()
    assert any("was not created: it costs" in note for note in found.notes)


def test_a_callback_need_not_have_what_no_document_names() -> None:
    """EvoLink's page names no `usage.credits_used`; a server without it is not accused."""
    found = judge_journal("evolink", swapped(b'"credits_used"', b'"credits_of"'))
    assert verdict(found, "callbacks.shape").judgement == "kept"


# -- broken ones ------------------------------------------------------------------------------------


def is_query(said: Said) -> bool:
    """Tell an answer about a task."""
    return said.status == 200 and said.method == "GET" and "/v1/tasks/" in said.path


def is_submit(said: Said) -> bool:
    """Tell an answer that a task was made."""
    return said.status == 200 and said.method == "POST" and "id" in said.json


def is_film(said: Said) -> bool:
    """Tell a file."""
    return said.headers.get("Content-Type") == "video/mp4"


def is_callback(said: Said) -> bool:
    """Tell a callback."""
    return said.path.startswith("/callback/")


def on(when: Callable[[Said], bool], **fields: Any) -> Callable[[Said], Said]:
    """Change some fields of some answers."""
    return lambda said: said.saying(**fields) if when(said) else said


def status_goes_back() -> Callable[[Said], Said]:
    """Every third query says that the task is still waiting, as long as it is under way."""
    count = itertools.count(1)
    return lambda said: (
        said.saying(status="pending", progress=0)
        if is_query(said) and said.json["status"] == "processing" and next(count) % 3 == 0
        else said
    )


def end_changes() -> Callable[[Said], Said]:
    """A task that was completed has failed when it is asked after again."""
    seen: set[str] = set()

    def spoil(said: Said) -> Said:
        if not is_query(said) or said.json["status"] != "completed":
            return said
        if said.path in seen:
            rest = {key: value for key, value in said.json.items() if key != "results"}
            answer = {**rest, "status": "failed", "error": {"code": "unknown_error", "message": "It broke"}}
            return replace(said, body=json.dumps(answer).encode())
        seen.add(said.path)
        return said

    return spoil


def ids_repeat() -> Callable[[Said], Said]:
    """Every submit is answered with the first one's id."""
    first: list[str] = []

    def spoil(said: Said) -> Said:
        if is_submit(said):
            first.append(said.json["id"])
            return said.saying(id=first[0])
        return said

    return spoil


def breaks_on_bad_bodies() -> Callable[[Said], Said]:
    """What cannot be read breaks the server, which shows how it is built."""
    trace = b"Traceback (most recent call last):\n  File \"app.py\", line 7, in create\nKeyError: 'model'\n"
    return lambda said: (
        replace(said, status=500, headers={"Content-Type": "text/plain"}, body=trace) if said.status == 400 else said
    )


def dead_links(said: Said) -> Said:
    """Files are not where the answer says they are."""
    return replace(said, body=said.body.replace(b".mp4", b".mov"))


def when(test: Callable[[Said], bool], **what: Any) -> Callable[[Said], Said]:
    """Replace parts of some answers."""
    return lambda said: replace(said, **what) if test(said) else said


def swapped(old: bytes, new: bytes) -> Callable[[Said], Said]:
    """Replace bytes in every answer."""
    return lambda said: replace(said, body=said.body.replace(old, new))


def without_header(name: str) -> Callable[[Said], Said]:
    """Leave a header out of every answer."""
    return lambda said: replace(said, headers={each: value for each, value in said.headers.items() if each != name})


def typed(when: Callable[[Said], bool], media_type: str) -> Callable[[Said], Said]:
    """Call what comes something else."""
    return lambda said: replace(said, headers={**said.headers, "Content-Type": media_type}) if when(said) else said


def links_work_once() -> Callable[[Said], Said]:
    """A file is gone when it was fetched."""
    seen: set[str] = set()

    def spoil(said: Said) -> Said:
        if is_film(said) and said.path in seen:
            return replace(said, status=404)
        seen.add(said.path if is_film(said) else "")
        return said

    return spoil


def comes_late() -> Callable[[Said], Said]:
    """A task is not there when it is first asked after."""
    seen: set[str] = set()

    def spoil(said: Said) -> Said:
        if not is_query(said) or said.path in seen:
            return said
        seen.add(said.path)
        return replace(said, status=404)

    return spoil


def immortal_links() -> Callable[[Said], Said]:
    """Files stay, whatever was promised."""
    films: dict[str, Said] = {}

    def spoil(said: Said) -> Said:
        if is_film(said):
            films.setdefault(said.path, said)
        return films.get(said.path, said)

    return spoil


def takes_anything() -> Callable[[Said], Said]:
    """Whatever is wrong with a submit, there is a task."""
    number = itertools.count(1)

    def spoil(said: Said) -> Said:
        if said.method != "POST" or said.status != 400:
            return said
        task = {
            "created": 1,
            "id": f"task-unified-1-{next(number):08}",
            "model": "any",
            "progress": 0,
            "type": "video",
            "object": "video.generation.task",
            "status": "pending",
            "task_info": {},
            "usage": {},
        }
        return replace(said, status=200, body=json.dumps(task).encode())

    return spoil


def coerces_durations() -> Callable[[Said], Said]:
    """A duration that is not documented makes a task of another duration."""
    accept = takes_anything()
    return lambda said: accept(said) if b"duration" in said.body else said


def knows_no_keys(said: Said) -> Said:
    """Everybody is the same account."""
    kept = {name: value for name, value in said.headers.items() if name.lower() != "authorization"}
    return replace(said, headers={**kept, "Authorization": "Bearer sk-evolink-mock-key"})


def failed(said: Said) -> bool:
    """Tell the answer about a task that failed."""
    return said.method == "GET" and said.json.get("status") == "failed"


#: By clause: what breaks it, in answers and callbacks, and at which provider where it is not EvoLink.
BROKEN: dict[str, Callable[[Said], Said]] = {
    "answers.agree": on(is_query, id="task-unified-1781000000-somebody"),
    "answers.no-server-error": breaks_on_bad_bodies(),
    "answers.request-id": without_header("X-Request-Id"),
    "bodies.malformed-refused": when(lambda said: said.status == 400 and said.method == "POST", status=200),
    "bodies.values-refused": coerces_durations(),
    "callbacks.come": when(is_callback, path="/elsewhere"),
    "callbacks.equal-query": on(is_callback, status="failed"),
    "callbacks.shape": when(is_callback, body=b"[]"),
    "callbacks.signed": lambda said: replace(said, body=said.body + b" ") if is_callback(said) else said,
    "errors.shape": when(lambda said: said.status == 404, body=b"{}"),
    "paths.unknown-refused": when(lambda said: "/no/such" in said.path, status=200),
    "results.expires": immortal_links(),
    "results.given": on(lambda said: is_query(said) and "results" in said.json, results=[]),
    "results.lasts": links_work_once(),
    "results.length": when(is_film, body=b"RIFF"),
    "results.link-works": swapped(b".mp4", b".mov"),
    "results.media-type": typed(is_film, "application/octet-stream"),
    "results.signature-needed": when(lambda said: said.status == 403 and "/omni/" in said.path, status=200),
    "results.stated-end": swapped(b"Expires=1", b"Expires=2"),
    "shapes.body": on(is_query, created="yesterday"),
    "shapes.content-type": typed(is_query, "text/html"),
    "shapes.headers": without_header("X-Request-Id"),
    "shapes.status": when(is_query, status=202),
    "tasks.can-be-asked-after": when(is_query, status=404),
    "tasks.end-comes": on(is_query, status="processing", progress=50),
    "tasks.end-is-final": end_changes(),
    "tasks.failure-has-reason": on(failed, error={}),
    "tasks.failure-is-free": on(failed, creditCost=7),
    "tasks.id-form": swapped(b"task-unified-", b"job-"),
    "tasks.ids-unique": ids_repeat(),
    "tasks.link-leads-there": comes_late(),
    "tasks.malformed-refused": when(lambda said: said.status == 400 and said.method == "GET", status=404),
    "tasks.never-back": status_goes_back(),
    "tasks.progress-is-percent": on(is_query, progress=101),
    "tasks.states-known": swapped(b'"processing"', b'"RUNNING"'),
    "tasks.submitted-at": on(is_submit, created=1_781_000_000_000),
    "tasks.taken": when(is_submit, status=418),
    "tasks.unknown-refused": when(lambda said: said.status == 404, status=410),
}
ELSEWHERE = {
    "callbacks.signed": "googlegeminiomni",
    "results.signature-needed": "googlegeminiomni",
    "results.stated-end": "googlegeminiomni",
    "tasks.failure-is-free": "googlegeminiomni",
}
#: Those that a test of their own is about.
APART = {
    *("answers.come", "callbacks.come-once", "shapes.bad-data-refused"),
    *("keys.asked-for", "keys.checked", "keys.tasks-apart"),
}


def test_every_clause_has_a_breakage() -> None:
    """Every clause has a test."""
    assert {each.id for each in all_server_clauses()} == set(BROKEN) | APART


@contextmanager
def spoiled(
    spoil: Callable[[Said], Said] = lambda said: said,
    *,
    ask: Callable[[Said], Said] = lambda said: said,
    ignores_acknowledgements: bool = False,
    **settings: Any,
) -> Iterator[RunningServer]:
    """Run a mock server that is reached only through a proxy that alters answers."""
    with (
        Spoiled(spoil, ask=ask, deaf=ignores_acknowledgements) as proxy,
        MockServer(public_url=proxy.root, **settings) as mock,
    ):
        proxy.upstream = f"127.0.0.1:{mock.server.port}"
        yield mock


def judge_journal(
    name: str,
    spoil: Callable[[Said], Said] = lambda said: said,
    *,
    ask: Callable[[Said], Said] = lambda said: said,
    ignores_acknowledgements: bool = False,
    **terms: Any,
) -> Judgement:
    """Judge a server that is spoiled, without generated requests unless said otherwise."""
    with spoiled(spoil, ask=ask, ignores_acknowledgements=ignores_acknowledgements, only=name) as mock:
        ready = {"spend_credits": AMPLE, "max_examples": 0, **terms}
        return judge(spec_of(name), Terms(mock.url(name), mock.key(name), **ready))


def test_the_proxy_alters_nothing_by_itself() -> None:
    """A server behind it is clean, so what the tests below find is what was spoiled."""
    assert by_judgement(judge_journal("evolink"), "violated") == set()
    assert by_judgement(judge_journal("googlegeminiomni"), "violated") == set()


@pytest.mark.parametrize("clause", sorted(BROKEN))
def test_a_broken_server_is_caught(clause: str) -> None:
    """Each kind of breakage violates the intended clause, with the exchange that shows it."""
    found = judge_journal(ELSEWHERE.get(clause, "evolink"), BROKEN[clause])
    caught = verdict(found, clause)
    assert caught.judgement == "violated", by_judgement(found, "violated")
    for shown in caught.violations:
        assert shown.records
        assert shown.seen
        assert shown.asks
        assert shown.fix


def test_a_server_without_accounts_is_caught() -> None:
    """Where every key is one, or none is needed, the clauses about keys are violated."""
    found = judge_journal("evolink", ask=knows_no_keys)
    assert {"keys.asked-for", "keys.checked", "keys.tasks-apart"} <= by_judgement(found, "violated")


def test_a_server_that_repeats_callbacks_is_caught() -> None:
    """A server that calls back although it was acknowledged violates that clause, and no other."""
    assert by_judgement(judge_journal("evolink", ignores_acknowledgements=True), "violated") == {"callbacks.come-once"}


def test_a_server_that_accepts_anything_is_caught_and_sent_no_more() -> None:
    """A server that creates a task for any request is caught, and is sent no more after the first one too many."""
    sent: list[bytes] = []

    def ask(said: Said) -> Said:
        if said.method == "POST" and "/v1/videos" in said.path:
            sent.append(said.body)
        return said

    found = judge_journal("evolink", takes_anything(), ask=ask, spend_credits=0, max_examples=3)
    assert verdict(found, "bodies.malformed-refused").judgement == "violated"
    assert sent == [b'{"model": ']
    found = judge_journal("evolink", takes_anything(), max_examples=3)
    assert verdict(found, "shapes.bad-data-refused").judgement == "violated"


@contextmanager
def talking(answer: bytes) -> Iterator[str]:
    """Listen on a free port, and send the same answer to every request; an empty one is no answer."""
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        held = []
        while not over.is_set():
            try:
                peer, _ = listener.accept()
            except OSError:
                break
            peer.recv(65536)
            if answer:
                peer.sendall(answer)
                peer.shutdown(socket.SHUT_WR)
            held.append(peer)
        for peer in held:
            peer.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/evolink"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (b"", "no complete answer within"),
        (b"+OK what do you want?\r\n", "invalid or incomplete HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "invalid or incomplete HTTP answer"),
    ],
    ids=["hangs", "speaks something else", "breaks off"],
)
def test_a_silent_server_is_caught(answer: bytes, seen: str) -> None:
    """A server that hangs, sends no HTTP or breaks off violates `answers.come`; the judge stops."""
    with talking(answer) as url:
        found = judge(spec_of("evolink"), Terms(url, "sk-any", patience_s=10 if answer else 0.2))
    caught = verdict(found, "answers.come")
    assert caught.judgement == "violated"
    assert all(seen in each.seen for each in caught.violations)
    assert len(caught.violations) <= 3
    assert by_judgement(found, "violated") == {"answers.come"}


# -- time -------------------------------------------------------------------------------------------


def test_real_time_is_waited_for_and_ends() -> None:
    """Without a clock to move, the judge sleeps as the documents advise, says so, and stops at the limit."""
    now = itertools.count(0, 10)
    slept: list[float] = []
    said: list[str] = []
    pacing = RealTimePacing(Deadline(35, lambda: next(now)), said.append, sleep=slept.append, wall_s=lambda: 1.5)
    assert (pacing.now_ms(), pacing.movable) == (1500, False)
    pacing.wait(7, "a task is under way")
    pacing.wait(7, "a task is under way")
    with pytest.raises(TimeIsUpError):
        pacing.wait(7, "a task is under way")
    assert slept == [7, 7]
    assert said[0] == "waiting 7 s: a task is under way"


def test_a_server_without_a_clock_is_polled_in_real_time() -> None:
    """Where no clock can be moved, tasks are followed until the user's time is over, and what was seen is judged."""

    def hide(said: Said) -> Said:
        return replace(said, path="/nowhere") if "/__admin" in said.path else said

    with spoiled(ask=hide, clock="real", only="evolink") as mock:
        terms = Terms(mock.url("evolink"), mock.key("evolink"), spend_credits=AMPLE, time_limit_s=9, max_examples=0)
        found = judge(spec_of("evolink"), terms)
    assert by_judgement(found, "violated") == set()
    assert {"tasks.taken", "tasks.ids-unique"} <= by_judgement(found, "kept")
    assert "results.expires" in by_judgement(found, "not exercised")
    assert any("--time-limit" in note for note in found.notes)
