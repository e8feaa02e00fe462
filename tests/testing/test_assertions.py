"""What a test demands of a client, and what it is told where the client did not do it; decorator and mixin."""

from __future__ import annotations

import subprocess
import sys
import unittest
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mockserver import MockServer, MockServerMixin
from mockserver.settings import ProviderSettings, Settings
from mockserver.testing.given import GivenForProvider, GivenSettings

if TYPE_CHECKING:
    from mockserver import AsyncRunningServer, RunningServer

BODY = {"model": "gemini-omni-flash-text-to-video", "prompt": "a kite"}


def ask(mock: RunningServer, method: str, path: str, body: Any = None) -> Any:
    """Send a request to the provider; return its answer."""
    headers = {"Authorization": f"Bearer {mock.key('evolink')}"}
    return httpx.request(method, f"{mock.url('evolink')}{path}", json=body, headers=headers)


def submit(mock: RunningServer, **more: Any) -> str:
    """Submit a job; return the task's id."""
    return str(ask(mock, "POST", "/v1/videos/generations", {**BODY, **more}).json()["id"])


@pytest.fixture
def polled(mock_server: RunningServer) -> tuple[RunningServer, str]:
    """Let a client poll after 10, 5 and 40 seconds."""
    task = submit(mock_server)
    for wait_s in (10, 5, 40):
        mock_server.clock.advance(wait_s)
        ask(mock_server, "GET", f"/v1/tasks/{task}")
    return mock_server, task


Demand = "Callable[[ProviderHandle, str], None]"


@pytest.mark.parametrize(
    "demand",
    [
        lambda evolink, _: evolink.submitted(),
        lambda evolink, _: evolink.submitted(times=1),
        lambda evolink, _: evolink.downloaded(times=0),
        lambda evolink, _: evolink.polled(times=3),
        lambda evolink, task: evolink.polled(task=task, at_least_every_s=40, at_most_every_s=5),
        lambda evolink, _: evolink.called_back(times=0),
    ],
)
def test_demands_that_are_met(polled: tuple[RunningServer, str], demand: Any) -> None:
    """They say nothing."""
    demand(polled[0].evolink, polled[1])


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        (lambda evolink, _: evolink.submitted(times=2), "evolink was submitted once; twice expected"),
        (lambda evolink, _: evolink.submitted(times=0), "evolink was submitted once; never expected"),
        (lambda evolink, _: evolink.downloaded(), "evolink was not downloaded"),
        (lambda evolink, _: evolink.cancelled(times=1), "evolink was cancelled never; once expected"),
        (lambda evolink, _: evolink.called_back(), "evolink was not called back"),
        (lambda evolink, _: evolink.polled(times=4), "evolink was polled 3 times; 4 times expected"),
        (lambda evolink, _: evolink.polled(task="another"), "evolink was not polled"),
        (lambda evolink, _: evolink.polled(at_least_every_s=30), "not polled for 40 s; expected is every 30 s"),
        (lambda evolink, _: evolink.polled(at_most_every_s=6), "polled after 5 s; expected are 6 s"),
    ],
)
def test_demands_that_are_not_met(polled: tuple[RunningServer, str], demand: Any, said: str) -> None:
    """They say what was seen, and show the journal of that provider."""
    mock, task = polled
    httpx.get(f"{mock.url('crun')}/elsewhere")
    with pytest.raises(AssertionError) as caught:
        demand(mock.evolink, task)
    message = str(caught.value)
    assert said in message.partition("; the journal of evolink:")[0]
    assert message.count(f"/v1/tasks/{task} -> 200") == 3
    assert "elsewhere" not in message


def test_the_first_poll_counts_from_the_submit(mock_server: RunningServer) -> None:
    """A client that polls late has not polled often enough."""
    task = submit(mock_server)
    mock_server.clock.advance(31)
    ask(mock_server, "GET", f"/v1/tasks/{task}")
    with pytest.raises(AssertionError, match="not polled for 31 s"):
        mock_server.evolink.polled(at_least_every_s=30)


