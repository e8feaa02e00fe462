"""Trying a client: it meets what there is to meet, and what it does is judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from shlex import join
from time import monotonic
from typing import TYPE_CHECKING

from contracts.commands import Command, CommandError, hindrance, play_commands
from contracts.outputs import progress_bar, settle_memory
from contracts.rules import documented_rules, rules_of
from contracts.runner import play
from contracts.searching import MOST_HANGS, Search
from contracts.situations import Situation, tour
from contracts.subject import SubjectError, load
from mockserver.scenarios.read import find, read
from mockserver.spec.catalog import load_providers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from contracts.clause import Verdict
    from contracts.rules import Rule
    from contracts.runner import Run
    from contracts.subject import Factory
    from mockserver.provider import Provider

#: How many commands run at once; they mostly wait.
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class How:
    """Which client is to be tried, and how. Either `client` or `command` is there."""

    provider: str
    client: str | None
    command: str | None
    spec: tuple[Path, ...]
    dialects: tuple[str, ...]
    seed: int
    most_examples: int
    time_limit_s: float | None
    callbacks: bool | None
    speed: float
    job_limit_s: float
    #: One situation instead of many: a scenario, with so many jobs at once.
    scenario: str | None
    jobs: int
    #: Where the smallest situation of each violation is written.
    directory: Path


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it."""

    verdicts: list[Verdict]
    search: Search
    #: What the verdicts do not say: what was left out, and why; that nothing reached the server.
    remarks: tuple[str, ...]


def tried(how: How) -> Tried:
    """Try a client.

    Raises:
        SubjectError: the client cannot be found or made, or the provider is none.
        CommandError: there is no such program.
        SpecError: a spec or a scenario cannot be read.
    """
    provider = _provider(how)
    one = None if how.scenario is None else read(find(how.scenario))
    alone = None if one is None else Situation(provider.name, (), how.jobs, bool(how.callbacks), one.seed or 0, one)
    rules = [*documented_rules(), *rules_of(how.spec)]
    left: Sequence[str] = ()
    if how.client is not None:
        search = _python(load(how.client), provider, rules, how, alone)
        left = list(_cut_short(search))
    else:
        search, left = _commands(Command.of(how.command or ""), provider, rules, how, alone)
    verdicts = search.verdicts()
    remarks = [*left, *_remarks(search, provider)]
    if alone is None:
        try:
            verdicts = _with_replays(search, verdicts, how)
        except OSError as error:
            remarks.append(f"note: {error.filename}: cannot be written: {error.strerror}; so there are no replays")
    return Tried(verdicts, search, tuple(remarks))


def _provider(how: How) -> Provider:
    known = {each.name: each for each in load_providers(how.spec)}
    if how.provider not in known:
        raise SubjectError(f"there is no provider {how.provider!r}; there are {', '.join(known)}")
    if not how.dialects:
        return known[how.provider]
    spoken = load_providers(how.spec, dialects={how.provider: how.dialects})
    return next(each for each in spoken if each.name == how.provider)


def _python(factory: Factory, provider: Provider, rules: Sequence[Rule], how: How, alone: Situation | None) -> Search:
    """Let a Python client meet what there is to meet (or one situation alone).

    Raises:
        SubjectError: the client cannot be made.
    """
    search = Search(
        lambda situation: play(factory, provider, situation),
        provider,
        rules,
        seed=how.seed,
        most_examples=how.most_examples,
        time_budget_s=how.time_limit_s,
        shrink=alone is None,
    )
    if alone is not None:
        search.add(alone, search.play(alone))
        return search
    calm = Situation(provider.name, seed=how.seed)  # the first of the tour: it is not met again there
    search.add(calm, search.play(calm))
    settle_memory()
    able = search.met[calm].takes_callbacks if how.callbacks is None else how.callbacks
    search.callbacks = able and provider.callbacks is not None
    with progress_bar("situations") as search.progress:
        search.run()
    return search


def _cut_short(search: Search) -> Iterator[str]:
    """Say what there was no time for."""
    if not search.out_of_time:
        return
    planned = search.planned()
    missed = sum(situation not in search.met for situation in planned)
    drawn = f", and all {search.most_examples} drawn ones" if missed else f"some of {search.most_examples} drawn ones"
    kinds = f"{missed} of {len(planned)} kinds of situation" if missed else ""
    yield f"left out: {kinds}{drawn}, for which there was no time"


