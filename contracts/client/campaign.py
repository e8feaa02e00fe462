"""A campaign: run a client in every situation, judge what it does, and write replays of the violations."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from shlex import join
from time import monotonic

from contracts.clause import Verdict
from contracts.client.in_process import run_situation
from contracts.client.run import Run
from contracts.client.search import MOST_HANGS, Search
from contracts.client.situations import Situation
from contracts.client.subject import Factory, SubjectError, load
from contracts.client.subprocess import (
    FASTEST,
    FIRST_SPEED,
    Command,
    CommandError,
    limit_in,
    run_commands,
    speed_for,
)
from contracts.rules import Rule, documented_rules, rules_of
from mockserver.provider import Provider
from mockserver.scenarios.read import find, read
from mockserver.spec.catalog import load_providers

#: Shows progress during long work: yields a function that takes (done, most).
Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]

#: How many commands run at once; they mostly wait.
_AT_ONCE = 16


def _no_progress(_what: str) -> AbstractContextManager[Callable[[int, int], None]]:
    return nullcontext(lambda _done, _most: None)


@dataclass(frozen=True, slots=True)
class Options:
    """Which client to run, and how. Either `client` or `command` is set."""

    provider: str
    client: str | None
    command: str | None
    spec: tuple[Path, ...]
    dialects: tuple[str, ...]
    seed: int
    most_examples: int
    time_limit_s: float | None
    callbacks: bool | None
    #: With a command: the speed of the server's clock; None adapts it to the client.
    speed: float | None
    job_limit_s: float
    #: A single situation instead of many: a scenario, with so many concurrent jobs.
    scenario: str | None
    jobs: int
    #: Where the smallest situation of each violation is written.
    directory: Path


@dataclass(frozen=True, slots=True)
class Result:
    """The verdicts of a campaign."""

    verdicts: list[Verdict]
    search: Search
    #: What the verdicts do not say: what was left out and why, or that nothing reached the server.
    remarks: tuple[str, ...]


def run_campaign(options: Options, progress: Progress = _no_progress) -> Result:
    """Run a client in every situation, and judge it.

    Raises:
        SubjectError: the client cannot be found or created, or the provider is unknown.
        CommandError: the program does not exist.
        SpecError: a spec or a scenario cannot be read.
    """
    provider = _provider(options)
    scenario = None if options.scenario is None else read(find(options.scenario))
    single = None
    if scenario is not None:
        callbacks = bool(options.callbacks)
        single = Situation(provider.name, (), options.jobs, callbacks, scenario.seed or 0, scenario)
    rules = [*documented_rules(), *rules_of(options.spec)]
    if options.client is not None:
        search = _run_python(load(options.client), provider, rules, options, single, progress)
        left_out = list(_cut_short(search))
    else:
        command = Command.of(options.command or "")
        search, left_out = _run_command(command, provider, rules, options, single, progress)
    verdicts = search.verdicts()
    remarks = [*left_out, *_remarks(search, provider)]
    if single is None:
        try:
            verdicts = _with_replays(search, verdicts, options)
        except OSError as error:
            remarks.append(f"note: no replays: cannot write {error.filename}: {error.strerror}")
    return Result(verdicts, search, tuple(remarks))


def _provider(options: Options) -> Provider:
    known = {each.name: each for each in load_providers(options.spec)}
    if options.provider not in known:
        raise SubjectError(f"unknown provider {options.provider!r}; known: {', '.join(known)}")
    if not options.dialects:
        return known[options.provider]
    dialects = load_providers(options.spec, dialects={options.provider: options.dialects})
    return next(each for each in dialects if each.name == options.provider)


def _run_python(
    factory: Factory,
    provider: Provider,
    rules: Sequence[Rule],
    options: Options,
    single: Situation | None,
    progress: Progress,
) -> Search:
    """Run a Python client in all situations (or in a single one).

    Raises:
        SubjectError: the client cannot be created.
    """
    search = Search(
        lambda situation: run_situation(factory, provider, situation),
        provider,
        rules,
        seed=options.seed,
        most_examples=options.most_examples,
        time_budget_s=options.time_limit_s,
        shrink=single is None,
    )
    if single is not None:
        search.add(single, search.run_situation(single))
        return search
    plain = Situation(provider.name, seed=options.seed)  # the first of the sweep, which does not repeat it
    search.add(plain, search.run_situation(plain))
    freeze_loaded_objects()
    able = search.met[plain].takes_callbacks if options.callbacks is None else options.callbacks
    search.callbacks = able and provider.callbacks is not None
    with progress("situations") as search.progress:
        search.run()
    return search


def freeze_loaded_objects() -> None:
    """Freeze loaded objects (specs and code) out of garbage collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)


def _cut_short(search: Search) -> Iterator[str]:
    """Say what the time limit cut off."""
    if not search.out_of_time:
        return
    planned = search.planned()
    missed = sum(situation not in search.met for situation in planned)
    drawn = f"{search.most_examples} random situations"
    if missed:
        yield f"left out: {missed} of {len(planned)} conditions, and all {drawn}: time limit reached"
    else:
        yield f"left out: some of {drawn}: time limit reached"


