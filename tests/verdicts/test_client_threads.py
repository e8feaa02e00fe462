"""Clients with threads, locks, queues and clocks of their own: all of it is virtual."""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
import queue
import threading
import time
import urllib.request
from _thread import allocate_lock
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC
from datetime import datetime as by_name
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pytest
from support.traffic import providers

from contracts.client.in_process import alarm
from contracts.client.in_process.runner import run_situation
from contracts.client.in_process.session import START_S
from contracts.client.search import Search
from contracts.client.situations import Situation
from contracts.client.subject import Setting, load
from contracts.rules import documented_rules

if TYPE_CHECKING:
    from pathlib import Path

    from contracts.client.run import Run

EVOLINK = "evolink"
#: How long the clients wait in a job.
WAIT_S = 1000.0
#: A lock that nobody sees, as it is not of `threading`, and that is never free.
READY = allocate_lock()
READY.acquire()
#: Held since before the runner.
REAL_TIME = time.time


def run(work: Any, jobs: int = 1) -> Run:
    """Run a client that does nothing but `work(base_url)`."""

    class Blocking:
        def __init__(self, setting: Setting) -> None:
            self.setting = setting

        def generate(self, prompt: str) -> None:
            work(self.setting.base_url)

    class Async(Blocking):
        async def generate(self, prompt: str) -> None:  # type: ignore[override]
            await work(self.setting.base_url)

    client = Async if asyncio.iscoroutinefunction(work) else Blocking
    return run_situation(client, providers()[EVOLINK], Situation(EVOLINK, jobs=jobs))


def get(base_url: str) -> None:
    """Send a request, which the server refuses."""
    with pytest.raises(OSError, match="401"):
        urllib.request.urlopen(f"{base_url}/v1/tasks/x", timeout=30)


def pool(base_url: str) -> None:
    """Use a pool."""
    with ThreadPoolExecutor(2) as own:
        own.submit(get, base_url).result()
        for each in as_completed([own.submit(sleep, WAIT_S) for _ in range(2)], timeout=2 * WAIT_S):
            each.result()


def semaphore(base_url: str) -> None:
    """Wait for a timer."""
    free = threading.Semaphore(0)
    threading.Timer(WAIT_S, free.release).start()
    assert free.acquire(timeout=2 * WAIT_S)
    get(base_url)


def event(base_url: str) -> None:
    """Wait for what never happens."""
    get(base_url)
    assert not threading.Event().wait(WAIT_S)


def queue_worker(base_url: str) -> None:
    """Give the work to a thread by a queue."""
    asked: queue.Queue[str | None] = queue.Queue()
    answered: queue.SimpleQueue[str] = queue.SimpleQueue()

    def work() -> None:
        while (url := asked.get()) is not None:
            get(url)
            time.sleep(WAIT_S)
            answered.put(url)

    worker = threading.Thread(target=work)
    worker.start()
    asked.put(base_url)
    assert answered.get() == base_url
    asked.put(None)
    worker.join()


def lock(base_url: str) -> None:
    """Wait for a thread that holds a lock."""
    guard, begun = threading.Lock(), threading.Barrier(2)

    def hold() -> None:
        with guard:
            begun.wait()
            get(base_url)
            time.sleep(WAIT_S)

    threading.Thread(target=hold).start()
    begun.wait()
    assert not guard.acquire(timeout=1)
    with guard:
        pass


def empty(base_url: str) -> None:
    """Wait for an empty queue."""
    get(base_url)
    with pytest.raises(queue.Empty):
        queue.Queue().get(timeout=WAIT_S)


def loop_of_its_own(base_url: str) -> None:
    """Run an event loop in the thread."""

    async def work() -> None:
        await asyncio.to_thread(get, base_url)
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), WAIT_S)
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(WAIT_S)

    asyncio.run(work())


async def blocked_loop(base_url: str) -> None:
    """It blocks its own loop until a thread is done; in reality the server does not care."""
    with ThreadPoolExecutor(1) as own:
        own.submit(get, base_url).result()
        own.submit(time.sleep, WAIT_S).result()


async def blocked_request(base_url: str) -> None:
    """Send a request without await."""
    get(base_url)
    time.sleep(WAIT_S)  # noqa: ASYNC251 - that is the point


