"""A command in every situation: at which pace each one runs, and what was not seen to its end."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from support.traffic import Traffic, providers

from contracts.client import commands
from contracts.client.commands import CommandOptions, run_everywhere
from contracts.client.run import Run
from contracts.client.search import Search
from contracts.client.subprocess import LONGEST_JOB_S, TIME_SCALE, Command, Pace
from contracts.journal import Job
from contracts.rules import documented_rules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import pytest

    from contracts.client.situations import Situation
    from mockserver.provider import Provider

EVOLINK = "evolink"
NEVER = "task never finishes"
OPTIONS = CommandOptions(None, None, 60, "/callback")


def _search() -> Search:
    def never(situation: Situation) -> Run:
        raise AssertionError(situation)

    return Search(never, providers()[EVOLINK], documented_rules(), jobs=False, shrink=False)


class _Runner:
    """Stands in for the runner: a client that waits 5 s between queries, by its own clock or by the real one."""

    def __init__(self, *, follows: bool) -> None:
        self.follows = follows
        self.paces: dict[str, Pace] = {}

    def run_all(
        self, _command: Command, _provider: Provider, given: Sequence[tuple[Situation, Pace]], **_: Any
    ) -> list[Run]:
        """Run nothing, and return what such a client would have done."""
        return [self._run(*each) for each in given]

    def _run(self, situation: Situation, pace: Pace) -> Run:
        self.paces[str(situation)] = pace
        traffic = Traffic(EVOLINK).exchange("submit")
        for _ in range(4):
            traffic.wait(5 * pace.speed * (1 if self.follows else pace.time_scale)).exchange("query")
        stopped = "stopped by the runner" if NEVER in str(situation) and not self.follows else ""
        jobs = (Job(1, "A kite.", "never" if stopped else "raised", None, "", 0, 9000, stopped),)
        journal = replace(traffic.journal(), jobs=jobs, speed=pace.speed, time_scale=pace.time_scale)
        return Run(situation, journal)


def _played(
    monkeypatch: pytest.MonkeyPatch, options: CommandOptions, *, follows: bool
) -> tuple[dict[str, Pace], dict[str, str]]:
    """Run it everywhere; return the pace of each situation, and why some were left out."""
    runner = _Runner(follows=follows)
    monkeypatch.setattr(commands, "run_commands", runner.run_all)
    command = Command((sys.executable,))
    left_out = run_everywhere(command, _search(), options, None)
    return runner.paces, dict(left_out)


def _of(found: dict[str, Any], name: str) -> Any:
    return next((value for key, value in found.items() if key.startswith(f"{name};")), None)


def test_a_client_that_follows_is_seen_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is scaled where a task never finishes, and nowhere else; nothing is left out for that."""
    paces, left_out = _played(monkeypatch, OPTIONS, follows=True)
    assert _of(paces, NEVER) == Pace(6, LONGEST_JOB_S, TIME_SCALE)
    assert [each for each in paces.values() if each.time_scale > 1] == [_of(paces, NEVER)]
    assert _of(paces, "no faults").limit_s == 60
    assert _of(left_out, NEVER) is None


def test_for_one_that_does_not_the_limit_that_helps_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time stays real, for as long as a run may take; what was not seen is left out, with the reason."""
    paces, left_out = _played(monkeypatch, OPTIONS, follows=False)
    assert all(each.time_scale == 1 for each in paces.values())
    assert _of(paces, NEVER).limit_s == LONGEST_JOB_S
    assert _of(left_out, NEVER) == "its end was not seen: stopped by the runner; --job-limit 1440 waits for it"
    assert "each job is a process" in _of(left_out, "429 in bulk")


def test_all_time_stays_real_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a scale of 1, or by a limit that is long enough."""
    for options in (replace(OPTIONS, time_scale=1.0), replace(OPTIONS, job_limit_s=2000)):
        paces, _ = _played(monkeypatch, options, follows=True)
        assert all(each.time_scale == 1 for each in paces.values())