def _run_command(
    command: Command,
    provider: Provider,
    rules: Sequence[Rule],
    options: Options,
    single: Situation | None,
    progress: Progress,
) -> tuple[Search, list[str]]:
    """Run a command in one situation per condition (or in a single one), several at once; say what was left out.

    Raises:
        CommandError: the program does not exist.
    """
    problem = command.problem()
    if problem is not None:
        raise CommandError(problem)
    callbacks = bool(options.callbacks) and provider.callbacks is not None
    search = Search(_in_batches, provider, rules, callbacks=callbacks, jobs=False, seed=options.seed, shrink=False)
    until_s = None if options.time_limit_s is None else monotonic() + options.time_limit_s
    speed = options.speed or FASTEST
    if single is not None:
        runs = run_commands(command, provider, [single], speed=speed, time_limit_s=options.job_limit_s)
        search.add(single, runs[0])
        return search, []
    chosen = search.planned()
    if options.speed is None:
        (first,) = run_commands(
            command, provider, chosen[:1], speed=FIRST_SPEED, time_limit_s=options.job_limit_s, paced=True
        )
        speed = speed_for(first.journal)
    # Those that take long start first, and the others run meanwhile.
    chosen.sort(key=lambda each: -limit_in(each, provider, options.job_limit_s))
    with progress("situations") as show:
        done = count(1)
        runs = run_commands(
            command,
            provider,
            chosen,
            speed=speed,
            time_limit_s=options.job_limit_s,
            at_once=_AT_ONCE,
            ended=lambda _run: show(next(done), len(chosen)),
            paced=True,
            until_s=until_s,
        )
    for run in runs:
        if run.situation is not None:
            search.add(run.situation, run)
    left_out = ["left out: situations with several jobs: each job is a process, which cannot know of the others"]
    if len(runs) < len(chosen):
        left_out.append(f"left out: {len(chosen) - len(runs)} situations: time limit reached")
    left_out.append(f"note: the server's clock ran {speed:g} times as fast as the client's, so that it sees all states")
    return search, left_out


def _in_batches(situation: Situation) -> Run:  # noqa: ARG001 - called like `run_situation`
    raise AssertionError("commands run in batches")


def _with_replays(search: Search, verdicts: Sequence[Verdict], options: Options) -> list[Verdict]:
    """Write the smallest situation of each violation as a scenario, with the command that reproduces it."""
    command = ["contracts", "run", "--provider", options.provider]
    command += ["--client", options.client] if options.client is not None else ["--command", options.command or ""]
    command += [word for path in options.spec for word in ("--spec", str(path))]
    command += [word for name in options.dialects for word in ("--dialect", name)]
    out = []
    for verdict in verdicts:
        situation = search.smallest(verdict)
        if situation is None:
            out.append(verdict)
            continue
        path = options.directory / f"{verdict.provider}-{verdict.clause.id}.yaml"
        more = ["--jobs", str(situation.jobs)] if situation.jobs > 1 else []
        more += ["--callbacks"] if situation.callbacks else []
        if options.command is not None:  # its waits are real, and the result depends on these
            limit_s = limit_in(situation, search.provider, options.job_limit_s)
            more += ["--speed", f"{verdict.speed:g}", "--job-limit", f"{limit_s:g}"]
        replay = join([*command, "--scenario", str(path), *more])
        options.directory.mkdir(parents=True, exist_ok=True)
        path.write_text(situation.yaml(f"{verdict.clause.id}: {verdict.clause.rule}\n{replay}"), encoding="utf-8")
        out.append(replace(verdict, replay=replay))
    return out


def _remarks(search: Search, provider: Provider) -> Iterator[str]:
    """Say what the verdicts do not: that nothing reached the server, or that requests went elsewhere."""
    if not any(journal.exchanges for journal in search.journals):
        yield f"note: no request of this client reached {provider.name}; does it use the base URL that it is given?"
        errors = [job.said for journal in search.journals for job in journal.jobs if job.said]
        if errors:
            yield f"note: its first error: {errors[0][:300]}"
    if search.hangs:
        times = f"{search.hangs} situation{'s' if search.hangs > 1 else ''}"
        more = "; no more were tried" if search.hangs >= MOST_HANGS else ""
        yield f"note: the client hung in {times}, and was stopped{more}"
    unknown = list(dict.fromkeys(each for run in search.met.values() for each in stray_addresses(run)))
    if unknown:
        yield f"note: the client tried to reach {', '.join(unknown[:5])}, where nothing listens"


def stray_addresses(run: Run) -> Iterator[str]:
    """Yield the unknown addresses that a client tried to reach without a link to them in any answer."""
    for address in run.unknown_addresses:
        host = address.rpartition(":")[0]
        if not any(f"//{host}" in (each.answer_body or "") for each in run.journal.exchanges):
            yield address