def _commands(
    command: Command, provider: Provider, rules: Sequence[Rule], how: How, alone: Situation | None
) -> tuple[Search, Sequence[str]]:
    """Let a command meet one of each kind (or one situation alone), some at once; say what was left out.

    Raises:
        CommandError: there is no such program.
    """
    problem = command.problem()
    if problem is not None:
        raise CommandError(problem)
    callbacks = bool(how.callbacks) and provider.callbacks is not None
    planned = [alone] if alone is not None else tour(provider, callbacks=callbacks, jobs=False, seed=how.seed)
    left: list[str] = []
    fair = []
    for situation in planned:
        why = hindrance(situation, provider, speed=how.speed, time_limit_s=how.job_limit_s)
        if why:
            left.append(f"left out: {situation}: {why}")
        else:
            fair.append(situation)
    search = Search(_never, provider, rules, callbacks=callbacks, jobs=False, seed=how.seed, shrink=False)
    until_s = None if how.time_limit_s is None else monotonic() + how.time_limit_s
    with progress_bar("situations") as progress:
        for start in range(0, len(fair), _AT_ONCE):
            if until_s is not None and monotonic() > until_s:
                left.append(f"left out: {len(fair) - start} situations, for which there was no time")
                break
            batch = fair[start : start + _AT_ONCE]
            runs = play_commands(
                command, provider, batch, speed=how.speed, time_limit_s=how.job_limit_s, at_once=_AT_ONCE
            )
            for situation, run_ in zip(batch, runs, strict=True):
                search.add(situation, run_)
            progress(len(search.met), len(fair))
    return search, left


def _never(situation: Situation) -> Run:  # noqa: ARG001 - as the others
    raise AssertionError("commands are run in batches")


def _with_replays(search: Search, verdicts: Sequence[Verdict], how: How) -> list[Verdict]:
    """Write the smallest situation of each violation as a scenario, with the command that plays it again."""
    words = ["contracts", "run", "--provider", how.provider]
    words += ["--client", how.client] if how.client is not None else ["--command", how.command or ""]
    words += [word for path in how.spec for word in ("--spec", str(path))]
    words += [word for name in how.dialects for word in ("--dialect", name)]
    if how.command is not None:  # its waits are real, and what it meets depends on these
        words += ["--speed", f"{how.speed:g}", "--job-limit", f"{how.job_limit_s:g}"]
    out = []
    for verdict in verdicts:
        situation = search.smallest(verdict)
        if situation is None:
            out.append(verdict)
            continue
        path = how.directory / f"{verdict.provider}-{verdict.clause.id}.yaml"
        more = ["--jobs", str(situation.jobs)] if situation.jobs > 1 else []
        more += ["--callbacks"] if situation.callbacks else []
        replay = join([*words, "--scenario", str(path), *more])
        how.directory.mkdir(parents=True, exist_ok=True)
        path.write_text(situation.yaml(f"{verdict.clause.id}: {verdict.clause.rule}\n{replay}"), encoding="utf-8")
        out.append(replace(verdict, replay=replay))
    return out


def _remarks(search: Search, provider: Provider) -> Iterator[str]:
    """Say what the verdicts do not: that nothing reached the server, or that something went elsewhere."""
    strays = dict.fromkeys(stray for run_ in search.met.values() for stray in run_.strays)
    if not any(journal.exchanges for journal in search.journals):
        yield f"note: no request of this client's came to {provider.name}; does it use the base URL that it is given?"
        errors = [job.said for journal in search.journals for job in journal.jobs if job.said]
        if errors:
            yield f"note: its first error: {errors[0][:300]}"
    if search.hangs:
        times = f"{search.hangs} situation{'s' if search.hangs > 1 else ''}"
        more = "; no more were tried" if search.hangs >= MOST_HANGS else ""
        yield f"note: the client had to be given up in {times}{more}"
    if strays:
        yield f"note: the client tried to reach {', '.join(list(strays)[:5])}, where nobody is"