def test_the_decorator_gives_each_call_a_server() -> None:
    """New each time, closed after it; arguments and the result pass through, of coroutine functions too."""
    seen: list[Any] = []

    @MockServer(only="evolink", seed=3)
    def one(word: str, *, mock_server: RunningServer) -> str:
        """Say something."""
        assert len(mock_server.journal) == 0
        seen.append(mock_server.server)
        return word + submit(mock_server)

    assert one("a ") == one("a ")
    assert seen[0] is not seen[1]
    assert all(each.settings.seed == 3 for each in seen)
    assert one.__doc__ == "Say something."


@MockServer(only="evolink")
def test_a_decorated_test_of_pytest(mock_server: RunningServer, tmp_path: Path) -> None:
    """The argument is the decorator's; fixtures are as usual."""
    assert list(mock_server.runtime.world.providers) == ["evolink"]
    assert tmp_path.is_dir()


@MockServer(only="evolink")
async def test_a_decorated_coroutine(mock_server: AsyncRunningServer) -> None:
    """Its server runs in its loop."""
    assert (await mock_server.clock.advance(5)).attempts == 0


class TestMixin(MockServerMixin, unittest.TestCase):
    """A server for each test of a class of unittest."""

    mock_server_settings = {"only": "evolink", "seed": 5}  # noqa: RUF012 - as its users write it

    def test_first(self) -> None:
        """It has the settings of the class."""
        submit(self.mock_server)
        self.mock_server.evolink.submitted(times=1)
        self.assertEqual(self.mock_server.server.settings.seed, 5)  # noqa: PT009 - a test of unittest

    def test_second(self) -> None:
        """It is new."""
        self.mock_server.evolink.submitted(times=0)


class TestMixinInCoroutines(MockServerMixin, unittest.IsolatedAsyncioTestCase):
    """The same with coroutines."""

    async def test_it(self) -> None:
        """Await what moves time."""
        report = await self.mock_server.awaited().clock.advance(60)
        self.assertEqual(report.attempts, 0)  # noqa: PT009 - a test of unittest


def test_type_checkers_know_all_settings() -> None:
    """What they are told is what there is."""
    assert set(GivenSettings.__annotations__) == {each.name for each in fields(Settings)} - {"spec", "providers"}
    assert set(GivenForProvider.__annotations__) == {each.name for each in fields(ProviderSettings)}


#: A user's test: each line is right, or says which complaint is expected of mypy and of pyright.
USERS_TEST = """
from mockserver import AsyncRunningServer, Clock, MockServer, RunningServer

def test_one(mock_server: RunningServer, clock: Clock) -> None:
    mock_server.evolink.fail_next("generation_timeout")
    report = clock.advance(60)
    attempts: int = report.attempts
    task = mock_server.task("a")
    status: str = task.status
    mock_server.evolink.submitted(times=attempts)
    mock_server.evolink.submitted(times="often")  # error
    task.status = "failed"  # error

async def test_two(async_mock_server: AsyncRunningServer) -> None:
    report = await async_mock_server.clock.advance(60)
    report.acknowledged + 1
    await async_mock_server.reset()

with MockServer(seed=7, clock="auto", providers={"evolink": {"failure_rate": 0.5}}) as mock:
    mock.url("evolink").upper()
MockServer(sped=60)  # error
MockServer(clock="cuckoo")  # error
MockServer(providers={"evolink": {"failure_rat": 0.5}})  # error
"""


@pytest.mark.slow
@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
def test_a_users_test_is_checked(checker: str, tmp_path: Path) -> None:
    """Complaints at just the lines that are wrong."""
    file = tmp_path / "test_of_a_user.py"
    file.write_text(USERS_TEST, encoding="utf-8")
    arguments = {
        "mypy": ["--strict", "--no-incremental", "--no-error-summary", "--config-file=", "--cache-dir=/dev/null"],
        "basedpyright": ["--level", "error", "--pythonpath", sys.executable],
    }
    (tmp_path / "pyproject.toml").write_text('[tool.basedpyright]\ntypeCheckingMode = "standard"\n', encoding="utf-8")
    command = [sys.executable, "-m", checker, *arguments[checker], str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, cwd=tmp_path)
    wrong = [number for number, line in enumerate(USERS_TEST.splitlines(), 1) if line.endswith("# error")]
    told = [line for line in done.stdout.splitlines() if " error:" in line or " - error:" in line]
    assert sorted({int(line.split(":")[1]) for line in told}) == wrong, done.stdout + done.stderr
