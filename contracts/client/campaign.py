"""A campaign: run a client in every situation, judge what it does, and write replays of the violations."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from contracts.clause import Verdict
from contracts.client.commands import CommandOptions, run_everywhere, run_single
from contracts.client.in_process import run_situation
from contracts.client.met import Met
from contracts.client.output import ends_of
from contracts.client.replays import Replayed, write_replays
from contracts.client.run import Run
from contracts.client.search import MOST_HANGS, Search
from contracts.client.situations import Situation
from contracts.client.subject import Factory, SubjectError, load
from contracts.client.subprocess import Command
from contracts.rules import Rule, documented_rules, rules_of
from mockserver.provider import Provider
from mockserver.scenarios.read import find, read
from mockserver.spec.catalog import load_providers

#: Shows progress during long work: yields a function that takes (done, most).
Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]

#: How many situations that could not be judged are named.
_SHOWN = 3


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
    #: With a command: the speed of the server's clock, and of the client's time; None adapts them to the client.
    speed: float | None
    time_scale: float | None
    job_limit_s: float
    #: A single situation instead of many: a scenario, with so many concurrent jobs.
    scenario: str | None
    jobs: int
    #: The path of the callback URL.
    callback_path: str
    #: Where the smallest situation of each violation is written.
    directory: Path


@dataclass(frozen=True, slots=True)
class Result:
    """The verdicts of a campaign."""

    verdicts: list[Verdict]
    search: Search
    #: What the verdicts do not say: what was left out and why, or that nothing reached the server.
    remarks: tuple[str, ...]
    #: What was met, and what was left out or could not be judged.
    situations: Met
    #: What the client printed, by job, if a single situation was run.
    output: tuple[str, ...]
    #: Whether something was tested, and nothing had to be left unjudged because the runner could not follow.
    conclusive: bool


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
        left_out = _cut_short(search)
    else:
        callbacks = bool(options.callbacks) and provider.callbacks is not None
        search = Search(_in_batches, provider, rules, callbacks=callbacks, jobs=False, seed=options.seed, shrink=False)
        command = Command.of(options.command or "")
        how = CommandOptions(options.speed, options.time_scale, options.job_limit_s, options.callback_path)
        if single is None:
            with progress("situations") as search.progress:
                left_out = run_everywhere(command, search, how, options.time_limit_s)
        else:
            run_single(command, search, single, how)
            left_out = []
    verdicts = search.verdicts()
    untested = [(str(situation), run.untested) for situation, run in search.met.items() if run.untested]
    remarks = [*_named("left out", left_out), *_named("not tested", untested), *_remarks(search, provider)]
    if single is None:
        try:
            verdicts = write_replays(search, verdicts, options.directory, _replayed(options))
        except OSError as error:
            remarks.append(f"note: no replays: cannot write {error.filename}: {error.strerror}")
    unseen = {name for name, _ in (*left_out, *untested)}
    met = [name for name in map(str, search.met) if name not in unseen]
    return Result(
        verdicts,
        search,
        tuple(remarks),
        Met(tuple(met), (*left_out, *untested)),
        () if single is None else tuple(_output(search.met[single])),
        not untested and any(each.judgement != "not exercised" for each in verdicts),
    )


def _named(what: str, situations: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Name situations by their reason: all if they are few, otherwise how many."""
    for reason in dict.fromkeys(reason for _, reason in situations):
        names = [name for name, each in situations if each == reason]
        if len(names) <= _SHOWN:
            yield from (f"{what}: {name}: {reason}" for name in names)
        else:
            # The last one may stand for many: the random situations.
            yield f"{what}: {len(names) - 1} situations, such as {names[0]}: {reason}"
            yield f"{what}: {names[-1]}: {reason}"


def _output(run: Run) -> Iterator[str]:
    """Show what a client printed, by job."""
    for job, text in ends_of(run.output):
        yield f"output of job {job}:" if job else "output of the client:"
        yield from (f"  {line}" for line in text.splitlines())


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
        lambda situation: run_situation(factory, provider, situation, callback_path=options.callback_path),
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


def _cut_short(search: Search) -> list[tuple[str, str]]:
    """Say what the time limit cut off."""
    if not search.out_of_time:
        return []
    why = "time limit reached"
    missed = [(str(situation), why) for situation in search.planned() if situation not in search.met]
    return [*missed, (f"{'all' if missed else 'some of'} {search.most_examples} random situations", why)]


def _in_batches(situation: Situation) -> Run:  # noqa: ARG001 - called like `run_situation`
    raise AssertionError("commands run in batches")


def _replayed(options: Options) -> Replayed:
    return Replayed(
        options.provider,
        options.client,
        options.command,
        (
            *(word for path in options.spec for word in ("--spec", str(path))),
            *(word for name in options.dialects for word in ("--dialect", name)),
            *(("--callback-path", options.callback_path) if options.callback_path != "/callback" else ()),
        ),
        options.seed,
        options.job_limit_s,
    )


def _remarks(search: Search, provider: Provider) -> Iterator[str]:
    """Say what the verdicts do not: that nothing reached the server, or that requests went elsewhere."""
    if not any(journal.exchanges for journal in search.journals):
        yield f"note: no request of this client reached {provider.name}; does it use the base URL that it is given?"
        errors = [job.said for journal in search.journals for job in journal.jobs if job.said]
        if errors:
            yield f"note: its first error: {errors[0][:300]}"
    speeds = sorted({run.journal.speed for run in search.met.values()} - {1.0})
    if speeds:
        shown = ", ".join(f"{each:g}" for each in speeds)
        yield f"note: the server's clock ran {shown} times as fast as the client's"
    scales = sorted({run.journal.time_scale for run in search.met.values()} - {1.0})
    if scales:
        yield f"note: where it is patient, the client's own time ran {scales[0]:g} times as fast"
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