@pytest.mark.parametrize(
    "way",
    [pool, semaphore, event, queue_worker, lock, empty, loop_of_its_own, blocked_loop, blocked_request],
    ids=lambda way: way.__name__,
)
def test_waiting_is_virtual_however_it_is_done(way: Any) -> None:
    """Requests reach the server from any thread, and a wait takes its virtual seconds and no real ones."""
    found = run(way)
    (job,) = found.journal.jobs
    assert (job.ended, job.said) == ("returned", "")
    assert job.ended_ms - job.started_ms == pytest.approx(WAIT_S * 1000, rel=0.01)
    assert [each.status for each in found.journal.exchanges] == [401]
    assert (found.hangs, found.untested) == (False, "")


def test_all_clocks_agree() -> None:
    """By whatever name they were imported, and whenever."""
    by_default = REAL_TIME
    seen: list[float] = []

    def clocks(_base_url: str) -> None:
        time.sleep(WAIT_S)
        dated = email.utils.parsedate_to_datetime(email.utils.formatdate(usegmt=True))
        seen.extend(
            (
                time.time(),
                by_default(),
                by_name.now(UTC).timestamp(),
                dt.datetime.now().timestamp(),  # noqa: DTZ005 - that is the point
                dt.datetime.utcnow().replace(tzinfo=UTC).timestamp(),  # noqa: DTZ003
                dt.datetime.now(tz=UTC).timestamp(),
                time.mktime(time.localtime()),
                time.clock_gettime(time.CLOCK_REALTIME),
                dated.timestamp(),
                monotonic() + START_S,
                time.mktime(time.strptime(time.strftime("%Y-%m-%d %H:%M:%S"), "%Y-%m-%d %H:%M:%S")),
            )
        )
        assert dt.date.today().isoformat() == time.strftime("%Y-%m-%d")  # noqa: DTZ011

    (job,) = run(clocks).journal.jobs
    assert (job.ended, job.said) == ("returned", "")
    assert seen == pytest.approx([START_S + WAIT_S] * len(seen), abs=1.1)
    assert abs(by_name.now(UTC).timestamp() - by_default()) < 5  # the real time again
    with pytest.raises(ValueError, match="non-negative"):
        time.sleep(-1)


def test_a_pool_of_a_module_serves_many_situations(tmp_path: Path) -> None:
    """Its threads outlive a situation, and take part in the next one."""
    file = tmp_path / "pooled.py"
    file.write_text(
        """
import threading
from concurrent.futures import ThreadPoolExecutor
from time import sleep

POOL = ThreadPoolExecutor(2)
ONE = threading.Lock()

class Client:
    def __init__(self, setting):
        pass

    def work(self):
        with ONE:
            sleep(100)

    def generate(self, prompt):
        POOL.submit(self.work).result()
"""
    )
    made = load(f"{file}:Client")
    for jobs in (1, 3, 2):
        found = run_situation(made, providers()[EVOLINK], Situation(EVOLINK, jobs=jobs)).journal.jobs
        assert [each.ended for each in found] == ["returned"] * jobs
        assert sorted(each.ended_ms - each.started_ms for each in found) == [100_000 * n for n in range(1, jobs + 1)]


class RealWait:
    """A client that waits in C, in real time."""

    def __init__(self, setting: Setting) -> None:
        """Need nothing."""

    async def generate(self, prompt: str) -> None:
        READY.acquire()


@pytest.mark.slow
def test_a_client_that_cannot_be_followed_is_not_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits where the runner does not see it: no clause is tested, and the run says why."""
    monkeypatch.setattr(alarm, "LONGEST_RUN_S", 3.0)
    monkeypatch.setattr(alarm, "REPEAT_S", 0.1)
    provider = providers()[EVOLINK]
    search = Search(lambda each: run_situation(RealWait, provider, each), provider, documented_rules(), shrink=False)
    plain = Situation(EVOLINK)
    search.add(plain, search.run_situation(plain))
    assert search.met[plain].hangs
    assert "waits in real time" in search.met[plain].untested
    assert {each.judgement for each in search.verdicts()} == {"not exercised"}
