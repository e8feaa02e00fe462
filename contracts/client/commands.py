"""Run a command in every situation, several at once, at the pace that suits it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from time import monotonic

from contracts.client.catalogue import sweep
from contracts.client.search import Search
from contracts.client.situations import Situation
from contracts.client.subprocess import (
    FASTEST,
    FIRST_SPEED,
    LONGEST_JOB_S,
    TIME_SCALE,
    Command,
    CommandError,
    Pace,
    enough_s,
    follows,
    is_long,
    pace_in,
    run_commands,
    speed_for,
)

#: How many commands run at once; they mostly wait.
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """How to run a command; a speed or scale of None is adapted to the client."""

    speed: float | None
    time_scale: float | None
    job_limit_s: float
    callback_path: str


def run_single(command: Command, search: Search, situation: Situation, options: CommandOptions) -> None:
    """Run a command in one situation, exactly as the options say.

    Raises:
        CommandError: the program does not exist.
    """
    _check(command)
    pace = Pace(options.speed or FASTEST, options.job_limit_s, options.time_scale or 1.0)
    (run,) = run_commands(command, search.provider, [(situation, pace)], callback_path=options.callback_path)
    search.add(situation, run)


def run_everywhere(
    command: Command, search: Search, options: CommandOptions, time_limit_s: float | None
) -> list[tuple[str, str]]:
    """Run a command in one situation per condition; say which were left out or not seen to their end, and why.

    Raises:
        CommandError: the program does not exist.
    """
    _check(command)
    provider, chosen = search.provider, search.planned()
    until_s = None if time_limit_s is None else monotonic() + time_limit_s
    speed, time_scale = _measured(command, search, chosen, options)
    paced = [(each, pace_in(each, provider, speed, options.job_limit_s, time_scale=time_scale)) for each in chosen]
    # Those that take long start first, and the others run meanwhile.
    paced.sort(key=lambda each: -each[1].limit_s)
    done = count(1)
    runs = run_commands(
        command,
        provider,
        paced,
        at_once=_AT_ONCE,
        ended=lambda _run: search.progress(next(done), len(chosen)),
        until_s=until_s,
        least_limit_s=options.job_limit_s,
        callback_path=options.callback_path,
    )
    for run in runs:
        if run.situation is not None:
            search.add(run.situation, run)
    with_jobs = {*sweep(provider, callbacks=search.callbacks, seed=search.seed)} - {*chosen}
    left_out = sorted((str(each), "each job is a process, which cannot know of the others") for each in with_jobs)
    left_out += [(str(each), "time limit reached") for each in chosen if each not in search.met]
    return [*left_out, *_cut_off(search, options.job_limit_s)]


def _measured(
    command: Command, search: Search, chosen: list[Situation], options: CommandOptions
) -> tuple[float, float]:
    """Return the speed that suits a client, and the scale of its time that it follows."""
    long = any(is_long(each, search.provider, options.job_limit_s, FIRST_SPEED) for each in chosen)
    scale = (options.time_scale or TIME_SCALE) if long else 1.0
    if options.speed is not None and scale == 1:
        return options.speed, scale
    first = Pace(FIRST_SPEED, options.job_limit_s)
    tries = [first] if scale == 1 else [first, Pace(FIRST_SPEED, options.job_limit_s, scale)]
    plain, *scaled = run_commands(
        command,
        search.provider,
        [(chosen[0], each) for each in tries],
        at_once=len(tries),
        callback_path=options.callback_path,
    )
    does_follow = bool(scaled) and follows(plain.journal, scaled[0].journal)
    return options.speed or speed_for(plain.journal), scale if does_follow else 1.0


def _cut_off(search: Search, job_limit_s: float) -> Iterator[tuple[str, str]]:
    """Name the situations whose jobs were stopped before their end, with the limit that would show it."""
    for situation, run in search.met.items():
        stopped = [job.stopped for job in run.journal.jobs if job.stopped]
        if not stopped:
            continue
        wanted_s = max(enough_s(situation, search.provider, run.journal.speed), 2 * max(job_limit_s, LONGEST_JOB_S))
        scaled = f", of which each was {run.journal.time_scale:g} of the client's" if run.journal.time_scale > 1 else ""
        yield str(situation), f"its end was not seen: {stopped[0]}{scaled}; --job-limit {wanted_s:g} waits for it"


def _check(command: Command) -> None:
    problem = command.problem()
    if problem is not None:
        raise CommandError(problem)
